"""How each kind of source is asked and its stored bodies are read.

Belongs here: one entry a kind, putting the clients of `resources` together with a register entry. Does not: what happens
with the result (extraction.py). No Dagster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from assets.sources.register import SourceLayer
from assets.sources.submissions import SHEETS, to_template
from resources import arcgis, consulta_amigable, json_api, tables, wfs
from resources.arcgis import ArcGIS
from resources.cage import CAGE, DOWNLOAD, SUBMISSION
from resources.downloads import Downloads
from resources.errors import UnexpectedFormat
from resources.http import Http
from resources.inbox import Inbox
from resources.lake import ROW_COLUMN, CsvShape, Lake
from resources.shared_folders import LARGEST_SUBMISSION, open_file
from resources.snapshots import DROPPED, Draft, Manifest, Part, SnapshotStore

FILE = "file"  # in `parameters` of a snapshot
LARGEST_DROPPED = 64 << 30  # bytes; a year of the budget has 2.4 GB


@dataclass(frozen=True)
class Came:
    """A source's bodies are in the draft; `rows_at_server` is the server's own count where it has one.

    `frames` gives the rows where some were read while others were still coming.
    """

    rows_at_server: int | None = None
    frames: Callable[[], Iterator[pl.DataFrame]] | None = None


class Doors:
    """Asks sources, and reads what was stored of them."""

    def __init__(self, http: Http, store: SnapshotStore, lake: Lake, inbox: Inbox) -> None:
        self.http, self.store, self.lake, self.inbox = http, store, lake, inbox
        self._delivered: dict[str, Path] = {}

    def parts(self, layer: SourceLayer) -> list[str]:
        """The parts of a source in parts, as they are now."""
        if layer.kind == "inbox":
            self._delivered = self.inbox.submissions()
            return sorted(self._delivered)
        return ArcGIS(self.http).parts(layer.source, layer.url, layer.layer or "")

    # -- asking ------------------------------------------------------------------------------------

    def fetch(self, layer: SourceLayer, partition: str | None, draft: Draft, current: Manifest | None) -> Came | None:
        """Put the source's bodies into `draft`; None where the server says that `current` still holds."""
        url, source = layer.url_for(partition), layer.source
        if layer.kind == "inbox":
            if partition not in self._delivered:
                self._delivered = self.inbox.submissions()  # looked through once, not once a file
            return self._from_file(source, self._delivered[partition or ""], draft, LARGEST_SUBMISSION)
        draft.tls_verified = self.http.is_verified(url)
        if layer.kind == "arcgis":
            part = partition if layer.is_in_parts else None
            fetched = ArcGIS(self.http).read_layer(source, url, layer.layer or "", draft, part, layer.group)
            return Came(fetched.rows_at_server, fetched.frames)
        if layer.kind == "wfs":
            read = wfs.Wfs(self.http).read_type(source, url, layer.layer or "", layer.unique_attribute or "", draft)
            return Came(read.rows_at_server)
        if layer.kind == "json_api":
            json_api.read_records(self.http, source, url, layer.parameters, layer.records, draft)
            return Came()
        part_of_file = Downloads(self.http).read_file(source, url, draft, current, web_page=layer.kind == "html_table")
        if part_of_file is None:
            return None
        draft.parameters[FILE] = url.rsplit("/", 1)[-1]
        if layer.kind == "html_table":  # the page tells the hour it was asked at; the table is what counts
            table = consulta_amigable.read_export(source, self.store.read(part_of_file))
            draft.identity = hashlib.sha256(table.write_csv().encode()).hexdigest()
        return Came()

    def take_dropped(self, layer: SourceLayer, path: Path, draft: Draft) -> None:
        """Put a file that lies in place of the server into `draft`. Raises UnexpectedFormat for one that cannot be summed whole."""
        if layer.keep_where and path.suffix.lower() != ".csv":
            raise UnexpectedFormat(layer.source, "a CSV (save the table as CSV and leave that)", path.name)
        self._from_file(layer.source, path, draft, LARGEST_DROPPED)
        draft.parameters[DROPPED] = path.name
        draft.identity = dropped_identity(_file(draft.parts).sha256)

    def _from_file(self, source: str, path: Path, draft: Draft, largest: int) -> Came:
        with open_file(source, path, largest) as stream:
            draft.add("file", iter(lambda: stream.read(1 << 20), b""))
        draft.parameters[FILE] = path.name
        return Came()

    # -- reading -----------------------------------------------------------------------------------

    def frames(self, layer: SourceLayer, of: Draft | Manifest) -> Iterator[pl.DataFrame]:
        """The rows of stored bodies, page by page, in the source's own column names."""
        source, parts = layer.source, of.parts
        if layer.kind == "inbox":
            return iter([self._submitted(layer, of)])
        if DROPPED in of.parameters:
            return iter([self._file_rows(source, of).rename({tables.ROW: ROW_COLUMN}, strict=False)])
        if layer.kind == "arcgis":
            return arcgis.read_stored(source, self.store, parts)
        if layer.kind == "wfs":
            return iter([pl.concat(wfs.read_stored(source, self.store, parts), how="diagonal")])
        if layer.kind == "json_api":
            return iter([json_api.rows(source, self.store.read(_file(parts)), layer.records)])
        if layer.kind == "html_table":
            return iter([consulta_amigable.read_export(source, self.store.read(_file(parts)))])
        return iter([self._file_rows(source, of)])

    def _submitted(self, layer: SourceLayer, of: Draft | Manifest) -> pl.DataFrame:
        """A submission's areas, or the rows of another sheet of the template; only a workbook has one."""
        rows = self._file_rows(layer.source, of, layer.sheet)
        return to_template(rows, SHEETS[layer.sheet]) if layer.sheet else to_template(rows)

    def _file_rows(self, source: str, of: Draft | Manifest, sheet: str | None = None) -> pl.DataFrame:
        """Rows of a file of geometries or of a table, by its name; a file of geometries has no further sheet."""
        body, name = self.store.blob_path(_file(of.parts).sha256), str(of.parameters[FILE])
        limits = SUBMISSION if source.startswith("submissions.") else DOWNLOAD
        if tables.is_table(name):
            return CAGE.read("table", source, body, name, limits, sheet)
        return pl.DataFrame() if sheet else CAGE.read("vectors", source, body, name, limits)

    @staticmethod
    def is_streamed(layer: SourceLayer, of: Draft | Manifest) -> bool:
        """Whether the rows go to Parquet inside DuckDB, of a file of any size."""
        return layer.kind == "csv" and (
            DROPPED not in of.parameters or str(of.parameters[FILE]).lower().endswith(".csv")
        )

    def csv_to_lake(self, layer: SourceLayer, partition: str | None, of: Draft | Manifest) -> int:
        """A CSV goes from the snapshot to Parquet inside DuckDB."""
        shape = CsvShape(
            required=tuple(layer.required_columns),
            left_out=tuple(layer.left_out),
            keep_where=layer.keep_where,
            totals_by=tuple(layer.totals_by),
            totals_of=tuple(layer.totals_of),
        )
        name = str(of.parameters.get(DROPPED) or layer.url_for(partition).rsplit("/", 1)[-1])
        blob = self.store.blob_path(_file(of.parts).sha256)
        return self.lake.write_csv(layer.source, partition, of.snapshot_id, blob, name, shape)


def dropped_identity(sha256: str) -> str:
    """Names the snapshot of a file in place of the server, never one of the server with the same bytes."""
    return hashlib.sha256(f"{DROPPED} {sha256}".encode()).hexdigest()


def _file(parts: list[Part]) -> Part:
    return next(p for p in parts if p.role == "file")
