"""Exports as assets.

Belongs here: when exports are written and what the UI shows of them. Does not: what is in them (gis.py).
"""

from pathlib import Path

import dagster as dg

from assets.exports.gis import write_gis
from assets.names import OWNERS, PUBLISHED
from resources.data_folder import DataFolder
from resources.warehouse import WarehouseResource


@dg.asset(
    key="exports_gis",
    deps=[PUBLISHED],
    group_name="exports",
    kinds={"geopackage", "geoparquet"},
    owners=OWNERS,
    tags={"layer": "exports"},
    description="data/exports/gis/: restauracion.gpkg for QGIS and a GeoParquet a layer (initiatives, areas, overlaps, allocations) "
    "of the published release, in longitude and latitude. manifest.json says which release.",
)
def exports_gis(data_folder: DataFolder, warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Write the map files of the published release; nothing where they are there already."""
    written = write_gis(warehouse.files.published, Path(data_folder.data_dir) / "exports")
    return dg.MaterializeResult(
        metadata={
            "release_id": written.release_id,
            "is_reused": not written.is_new,
            "path": dg.MetadataValue.path(str(written.folder)),
            "features": dg.MetadataValue.md(
                "\n".join(f"* {name}: {count:,}" for name, count in written.features.items())
            ),
        }
    )
