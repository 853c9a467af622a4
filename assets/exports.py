"""Exports as assets.

Belongs here: when exports are written and what the UI shows of them. Does not: what is in them.
"""

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from pydantic import Field

from assets.keys import OWNERS, PUBLISHED
from resources.data_folder import DataFolder
from resources.secrets import secret
from resources.warehouse_resource import WarehouseResource
from restoration.exports.cbd import write_cbd
from restoration.exports.datapackage import write_datapackage
from restoration.exports.dictionary import write_dictionary
from restoration.exports.ferm import ferm_settings, write_ferm
from restoration.exports.ferm_push import BOOK, KEY_VARIABLE, SentLog, push
from restoration.exports.gis import CRS, write_gis
from restoration.exports.metadata import write_metadata
from restoration.exports.release import EXPORTS, Writer, Written, write_export
from restoration.exports.unccd import write_unccd
from restoration.exports.workbook import write_workbook

FERM, FERM_PUSH = "exports_ferm", "ferm_push"


@dataclass(frozen=True)
class Export:
    """One kind of export: its folder below data/exports, who writes it, what the UI says of it."""

    kind: str
    writer: Writer
    kinds: frozenset[str]
    description: str
    about: dict[str, object] | None = None


KINDS = (
    Export(
        "gis",
        write_gis,
        frozenset({"geopackage", "geoparquet"}),
        "restauracion.gpkg for QGIS, which finds its styles inside, and a GeoParquet a layer (initiatives, areas, overlaps, "
        "allocations), in longitude and latitude.",
        {"crs": CRS},
    ),
    Export(
        "ferm",
        write_ferm,
        frozenset({"geojson", "shapefile"}),
        "What FAO's FERM takes: a FeatureCollection, zipped shapefiles and an attribute table per institution, the payloads of its write "
        "API, and left_out.csv with what may not count and why. Net ground: no hectare goes twice.",
        {"endpoint": ferm_settings().endpoint},
    ),
    Export(
        "cbd",
        write_cbd,
        frozenset({"excel"}),
        "The upload sheet of indicator 2.1 for the CBD's Online Reporting Tool, with its reconciliation, and the spending view of D.2.",
    ),
    Export(
        "unccd",
        write_unccd,
        frozenset({"excel"}),
        "PRAIS4: targets, implemented actions in net km², SO5-2 domestic finance.",
    ),
    Export(
        "excel", write_workbook, frozenset({"excel"}), "restauracion.xlsx: every mart on a sheet, and the dictionary."
    ),
    Export("csv", write_datapackage, frozenset({"csv"}), "CSV files with a Frictionless datapackage.json."),
    Export(
        "dictionary",
        write_dictionary,
        frozenset({"html"}),
        "Every table and column in words, and the entity-relationship diagram.",
    ),
    Export(
        "metadata",
        write_metadata,
        frozenset({"xml", "json"}),
        "The release's record as ISO 19115 (19139 XML) and DCAT.",
    ),
)


def export_assets() -> list[dg.AssetsDefinition]:
    """An asset a kind of export, and the push to FERM, which no schedule starts."""
    return [*(_asset(export) for export in KINDS), ferm_push]


def _asset(export: Export) -> dg.AssetsDefinition:
    @dg.asset(
        key=f"exports_{export.kind}",
        deps=[PUBLISHED],
        group_name="exports",
        kinds=set(export.kinds),
        owners=OWNERS,
        tags={"layer": "exports"},
        description=f"data/exports/{export.kind}/: {export.description} manifest.json says which release.",
    )
    def exported(
        context: dg.AssetExecutionContext, data_folder: DataFolder, warehouse: WarehouseResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        data_folder.claim(f"run {context.run_id}")
        folder = Path(data_folder.data_dir) / EXPORTS / export.kind
        return _result(write_export(warehouse.files.published, folder, export.writer, export.about))

    return exported


def _result(written: Written) -> dg.MaterializeResult:  # type: ignore[type-arg]
    shown = sorted(written.files.items(), key=lambda item: -item[1].bytes)[:12]
    lines = [f"| {name} | {'' if f.rows is None else f'{f.rows:,}'} | {f.bytes / 1024:,.0f} |" for name, f in shown]
    more = len(written.files) - len(shown)
    table = "| file | rows | KiB |\n|---|---:|---:|\n" + "\n".join(lines) + (f"\n\nand {more} more" if more else "")
    return dg.MaterializeResult(
        metadata={
            "release_id": written.release_id,
            "is_reused": not written.is_new,
            "path": dg.MetadataValue.path(str(written.folder)),
            "files": dg.MetadataValue.md(table),
        },
        data_version=dg.DataVersion(written.version),
    )


class FermPushConfig(dg.Config):
    """How to push."""

    send: bool = Field(
        default=False,
        description="false: a dry run that says what would be sent. true: send what is new; there is no way back",
    )


@dg.asset(
    key=FERM_PUSH,
    deps=[f"{FERM}"],
    group_name="exports",
    kinds={"geojson"},
    owners=OWNERS,
    tags={"layer": "exports"},
    description=f"Sends the payloads of data/exports/ferm to FAO's FERM. Never part of the nightly run. A dry run unless `send: true`; the key "
    f"comes from {KEY_VARIABLE}; data/ferm/{BOOK} remembers what was sent, so that nothing goes twice.",
)
def ferm_push(
    context: dg.AssetExecutionContext, config: FermPushConfig, data_folder: DataFolder
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Say what would be sent, or send it."""
    home = Path(data_folder.data_dir)
    data_folder.claim(f"push {context.run_id}")  # two pushes at once would send twice
    sent_log = SentLog(home / "ferm" / BOOK)
    key = secret(KEY_VARIABLE)
    done = push(home / EXPORTS / "ferm", sent_log, data_folder.http(), key, is_dry_run=not config.send)
    for line in done.refused:
        context.log.warning("FERM refused %s", line)
    if done.stopped:
        raise dg.Failure(f"stopped after {done.sent} initiatives: {done.stopped}", allow_retries=False)
    return dg.MaterializeResult(
        metadata={
            "is_dry_run": not config.send,
            "sent": done.sent,
            "refused": len(done.refused),
            "states": dg.MetadataValue.md("\n".join(f"* {state}: {count:,}" for state, count in done.planned.items())),
        }
    )
