"""From a register entry to a snapshot and its raw Parquet, or to the last good one and the error.

Belongs here: the one order of fetching, checking, storing; how long a dropped file is used. Does not: how each
kind is read (connectors.py), which file is for what (dropped.py) or events (assets/raw.py).
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import logging
import os
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import polars as pl
import shapely
from lxml import etree

from resources.errors import (
    ColumnsMissing,
    CorruptSnapshot,
    EmptyAnswer,
    OutsidePeru,
    SameAsAnother,
    SourceError,
    UnreadableAnswer,
    WrongPartition,
)
from resources.fetch_result import FetchResult
from resources.http import Http
from resources.inbox import Inbox, plain_name
from resources.lake import Lake
from resources.peru import PERU_BOX
from resources.shared_folders import open_file
from resources.snapshots import DROPPED, Draft, Manifest, SnapshotStore
from restoration.sources.cadence import Refresh, is_due
from restoration.sources.connectors import all_connectors
from restoration.sources.connectors.base import FILE, LARGEST_DROPPED, Tools, dropped_identity
from restoration.sources.dropped import DroppedFiles
from restoration.sources.register import InboxLayer, SourceLayer

logger = logging.getLogger(__name__)

# what parsing raises on an answer of an unexpected shape: it must not stop the other sources
_ODD_ANSWERS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    csv.Error,
    etree.LxmlError,
    zipfile.BadZipFile,
    zlib.error,
    pl.exceptions.PolarsError,
    shapely.errors.ShapelyError,
)

_FILES_AT_ONCE = 4  # of the inbox; each may take 2 GiB while it is read

Job = tuple[SourceLayer, str | None]


@dataclass(frozen=True)
class Refreshed:
    """The result for one source: its current snapshot (None if there never was one) and what went wrong."""

    layer: SourceLayer
    partition: str | None
    manifest: Manifest | None
    is_new: bool
    error: SourceError | None
    is_asked: bool = True


class Extraction:
    """Reads sources into a snapshot store and a lake."""

    def __init__(self, http: Http, store: SnapshotStore, lake: Lake, inbox: Inbox | None = None) -> None:
        self.http, self.store, self.lake = http, store, lake
        self.inbox = inbox or Inbox(store.folder.parent / "inbox")
        self._refresh: Refresh = "all"
        self.connectors = all_connectors(Tools(http, store, lake, self.inbox))
        self.dropped = DroppedFiles(self.inbox)

    # -- many --------------------------------------------------------------------------------------

    def refresh_all(self, jobs: Sequence[Job], refresh: Refresh = "all") -> list[Refreshed]:
        """Read many sources: hosts side by side, each host's sources one after the other.

        A job without a partition, for a source in parts, means each part that exists now or ever existed. With `due`, a
        source whose cadence does not require it tonight is not queried, and its last snapshot is kept.
        """
        self._refresh = refresh
        by_host: dict[str, list[Job]] = defaultdict(list)
        for layer, partition in jobs:
            by_host[urlsplit(layer.url).netloc].append((layer, partition))

        def one_host(queue: list[Job]) -> list[Refreshed]:
            done = [refreshed for job in queue for refreshed in self._job(*job)]
            layers = {layer.source: layer for layer, _ in queue if not layer.is_submitted}
            return done + [refused for layer in layers.values() for refused in self._unplaced(layer)]

        with ThreadPoolExecutor(max_workers=max(1, len(by_host))) as pool:
            done = [refreshed for host in pool.map(one_host, by_host.values()) for refreshed in host]
        order = {layer.source: i for i, (layer, _) in enumerate(jobs)}
        return sorted(done, key=lambda r: (order[r.layer.source], r.partition or ""))

    def _waits(self, layer: SourceLayer, partition: str | None) -> list[Refreshed]:
        """The current snapshot of a source that is not queried tonight; nothing where it is queried."""
        if self._refresh == "all" or (self.by_hand(layer) if partition is None else partition in self.by_hand(layer)):
            return []
        in_parts = layer.is_in_parts and partition is None
        parts: Sequence[str | None] = self.store.partitions(layer.source) if in_parts else [partition]
        now = dt.datetime.now(dt.UTC)
        if not parts or any(is_due(self.store, layer, part, now) for part in parts):
            return []
        return [Refreshed(layer, p, self._last_good(layer, p), is_new=False, error=None, is_asked=False) for p in parts]

    def _job(self, layer: SourceLayer, partition: str | None) -> list[Refreshed]:
        if waiting := self._waits(layer, partition):
            return waiting
        if partition is not None or not layer.is_in_parts:
            return [self.refresh(layer, partition)]
        known = self.store.partitions(layer.source)
        try:
            parts = self.connectors[layer.kind].list_parts(layer)
        except (SourceError, *_ODD_ANSWERS) as caught:
            every: Sequence[str | None] = sorted({*known, *self.dropped.partitions(layer)}) or [None]
            by_hand = self.by_hand(layer)
            return [self.refresh(layer, p) if p in by_hand else self._failed(layer, p, caught) for p in every]
        if isinstance(
            layer, InboxLayer
        ):  # a file that was removed had been read; its rows are kept until it is withdrawn
            for names in [] if layer.sheet else self.inbox.alike():  # reported once, not for each sheet of a workbook
                logger.warning(
                    "%s: the folders %s are institutions of their own; are they one?", layer.source, " and ".join(names)
                )
            self._withdraw(layer, {*known} - {*parts})
            kept_parts = [
                Refreshed(layer, p, self._last_good(layer, p), is_new=False, error=None)
                for p in known
                if p not in parts
            ]
            with ThreadPoolExecutor(max_workers=min(_FILES_AT_ONCE, os.cpu_count() or 1)) as pool:
                return [*kept_parts, *pool.map(lambda part: self.refresh(layer, part), parts)]
        return [self.refresh(layer, part) for part in sorted({*parts, *known, *self.dropped.partitions(layer)})]

    def by_hand(self, layer: SourceLayer) -> set[str | None]:
        """Parts of a source that have a dropped file, or had one until it was removed: queried every night."""
        parts: Sequence[str | None] = self.store.partitions(layer.source) if layer.is_partitioned else [None]
        there: set[str | None] = {*self.dropped.partitions(layer)}
        if self.dropped.of(layer, None):
            there.add(None)
        return there | {part for part in parts if self.store.dropped(layer.source, part)}

    def _unplaced(self, layer: SourceLayer) -> list[Refreshed]:
        """A failure of the source, reported once for each file whose year or part cannot be determined."""
        return [
            Refreshed(layer, None, None, is_new=False, error=e, is_asked=False) for e in self.dropped.unplaced(layer)
        ]

    def _withdraw(self, layer: SourceLayer, gone: set[str]) -> None:
        """Withdraw the data of files that were moved to the folder of withdrawals, or whose name here has changed."""
        for name, path in self.inbox.submissions().items():
            former = plain_name(path.parent.name, path.name)
            last_good = self.store.current(layer.source, former) if former in gone else None
            if last_good and last_good.parameters.get(FILE) == path.name:  # not another file that shared the name
                self.store.withdraw(layer.source, former, f"its file is read as {name} now")
        for partition, path in self.inbox.withdrawals().items():
            if partition in gone and not self.store.is_withdrawn(layer.source, partition):
                logger.warning("%s: %s is withdrawn", layer.source, partition)
                self.store.withdraw(layer.source, partition, f"{path.name} was left in {path.parent.name}/")

    # -- one ---------------------------------------------------------------------------------------

    def refresh(self, layer: SourceLayer, partition: str | None = None) -> Refreshed:
        """Read one source. A failure is recorded and reported, and the last good snapshot is kept.

        A file in place of the server is taken first. The server is still queried: a new answer replaces the file; while
        the server fails or has nothing new the file is used.
        """
        was_taken, refused = False, None
        if not layer.is_submitted:
            try:
                was_taken = self._take_dropped(layer, partition)
            except (SourceError, *_ODD_ANSWERS) as caught:
                refused = self._failed(layer, partition, caught).error
        try:
            manifest, is_new = self._read(layer, partition)
        except (SourceError, *_ODD_ANSWERS) as caught:
            last_good = self._last_good(layer, partition)
            if last_good is None or not last_good.is_dropped:
                failed = self._failed(layer, partition, caught)
                return replace(failed, error=refused or failed.error)
            logger.warning("%s: the file %s is used: %s", layer.source, last_good.parameters[DROPPED], caught)
            return Refreshed(layer, partition, last_good, was_taken, refused)
        return Refreshed(layer, partition, manifest, was_taken or is_new, refused)

    def _take_dropped(self, layer: SourceLayer, partition: str | None) -> bool:
        """Read the file in place of the server, once; withdraw the snapshot of a file that was removed."""
        path, source = self.dropped.of(layer, partition), layer.source
        if path is None:
            for gone in self.store.dropped(source, partition):
                name = gone.parameters[DROPPED]
                logger.warning("%s: the file %s was removed and is no longer used", source, name)
                self.store.withdraw(source, partition, f"{name} was taken away", gone.snapshot_id)
            return False
        with open_file(source, path, LARGEST_DROPPED) as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        current = self.store.current(source, partition)
        taken = {attempt.snapshot_id for attempt in self.store.good(source, partition)}
        if dropped_identity(sha256)[:16] in taken or (current and sha256 in {part.sha256 for part in current.parts}):
            return False
        with self._drafted() as draft:
            self.connectors[layer.kind].fetch_dropped(layer, path, draft)
            return self._keep(layer, partition, draft, None)[1]

    def _failed(self, layer: SourceLayer, partition: str | None, caught: Exception) -> Refreshed:
        if isinstance(caught, SourceError):
            error = caught
        else:
            logger.error("%s: unforeseen answer", layer.source, exc_info=caught)
            error = UnreadableAnswer(layer.source, caught)
        self.store.failed(layer.source, partition, error)
        return Refreshed(layer, partition, self._last_good(layer, partition), is_new=False, error=error)

    def _last_good(self, layer: SourceLayer, partition: str | None) -> Manifest | None:
        """The last good snapshot, with its raw Parquet in place."""
        current = self.store.current(layer.source, partition)
        while current:
            try:
                self.restore(layer, partition, current)
            except CorruptSnapshot as damaged:
                logger.error(
                    "%s: snapshot %s is damaged, the previous one is used: %s",
                    layer.source,
                    current.snapshot_id,
                    damaged,
                )
                current = self.store.mark_corrupt(layer.source, partition, current, damaged)
            else:
                break
        return current

    def restore(self, layer: SourceLayer, partition: str | None, manifest: Manifest) -> Path:
        """The raw Parquet of a snapshot, rebuilt from its bodies if it is missing, damaged or of an older format."""
        path = self.lake.path(layer.source, partition, manifest.snapshot_id)
        if not self._is_there(layer, path, manifest):
            self._write(layer, partition, manifest)
        return path

    def _is_there(self, layer: SourceLayer, path: Path, of: Draft | Manifest) -> bool:
        """Whether the raw Parquet can be read; one that cannot is removed."""
        if not path.exists():
            return False
        if not self.lake.is_whole(path):
            logger.error("%s: %s is damaged and is rebuilt from snapshot %s", layer.source, path, of.snapshot_id)
        elif self.connectors[layer.kind].is_streamed(layer, of) and not self.lake.has_row_numbers(path):
            logger.warning("%s: %s lacks the numbers of its rows and is rebuilt", layer.source, path)
        else:
            return True
        self.lake.remove(path)
        return False

    def _read(self, layer: SourceLayer, partition: str | None) -> tuple[Manifest, bool]:
        current = self._last_good(layer, partition)
        asked = self.store.of_server(layer.source, partition)
        known = asked if asked and self.store.has_bodies(asked) else None  # without its bytes: ask for all of it
        with self._drafted() as draft:
            if not layer.is_submitted:
                draft.tls_verified = self.http.is_verified(layer.url_for(partition))
            fetched = self.connectors[layer.kind].fetch(layer, partition, draft, known)
            if fetched is None and current is not None:
                return self.store.unchanged(layer.source, partition, current), False
            return self._keep(layer, partition, draft, fetched)

    @contextmanager
    def _drafted(self) -> Iterator[Draft]:
        """A draft that leaves nothing behind where anything fails."""
        draft = self.store.draft()
        try:
            yield draft
        except BaseException:
            draft.discard()
            raise

    def _keep(
        self, layer: SourceLayer, partition: str | None, draft: Draft, fetched: FetchResult | None
    ) -> tuple[Manifest, bool]:
        """Check what was fetched, and make it the current snapshot."""
        source = layer.source
        self._refuse_another_years(layer, partition, draft)
        path = self.lake.path(source, partition, draft.snapshot_id)
        was_there = self._is_there(layer, path, draft)
        try:
            known_rows = self.store.rows_of(
                source, partition, draft.snapshot_id
            )  # raw may keep fewer than the file has
            if not was_there:
                written = self._write(layer, partition, draft, fetched)
            rows = known_rows if known_rows is not None else self.lake.rows(path) if was_there else written
            return self.store.commit(
                draft,
                source,
                partition,
                url=layer.url_for(partition),
                rows=rows,
                rows_at_server=fetched.rows_at_server if fetched else None,
                licence=layer.licence,
                disclaimer=layer.disclaimer,
                allowed_shrink=layer.allowed_shrink,
                columns=self.lake.source_columns(path) if not layer.is_submitted else None,
            )
        except BaseException:
            if not was_there:
                self.lake.remove(path)
            raise

    def _refuse_another_years(self, layer: SourceLayer, partition: str | None, draft: Draft) -> None:
        """A year's file with another year's bytes is a mistake of the host (seen at the source), not news."""
        if not layer.is_by_fiscal_year or partition is None:
            return
        for other in self.store.partitions(layer.source):
            last_good = self.store.current(layer.source, other) if other != partition else None
            if last_good and [p.sha256 for p in last_good.parts] == [p.sha256 for p in draft.parts]:
                raise SameAsAnother(layer.source, partition, other)

    # -- raw ---------------------------------------------------------------------------------------

    def _write(
        self, layer: SourceLayer, partition: str | None, of: Draft | Manifest, fetched: FetchResult | None = None
    ) -> int:
        """Raw Parquet from stored bodies: the only way, for a new snapshot and for a rebuilt one. Returns its rows."""
        connector = self.connectors[layer.kind]
        if connector.is_streamed(layer, of):
            rows = connector.stream(layer, partition, of)
        else:
            frames = fetched.frames() if fetched and fetched.frames else connector.frames(layer, of)
            rows = self.lake.write(layer.source, partition, of.snapshot_id, _checked(layer, frames))
        if layer.partition_column and partition:
            held = self.lake.values(self.lake.path(layer.source, partition, of.snapshot_id), layer.partition_column)
            if held != [partition]:
                raise WrongPartition(layer.source, partition, layer.partition_column, held)
        return rows


def _checked(layer: SourceLayer, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Frames as they come; at the end, whether there were rows with the columns we need, and most of them in Peru."""
    rows = outside = drawn = 0
    bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
    for frame in frames:
        if missing := [c for c in layer.required_columns if c not in frame.columns]:
            raise ColumnsMissing(layer.source, missing, frame.columns, layer.required_columns)
        rows += frame.height
        if "geometry" in frame.columns:
            shapes = shapely.from_wkb(frame["geometry"].to_numpy())
            if (
                collections := np.flatnonzero(shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION)
            ).size:
                shapes[collections] = [_unnested(shape) for shape in shapes[collections]]
                frame = frame.with_columns(pl.Series("geometry", shapely.to_wkb(shapes).tolist(), dtype=pl.Binary))
            boxes = shapely.bounds(shapes)
            boxes = boxes[~np.isnan(boxes[:, 0])]
            drawn += len(boxes)
            outside += int(_lie_outside(boxes).sum())
            if len(boxes):
                bounds = np.concatenate(
                    [np.minimum(bounds[:2], boxes[:, :2].min(0)), np.maximum(bounds[2:], boxes[:, 2:].max(0))]
                )
        yield frame
    if rows == 0 and not layer.may_be_empty:
        raise EmptyAnswer(layer.source)
    if drawn and outside > drawn / 2 and not layer.is_submitted:  # a submission's rows are judged one by one
        raise OutsidePeru(layer.source, outside, drawn, tuple(float(b) for b in bounds))


def _unnested(collection: Any) -> Any:
    """A collection without collections in it: the same geometry, and DuckDB reads none that is nested deeply."""
    parts = shapely.get_parts([collection])
    if not (shapely.get_type_id(parts) == shapely.GeometryType.GEOMETRYCOLLECTION).any():
        return collection
    while (shapely.get_type_id(parts) == shapely.GeometryType.GEOMETRYCOLLECTION).any():
        parts = shapely.get_parts(parts)
    return shapely.GeometryCollection(list(parts))


def _lie_outside(boxes: Any) -> Any:
    west, south, east, north = PERU_BOX
    return (boxes[:, 0] > east) | (boxes[:, 2] < west) | (boxes[:, 1] > north) | (boxes[:, 3] < south)
