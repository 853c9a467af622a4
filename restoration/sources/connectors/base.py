"""What a connector is: one class a kind of source, which lists the parts of a source, fetches its bodies, and reads them.

Belongs here: the base class of the others, and reading a stored file, which several need. Does not: any one kind, or
what happens with the result (extraction.py).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import polars as pl

from resources import tables
from resources.cage import CAGE, DOWNLOAD, Limits
from resources.fetch_result import FetchResult
from resources.http import Http
from resources.inbox import Inbox
from resources.lake import ROW_COLUMN, Lake
from resources.shared_folders import open_file
from resources.snapshots import DROPPED, Draft, Manifest, Part, SnapshotStore
from restoration.sources.register import SourceLayer

FILE = "file"  # in `parameters` of a snapshot
LARGEST_DROPPED = 64 << 30  # bytes; a year of the budget has 2.4 GB


@dataclass(frozen=True)
class Tools:
    """What connectors reach sources and stored bodies with."""

    http: Http
    store: SnapshotStore
    lake: Lake
    inbox: Inbox


Layer = TypeVar("Layer", bound=SourceLayer)


class Connector(ABC, Generic[Layer]):
    """Queries sources of one kind, and reads what was stored of them. `layer` is the source's entry in its register."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools

    def list_parts(self, layer: Layer) -> list[str]:  # noqa: ARG002
        """The parts of a source in parts, as they are now; none for a source that comes whole."""
        return []

    @abstractmethod
    def fetch(self, layer: Layer, partition: str | None, draft: Draft, current: Manifest | None) -> FetchResult | None:
        """Put the source's bodies into `draft`; None where the server says that `current` still holds. Raises SourceError."""

    @abstractmethod
    def read(self, layer: Layer, of: Draft | Manifest) -> Iterator[pl.DataFrame]:
        """The rows of stored bodies, page by page, in the source's own column names."""

    def frames(self, layer: Layer, of: Draft | Manifest) -> Iterator[pl.DataFrame]:
        """The rows of a snapshot, of the server or of a file in its place."""
        return self.read_dropped(layer, of) if DROPPED in of.parameters else self.read(layer, of)

    # -- a file in place of the server ---------------------------------------------------------------

    def fetch_dropped(self, layer: Layer, path: Path, draft: Draft) -> None:
        """Put a file that lies in place of the server into `draft`."""
        add_file(layer.source, path, draft, LARGEST_DROPPED)
        draft.parameters[DROPPED] = path.name
        draft.identity = dropped_identity(file_part(draft.parts).sha256)

    def read_dropped(self, layer: Layer, of: Draft | Manifest) -> Iterator[pl.DataFrame]:
        """Its rows, numbered as in the file."""
        frame = read_file(self.tools.store, layer.source, of, DOWNLOAD)
        return iter([frame.rename({tables.ROW: ROW_COLUMN}, strict=False)])

    # -- files that are too large to pass through this process -----------------------------------------

    def is_streamed(self, layer: Layer, of: Draft | Manifest) -> bool:  # noqa: ARG002
        """Whether `stream` writes the rows, instead of `read` giving them."""
        return False

    def stream(self, layer: Layer, partition: str | None, of: Draft | Manifest) -> int:
        """Write the rows of stored bodies to Parquet inside DuckDB; returns how many."""
        raise NotImplementedError


def add_file(source: str, path: Path, draft: Draft, largest: int) -> None:
    """Put a file that somebody left into `draft`. Raises UnexpectedFormat for one of more than `largest` bytes."""
    with open_file(source, path, largest) as stream:
        draft.add("file", iter(lambda: stream.read(1 << 20), b""))
    draft.parameters[FILE] = path.name


def read_file(
    store: SnapshotStore, source: str, of: Draft | Manifest, limits: Limits, sheet: str | None = None
) -> pl.DataFrame:
    """Rows of a stored file of geometries or of a table, by its name; a file of geometries has no further sheet."""
    body, name = store.blob_path(file_part(of.parts).sha256), str(of.parameters[FILE])
    if tables.is_table(name):
        return CAGE.read("table", source, body, name, limits, sheet)
    return pl.DataFrame() if sheet else CAGE.read("vectors", source, body, name, limits)


def file_part(parts: list[Part]) -> Part:
    """The body that is a file."""
    return next(part for part in parts if part.role == "file")


def dropped_identity(sha256: str) -> str:
    """Names the snapshot of a file in place of the server, never one of the server with the same bytes."""
    return hashlib.sha256(f"{DROPPED} {sha256}".encode()).hexdigest()
