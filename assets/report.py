"""The report as an asset.

Belongs here: when it is written and what the UI shows of it. Does not: what is in it (restoration/report/page.py).
"""

import base64
from pathlib import Path

import dagster as dg
import vl_convert

from assets.keys import OWNERS, PUBLISHED
from resources.data_folder import DataFolder
from resources.warehouse_resource import WarehouseResource
from restoration.exports.release import REPORT, write_export
from restoration.report.page import PAGE, preview, write_report


@dg.asset(
    key=REPORT,
    deps=[PUBLISHED],
    group_name="exports",
    kinds={"html"},
    owners=OWNERS,
    tags={"layer": "exports"},
    description="data/report/index.html: one page in Spanish and English that opens from a USB stick. Targets, map, ecosystems, money, double "
    "counting, cost per hectare, scorecard, changes, sources; every chart with its table and download.",
)
def report(
    context: dg.AssetExecutionContext, data_folder: DataFolder, warehouse: WarehouseResource
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Write the report of the published release; the picture shows its first chart."""
    data_folder.claim(f"run {context.run_id}")
    folder = Path(data_folder.data_dir) / REPORT
    written = write_export(warehouse.files.published, folder, write_report)
    picture = base64.b64encode(vl_convert.vegalite_to_png(preview(folder / PAGE), scale=1)).decode()
    return dg.MaterializeResult(
        metadata={
            "release_id": written.release_id,
            "is_reused": not written.is_new,
            "path": dg.MetadataValue.path(str(folder / PAGE)),
            "size_mb": round((folder / PAGE).stat().st_size / 1e6, 2),
            "progress": dg.MetadataValue.md(f"![progress](data:image/png;base64,{picture})"),
        },
        data_version=dg.DataVersion(written.version),
    )
