"""From a register entry to a snapshot and its raw Parquet, or to the last good one and a reason.

Belongs here: the one order of fetching, proving, keeping. Does not: protocols (resources) or events (raw.py). No Dagster.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import shapely

from assets.sources.register import SourceLayer
from resources import arcgis, wfs
from resources.arcgis import ArcGIS
from resources.downloads import Downloads
from resources.errors import ColumnsMissing, SourceError, UnreadableAnswer
from resources.http import Http
from resources.lake import Lake
from resources.snapshots import Draft, Manifest, SnapshotStore

logger = logging.getLogger(__name__)

# what parsing raises on an answer of a shape nobody foresaw: it must not stop the other sources
_ODD_ANSWERS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    pl.exceptions.PolarsError,
    shapely.errors.ShapelyError,
)

Job = tuple[SourceLayer, str | None]


@dataclass(frozen=True)
class Refreshed:
    """What came of one source: the snapshot that now stands (None if there never was one) and what went wrong."""

    layer: SourceLayer
    partition: str | None
    manifest: Manifest | None
    is_new: bool
    error: SourceError | None


class Extraction:
    """Reads sources into a snapshot store and a lake."""

    def __init__(self, http: Http, store: SnapshotStore, lake: Lake) -> None:
        self.http, self.store, self.lake = http, store, lake

    def refresh_all(self, jobs: Sequence[Job]) -> list[Refreshed]:
        """Read many sources: hosts side by side, each host's sources one after the other."""
        by_host: dict[str, list[Job]] = defaultdict(list)
        for layer, partition in jobs:
            by_host[urlsplit(layer.url).netloc].append((layer, partition))

        def one_host(queue: list[Job]) -> list[Refreshed]:
            return [self.refresh(layer, partition) for layer, partition in queue]

        with ThreadPoolExecutor(max_workers=max(1, len(by_host))) as pool:
            done = [refreshed for host in pool.map(one_host, by_host.values()) for refreshed in host]
        order = {(layer.source, partition): i for i, (layer, partition) in enumerate(jobs)}
        return sorted(done, key=lambda r: order[r.layer.source, r.partition])

    def refresh(self, layer: SourceLayer, partition: str | None = None) -> Refreshed:
        """Read one source. A failure is remembered and reported, and the last good snapshot stands."""
        source = layer.source
        try:
            manifest, is_new = self._read(layer, partition)
            return Refreshed(layer, partition, manifest, is_new, error=None)
        except (SourceError, *_ODD_ANSWERS) as caught:
            if isinstance(caught, SourceError):
                error = caught
            else:
                logger.exception("%s: unforeseen answer", source)
                error = UnreadableAnswer(source, caught)
            self.store.failed(source, partition, error)
            current = self.store.current(source, partition)
            if current:
                self.restore(layer, partition, current)
            return Refreshed(layer, partition, current, is_new=False, error=error)

    def restore(self, layer: SourceLayer, partition: str | None, manifest: Manifest) -> Path:
        """The raw Parquet of a snapshot, made again from its bodies if it is gone."""
        source, snapshot_id = layer.source, manifest.snapshot_id
        path = self.lake.path(source, partition, snapshot_id)
        if path.exists():
            return path
        bodies = {role: [p for p in manifest.parts if p.role == role] for role in ("metadata", "page", "file")}
        pages = (self.store.read(part) for part in bodies["page"])
        if layer.kind == "arcgis":
            rows = arcgis.read_stored(source, self.store.read(bodies["metadata"][0]), pages)
            return self.lake.write(source, partition, snapshot_id, rows)
        if layer.kind == "wfs":
            return self.lake.write(source, partition, snapshot_id, wfs.read_stored(source, pages))
        self._csv_to_lake(layer, partition, snapshot_id, bodies["file"][0].sha256)
        return path

    def _read(self, layer: SourceLayer, partition: str | None) -> tuple[Manifest, bool]:
        source, draft, url = layer.source, self.store.draft(), layer.url_for(partition)
        current = self.store.current(source, partition)
        rows_at_server: int | None = None
        if layer.kind == "csv":
            part = Downloads(self.http).read_file(source, url, draft, current)
            if part is None and current is not None:
                self.restore(layer, partition, current)
                return self.store.unchanged(source, partition, current), False
            count = self._csv_to_lake(layer, partition, draft.snapshot_id, draft.parts[0].sha256)
        else:
            if layer.kind == "arcgis":
                fetched = ArcGIS(self.http).read_layer(source, url, layer.layer or "", draft)
            else:
                fetched = wfs.Wfs(self.http).read_type(
                    source, url, layer.layer or "", layer.unique_attribute or "", draft
                )
            count = rows_at_server = fetched.count
            if not self.lake.path(source, partition, draft.snapshot_id).exists():
                rows = fetched.rows()
                if missing := [c for c in layer.required_columns if c not in rows.columns]:
                    raise ColumnsMissing(source, missing, rows.columns)
                self.lake.write(source, partition, draft.snapshot_id, rows)
        return self._commit(layer, partition, draft, url, count, rows_at_server)

    def _commit(
        self, layer: SourceLayer, partition: str | None, draft: Draft, url: str, rows: int, rows_at_server: int | None
    ) -> tuple[Manifest, bool]:
        return self.store.commit(
            draft, layer.source, partition, url=url, rows=rows, rows_at_server=rows_at_server, licence=layer.licence,
            disclaimer=layer.disclaimer, allowed_shrink=layer.allowed_shrink,
        )  # fmt: skip

    def _csv_to_lake(self, layer: SourceLayer, partition: str | None, snapshot_id: str, sha256: str) -> int:
        name = layer.url_for(partition).rsplit("/", 1)[-1]
        blob = self.store.blob_path(sha256)
        return self.lake.write_csv(layer.source, partition, snapshot_id, blob, name, layer.required_columns)
