"""The quality site as an asset.

Belongs here: when the site is written and what the UI shows of it. Does not: what its pages say (restoration/quality_site).
"""

from pathlib import Path

import dagster as dg

from assets.keys import OWNERS, PUBLISHED, QUALITY_SITE
from resources.data_folder import DataFolder
from resources.warehouse_resource import WarehouseResource
from restoration.quality_site.pages import LATEST, write_site


@dg.asset(
    key=QUALITY_SITE,
    deps=[PUBLISHED],
    group_name="publish",
    kinds={"html"},
    owners=OWNERS,
    tags={"layer": "publish"},
    description="data/quality/<release>/: a page that a director reads in a minute, and behind it every contract, rule, count "
    "and sample of the release. Opens from a disk, offline. data/quality/latest is the newest.",
)
def quality_site(data_folder: DataFolder, warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Write the site of the published release."""
    with warehouse.get_connection() as con:
        site = write_site(con, Path(data_folder.data_dir) / "quality")
    return dg.MaterializeResult(
        metadata={
            "release_id": site.release_id,
            "pages": site.pages,
            "site": data_folder.quality_page("index.html"),
            "path": dg.MetadataValue.path(str(site.folder.parent / LATEST / "index.html")),
        }
    )
