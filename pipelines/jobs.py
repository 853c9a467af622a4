"""The nightly job and its schedule.

Belongs here: what runs together and when. Does not: assets.

Files by fiscal year are partitioned, everything else is not. A run may hold both: `dagster/asset_partition_range_*` tags
tell the partitioned asset its years and the others do not see them. The nightly run asks for all years, since closed
years still move and a year that did not move costs one conditional request; a backfill of single years from the UI works
on the raw asset alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.exports.assets import FERM_PUSH
from pipelines.settings import LIMA

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def year_range_tags(fiscal_years: Sequence[int]) -> dict[str, str]:
    """Tags that make a run take these fiscal years."""
    return {RANGE_START: str(fiscal_years[0]), RANGE_END: str(fiscal_years[-1])}


def nightly_job(banner: str = "") -> Any:
    """Everything from sources to the published file. `banner` stands before the description."""
    return dg.define_asset_job(
        "nightly",
        selection=dg.AssetSelection.all() - dg.AssetSelection.assets(FERM_PUSH),  # nothing leaves the house unasked
        description=banner
        + "Reads every source, builds the warehouse and publishes it if every blocking check passes.",
    )


def push_job(banner: str = "") -> Any:
    """What goes to FERM; started by a person, and a dry run unless its configuration says `send: true`."""
    return dg.define_asset_job(
        "push_ferm",
        selection=dg.AssetSelection.assets(FERM_PUSH),
        description=banner + "Sends new initiatives to FAO's FERM. A dry run unless the launchpad says `send: true`.",
    )


def nightly_schedule(job: Any, fiscal_years: Sequence[int], banner: str = "") -> dg.ScheduleDefinition:
    """02:00 in Lima, which keeps UTC-5 all year."""

    @dg.schedule(
        name="nightly_lima",
        job=job,
        cron_schedule="0 2 * * *",
        execution_timezone=str(LIMA),
        description=banner + "Every night at 02:00 America/Lima, with every fiscal year.",
        default_status=dg.DefaultScheduleStatus.RUNNING,  # nobody has to remember to switch it on
    )
    def nightly_lima() -> dg.RunRequest:
        return dg.RunRequest(tags=year_range_tags(fiscal_years))

    return nightly_lima
