"""The sensor that sees files arrive in the inbox, change or leave it.

Belongs here: noticing what no run has read yet and asking for the run that reads it. Does not: reading it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from assets.exports import FERM_PUSH
from assets.keys import raw_key
from pipelines.jobs import year_range_tags
from resources.inbox import SOURCES_FOLDER, Inbox
from resources.warehouse import WarehouseFiles
from restoration.sources.register import SourceLayer


def inbox_sensor(
    folder: Path, layers: Mapping[str, SourceLayer], models: Sequence[dg.AssetKey], last_fiscal_year: int
) -> dg.SensorDefinition:
    """Asks for the sources whose files no run has read as they are now, every model and the answers.

    A file still growing waits for the next look. A run remembers what it read (`Inbox.remember`), so what `make run` has read is
    not asked for again. The cursor holds the last look, and what was asked for: a run that crashes is asked for once.
    """
    published = WarehouseFiles(folder.parent / "warehouse").published

    @dg.sensor(
        name="inbox_arrivals",
        target=dg.AssetSelection.all() - dg.AssetSelection.assets(FERM_PUSH),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks into the inbox every half minute; what was added, changed or removed since the last run and stayed the same for two looks is read.",
    )
    def inbox_arrivals(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        inbox = Inbox(folder)
        states, read = inbox.states(), inbox.read_states()
        changed = {f: states.get(f) for f in sorted({*states, *read}) if states.get(f) != read.get(f)}
        raw = _raw(changed, layers)
        if not raw:
            return dg.SensorResult(skip_reason="Nothing in the inbox that no run has read.", cursor="")
        if not published.exists():
            return dg.SensorResult(skip_reason="Nothing is published yet: the first nightly run reads the inbox too.")
        look = hashlib.sha256(json.dumps(changed).encode()).hexdigest()
        cursor = json.loads(context.cursor) if context.cursor else {}
        if look == cursor.get("asked"):
            return dg.SensorResult(skip_reason="A run was asked for that reads it.")
        if look != cursor.get("seen"):
            return dg.SensorResult(
                skip_reason="Files arrived, left or still grow; read at the next look if they stay as they are.",
                cursor=json.dumps(cursor | {"seen": look}),
            )
        by_year = any(layers[name].is_by_fiscal_year for name in _sources(changed, layers))
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    asset_selection=[*raw, *models], tags=year_range_tags([last_fiscal_year]) if by_year else {}
                )
            ],
            cursor=json.dumps({"seen": look, "asked": look}),
        )

    return inbox_arrivals


def _sources(folders: Mapping[str, str | None], layers: Mapping[str, SourceLayer]) -> list[str]:
    """Sources in whose place files lie in these folders."""
    return [name for name in layers if f"{SOURCES_FOLDER}/{name}" in folders]


def _raw(folders: Mapping[str, str | None], layers: Mapping[str, SourceLayer]) -> list[dg.AssetKey]:
    """What has to be read for these folders; nothing for a folder of no source."""
    submitted = any(not folder.startswith(f"{SOURCES_FOLDER}/") for folder in folders)
    inbox = [layer for layer in layers.values() if layer.is_submitted and submitted]
    return [raw_key(layer) for layer in (*inbox, *(layers[name] for name in _sources(folders, layers)))]
