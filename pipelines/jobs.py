"""The nightly job and its schedules.

Belongs here: what runs together and when. Does not: assets.

Files by fiscal year are partitioned, everything else is not. A run may hold both: `dagster/asset_partition_range_*` tags
give the partitioned asset its years and the others do not see them. Weekdays ask for the open years, Sundays for all, since
closed years still move; a backfill of single years from the UI works on the raw asset alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.exports import FERM_PUSH
from pipelines.settings import LIMA, NIGHTLY
from resources.snapshots import SnapshotStore
from restoration.sources.cadence import Refresh

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
_CLOSING_MONTHS = 3


def year_range_tags(fiscal_years: Sequence[int]) -> dict[str, str]:
    """Tags that make a run take these fiscal years."""
    return {RANGE_START: str(fiscal_years[0]), RANGE_END: str(fiscal_years[-1])}


def nightly_job(tags: Mapping[str, str]) -> Any:
    """Everything from sources to the published file."""
    return dg.define_asset_job(
        "nightly",
        selection=dg.AssetSelection.all()
        - dg.AssetSelection.assets(FERM_PUSH),  # nothing is sent to others unless a person asks
        description="Reads every source, builds the warehouse and publishes it if every blocking check passes.",
        tags=tags,
    )


def push_job(tags: Mapping[str, str]) -> Any:
    """What goes to FERM; started by a person, and a dry run unless its configuration says `send: true`."""
    return dg.define_asset_job(
        "push_ferm",
        selection=dg.AssetSelection.assets(FERM_PUSH),
        description="Sends new initiatives to FAO's FERM. A dry run unless the launchpad says `send: true`.",
        tags=tags,
    )


def schedules(
    job: Any, fiscal_years: Sequence[int], store: SnapshotStore, by_year: Sequence[str], nightly_cron: str = NIGHTLY
) -> list[dg.ScheduleDefinition]:
    """02:00 in Lima, which keeps UTC-5 all year: on weekdays what is due, on Sundays everything.

    `by_year` are the sources with a file a fiscal year; one whose closed years were never read has them read at once.
    """

    @dg.schedule(
        name="nightly_lima",
        job=job,
        cron_schedule=nightly_cron,
        execution_timezone=str(LIMA),
        description="Sources that are due and fiscal years that are open; by default Monday to Saturday at 02:00 America/Lima.",
        default_status=dg.DefaultScheduleStatus.RUNNING,  # nobody has to remember to switch it on
    )
    def nightly_lima(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        years: Sequence[int] = open_years(fiscal_years, context.scheduled_execution_time.astimezone(LIMA).date())
        if any(set(map(str, fiscal_years)) - set(store.partitions(source)) for source in by_year):
            years = fiscal_years
        return dg.RunRequest(tags=year_range_tags(years), run_config=refresh_config("due", by_year))

    @dg.schedule(
        name="weekly_lima",
        job=job,
        cron_schedule="0 2 * * 0",
        execution_timezone=str(LIMA),
        description="Sundays at 02:00 America/Lima: every source and every fiscal year, closed ones too.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def weekly_lima() -> dg.RunRequest:
        return dg.RunRequest(tags=year_range_tags(fiscal_years), run_config=refresh_config("all", by_year))

    return [nightly_lima, weekly_lima]


def open_years(fiscal_years: Sequence[int], today: dt.date) -> list[int]:
    """This fiscal year, and the one before while its accounts are being closed (to the end of March)."""
    first = today.year - 1 if today.month <= _CLOSING_MONTHS else today.year
    return [year for year in fiscal_years if year >= first] or list(fiscal_years[-1:])


def refresh_config(refresh: Refresh, by_year: Sequence[str]) -> dict[str, Any]:
    """Run configuration that asks for what is due, or for everything."""
    ops = ["source_layers", *(f"source_{source.replace('.', '__')}" for source in by_year)]
    return {"ops": {name: {"config": {"refresh": refresh}} for name in ops}}
