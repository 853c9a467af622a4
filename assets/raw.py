"""Raw assets: the standing snapshot of each source, refreshed.

Belongs here: one step for all whole layers, one partitioned asset for files by fiscal year, their checks and metadata.
Does not: how a source is read (extraction.py).
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from pydantic import Field

from assets.keys import owners_of, raw_key
from resources.data_folder import DataFolder
from resources.snapshots import DROPPED, Manifest, SnapshotStore
from restoration.sources.cadence import Refresh, last_good_at, overdue_after
from restoration.sources.extraction import Extraction, Job, Refreshed
from restoration.sources.register import SourceLayer
from restoration.sources.schema_drift import drift

CHECK = "snapshot_is_fresh_and_whole"
OVERDUE_CHECK = "last_good_answer_is_not_overdue"
COLUMNS_CHECK = "columns_are_those_of_the_snapshot_before"

Events = Iterator[dg.MaterializeResult | dg.AssetCheckResult]  # type: ignore[type-arg]


class SourceConfig(dg.Config):
    """What a run asks for, as the launchpad shows it."""

    refresh: str = Field(
        default="all",
        description="all: every chosen source is asked now. due: only those whose cadence asks for it (daily ones every time; weekly, "
        "quarterly and yearly ones once in six days; any that failed last time). The nightly schedule uses due, the weekly one all.",
    )

    def checked(self) -> Refresh:
        """Raises ValueError for another word."""
        if self.refresh not in {"all", "due"}:
            raise ValueError(f"refresh: {self.refresh!r} is not known; write all or due")
        return self.refresh  # type: ignore[return-value]


def raw_assets(layers: Mapping[str, SourceLayer], fiscal_years: Sequence[int]) -> list[dg.AssetsDefinition]:
    """The assets of all registers. Whole layers are one step: hosts are read side by side in threads."""
    whole = [layer for layer in layers.values() if not layer.is_by_fiscal_year]
    by_year = [layer for layer in layers.values() if layer.is_by_fiscal_year]
    return [_whole_layers(whole), *(_by_fiscal_year(layer, fiscal_years) for layer in by_year)]


def _spec(layer: SourceLayer) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=raw_key(layer),
        description=f"One row is one row of the source: {layer.title_en} ({layer.title_es}).\n\nColumns bear the source's own names. "
        f"From {layer.url}, published {layer.cadence}."
        + (
            f"\n\nA file left in `inbox/fuentes/{layer.source}/` serves while the server fails or says nothing new."
            if not layer.is_submitted
            else "\n\nFiles lie in `inbox/<institución>/`; each gets an answer beside it. One moved to "
            "`inbox/<institución>/retirar/` withdraws what it delivered."
        )
        + (f"\n\n**Assumption**: {layer.assumed}." if layer.assumed else "")
        + f"\n\n_{layer.disclaimer}_",
        group_name="raw",
        kinds={"parquet", layer.kind},
        owners=owners_of(layer.institution),
        tags={"source": layer.institution, "cadence": layer.cadence},
        metadata={
            "url": dg.MetadataValue.url(layer.url) if "://" in layer.url else layer.url,
            "licence": layer.licence,
            "allowed_shrink": layer.allowed_shrink,
        },
        freshness_policy=_freshness(layer),
        skippable=True,
    )


def _freshness(layer: SourceLayer) -> dg.FreshnessPolicy | None:
    """That anybody asked at all: the UI shows a source late when no run has come to it."""
    overdue = overdue_after(layer)
    return dg.FreshnessPolicy.time_window(fail_window=overdue, warn_window=overdue * 0.6) if overdue else None


def _checks(layer: SourceLayer) -> list[dg.AssetCheckSpec]:
    fresh = dg.AssetCheckSpec(
        CHECK,
        asset=raw_key(layer),
        description="The source answered whole: not empty, not shrunk, as many rows as it counts. "
        "If not, the last good snapshot is used and the run goes on with it.",
    )
    columns = dg.AssetCheckSpec(
        COLUMNS_CHECK,
        asset=raw_key(layer),
        description="No column was added or removed. A new one is kept and used by nobody before the register names it; "
        "one that is needed and gone stops this source alone.",
    )
    overdue = dg.AssetCheckSpec(
        OVERDUE_CHECK,
        asset=raw_key(layer),
        description="The last good answer is not older than the source's cadence allows, whether anything changed or not.",
    )
    return [fresh] if layer.is_submitted else [fresh, columns, overdue]


def _whole_layers(layers: Sequence[SourceLayer]) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="source_layers",
        specs=[_spec(layer) for layer in layers],
        check_specs=[check for layer in layers for check in _checks(layer)],
        can_subset=True,
    )
    def source_layers(context: dg.AssetExecutionContext, config: SourceConfig, data_folder: DataFolder) -> Events:
        data_folder.claim(f"run {context.run_id}")
        jobs = [(layer, None) for layer in layers if raw_key(layer) in context.selected_asset_keys]
        extraction = Extraction(data_folder.http(), data_folder.snapshots(), data_folder.lake(), data_folder.inbox())
        states = extraction.inbox.states()  # before reading: what comes meanwhile is asked for again
        received = extraction.refresh_all(jobs, config.checked())
        chosen = [layer.source for layer, _ in jobs]
        submissions = {layer.source for layer in layers if layer.is_submitted}
        extraction.inbox.remember(states, chosen, submissions=submissions <= {*chosen})
        for layer, _ in jobs:
            yield from _events(
                context, extraction.store, layer, [r for r in received if r.layer.source == layer.source]
            )

    return source_layers


def _by_fiscal_year(layer: SourceLayer, fiscal_years: Sequence[int]) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"source_{layer.table}",
        specs=[_spec(layer)],
        check_specs=_checks(layer),
        partitions_def=dg.StaticPartitionsDefinition([str(year) for year in fiscal_years]),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def source_by_fiscal_year(
        context: dg.AssetExecutionContext, config: SourceConfig, data_folder: DataFolder
    ) -> Events:
        data_folder.claim(f"run {context.run_id}")
        extraction = Extraction(data_folder.http(), data_folder.snapshots(), data_folder.lake(), data_folder.inbox())
        first = layer.first_fiscal_year or 0
        years = {str(year) for year in fiscal_years}
        by_hand = {
            year for year in extraction.by_hand(layer) if year
        }  # a file is read, and withdrawn, whatever years are asked
        if beyond := sorted(by_hand - years):
            context.log.warning(
                "%s: files of %s are not read, which this warehouse does not hold", layer.source, beyond
            )
        wanted = sorted({*context.partition_keys, *(by_hand & years)})
        jobs: list[Job] = [(layer, year) for year in wanted if int(year) >= first]
        if not jobs:
            context.log.info("%s begins in %s", layer.source, first)
            return
        states = extraction.inbox.states()
        received = extraction.refresh_all(jobs, config.checked())
        extraction.inbox.remember(states, [layer.source], submissions=False)
        yield from _events(context, extraction.store, layer, received)

    return source_by_fiscal_year


def _events(
    context: dg.AssetExecutionContext, store: SnapshotStore, layer: SourceLayer, refreshed: Sequence[Refreshed]
) -> Events:
    """A materialisation where there is a good snapshot, new or old, and a check that says whether it is fresh."""
    last_good = [r for r in refreshed if r.manifest is not None]
    failed = [r for r in refreshed if r.error is not None]
    if last_good:
        manifests = {r.partition: r.manifest for r in last_good if r.manifest}
        yield dg.MaterializeResult(
            asset_key=raw_key(layer),
            metadata={
                "dagster/row_count": sum(m.rows for m in manifests.values()),
                "snapshots": {str(p or "whole"): m.snapshot_id for p, m in manifests.items()},
                "fetched_at": max(m.fetched_at for m in manifests.values()),
                "changed_at_source": max(m.last_modified or m.fetched_at for m in manifests.values()),
                "is_asked": any(r.is_asked for r in refreshed),
                "is_new": any(r.is_new for r in refreshed),
                "is_stale": bool(failed),
                "files_in_place_of_server": [
                    _named(r, str(r.manifest.parameters[DROPPED]))
                    for r in last_good
                    if r.manifest and r.manifest.is_dropped
                ],
                "is_sandbox": any(m.is_sandbox for m in manifests.values()),
            },
            data_version=_data_version(manifests),
        )
    elif layer.is_essential:
        context.log.error("%s was never read: what depends on it is skipped", layer.source)
    else:
        context.log.warning("%s was never read: its tables are empty", layer.source)
        yield dg.MaterializeResult(
            asset_key=raw_key(layer),
            metadata={"dagster/row_count": 0, "is_stale": bool(failed)},
            data_version=_data_version({}),
        )
    for r in failed:
        context.log.warning("%s", r.error)
    yield dg.AssetCheckResult(
        asset_key=raw_key(layer),
        check_name=CHECK,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR if layer.is_essential else dg.AssetCheckSeverity.WARN,
        metadata={
            "sources_read": len(refreshed) - len(failed),
            "failures": [_named(r, str(r.error)) for r in failed],
            "standing_since": [
                _named(r, r.manifest.fetched_at if r.manifest else "never read") for r in failed if r.is_asked
            ],
        },
    )
    if not layer.is_submitted:
        yield _overdue(store, layer, refreshed)
        moved = [(r, drift(r.manifest, store.previous(layer.source, r.partition))) for r in last_good]
        added = [_named(r, ", ".join(d.added)) for r, d in moved if d.added]
        removed = [_named(r, ", ".join(d.removed)) for r, d in moved if d.removed]
        yield dg.AssetCheckResult(
            asset_key=raw_key(layer),
            check_name=COLUMNS_CHECK,
            passed=not added and not removed,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"added": added, "removed": removed},
        )


def _data_version(manifests: Mapping[str | None, Manifest]) -> dg.DataVersion:
    """The same as long as the same snapshots stand, however often they were looked at."""
    last_good = sorted((str(part), manifest.snapshot_id) for part, manifest in manifests.items())
    return dg.DataVersion(hashlib.sha256(repr(last_good).encode()).hexdigest()[:16])


def _overdue(store: SnapshotStore, layer: SourceLayer, refreshed: Sequence[Refreshed]) -> dg.AssetCheckResult:
    allowed, now = overdue_after(layer), dt.datetime.now(dt.UTC)
    known = [r for r in refreshed if r.is_asked or r.manifest]  # not a file whose year is unknown
    good = [(r, last_good_at(store, layer.source, r.partition)) for r in known]
    late = [(r, at) for r, at in good if at is None or (allowed and now - at > allowed)]
    return dg.AssetCheckResult(
        asset_key=raw_key(layer),
        check_name=OVERDUE_CHECK,
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "overdue": [
                _named(r, f"last good answer {at:%Y-%m-%d %H:%M} UTC" if at else "never read") for r, at in late
            ],
            "allowed_days": allowed.days if allowed else 0,
        },
    )


def _named(refreshed: Refreshed, text: str) -> str:
    """With the fiscal year, where the source has one."""
    return f"{refreshed.partition}: {text}" if refreshed.partition else text
