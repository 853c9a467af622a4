"""The published file as an asset.

Belongs here: the last step of a run. Does not: what publishing means (restoration/build/publish.py).
"""

from collections.abc import Mapping

import dagster as dg

from assets.keys import OWNERS, PUBLISHED, table_key
from assets.models import publish_release, session_of
from dbt_like_sql.runner import load_models
from resources.data_folder import DataFolder
from resources.warehouse_resource import WarehouseResource
from restoration.sources.register import SourceLayer


def published_warehouse(layers: Mapping[str, SourceLayer]) -> dg.AssetsDefinition:
    """The asset that every mart leads to.

    Its arrows are those of what analysts read. Its priority puts it last in a run, so that a run of some sources and this asset
    alone reads first; and `publish` builds whatever is not current, whatever the run selected.
    """
    shown = [table for table in load_models() if table.split(".")[0] in {"marts", "quality", "meta"}]

    @dg.asset(
        key=PUBLISHED,
        deps=[table_key(table) for table in shown],
        group_name="publish",
        kinds={"duckdb"},
        owners=OWNERS,
        op_tags={"dagster/priority": "-1"},
        tags={"layer": "publish"},
        description="data/warehouse/restauracion.duckdb: the build, after every blocking check passed, in one atomic swap. "
        "Readers that hold the old file keep it; a failed run never touches it.",
    )
    def published(
        context: dg.AssetExecutionContext, data_folder: DataFolder, warehouse: WarehouseResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        session = session_of(context, data_folder, warehouse, layers)
        release = publish_release(context, session, data_folder)
        origin = "sandbox: synthetic data, of no institution" if release.is_sandbox else "live"
        return dg.MaterializeResult(
            metadata={
                "release_id": release.release_id,
                "is_new": release.is_new,
                "origin": origin,
                "stale_sources": release.stale_sources,
                "path": dg.MetadataValue.path(str(release.path)),
                "size_mb": round(release.path.stat().st_size / 1e6, 1),
            },
            data_version=dg.DataVersion(release.release_id),
        )

    return published
