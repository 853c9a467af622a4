"""The sensor that sees files arrive in the inbox.

Belongs here: noticing arrivals and asking for the run that reads them. Does not: reading them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from assets.exports.assets import FERM_PUSH
from assets.names import raw_key
from assets.sources.register import SourceLayer
from resources.inbox import SOURCES_FOLDER, Inbox


def inbox_sensor(
    folder: Path, layers: Mapping[str, SourceLayer], models: Sequence[dg.AssetKey], banner: str = ""
) -> dg.SensorDefinition:
    """Asks for the sources whose files came, every model and the answers; a file still growing waits for the next look."""

    @dg.sensor(
        name="inbox_arrivals",
        target=dg.AssetSelection.all() - dg.AssetSelection.assets(FERM_PUSH),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=banner
        + "Looks into the inbox every half minute; what came and stayed the same for two looks is read.",
    )
    def inbox_arrivals(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        inbox = Inbox(folder)
        state = inbox.state()
        cursor = json.loads(context.cursor) if context.cursor else {"seen": "", "read": ""}
        if state == cursor["read"]:
            return dg.SensorResult(skip_reason="Nothing new in the inbox.")
        if state != cursor["seen"]:
            return dg.SensorResult(
                skip_reason="Files arrived or still grow; read at the next look if they stay as they are.",
                cursor=json.dumps(cursor | {"seen": state}),
            )
        raw = [raw_key(layer) for layer in layers.values() if layer.kind == "inbox"]
        raw += [
            raw_key(layers[name]) for name in _dropped(inbox) if name in layers and not layers[name].is_by_fiscal_year
        ]
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=state[-200:] or "empty", asset_selection=[*raw, *models])],
            cursor=json.dumps({"seen": state, "read": state}),
        )

    return inbox_arrivals


def _dropped(inbox: Inbox) -> list[str]:
    """Sources that have a file in their drop folder."""
    return sorted(p.name for p in (inbox.folder / SOURCES_FOLDER).glob("*") if inbox.dropped(p.name))
