"""Files that a server gives whole: CSV, files of geometries, tables in a web page.

Belongs here: what a register entry asks of the download, and how each kind of file is read. Does not: downloading
(resources/downloads.py) or parsing (resources/caged.py, resources/consulta_amigable.py, resources/lake.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from resources import consulta_amigable
from resources.cage import DOWNLOAD
from resources.downloads import Downloads
from resources.errors import UnexpectedFormat
from resources.fetch_result import FetchResult
from resources.lake import CsvShape
from resources.snapshots import DROPPED, Draft, Manifest, Part
from restoration.sources.connectors.base import FILE, Connector, Layer, file_part, read_file
from restoration.sources.register import CsvLayer, HtmlTableLayer, VectorFileLayer


class _FileConnector(Connector[Layer]):
    is_web_page = False

    def _download(self, layer: Layer, partition: str | None, draft: Draft, current: Manifest | None) -> Part | None:
        url = layer.url_for(partition)
        downloads = Downloads(self.tools.http)
        part = downloads.read_file(layer.source, url, draft, current, web_page=self.is_web_page)
        if part is not None:
            draft.parameters[FILE] = url.rsplit("/", 1)[-1]
        return part

    def fetch(self, layer: Layer, partition: str | None, draft: Draft, current: Manifest | None) -> FetchResult | None:
        """The file, unless the server says that it is the one we have."""
        return FetchResult() if self._download(layer, partition, draft, current) else None


class VectorFileConnector(_FileConnector[VectorFileLayer]):
    """A file of geometries, in an archive or not."""

    def read(self, layer: VectorFileLayer, of: Draft | Manifest) -> Iterator[pl.DataFrame]:
        """One frame."""
        return iter([read_file(self.tools.store, layer.source, of, DOWNLOAD)])


class HtmlTableConnector(_FileConnector[HtmlTableLayer]):
    """The table of Consulta Amigable, which a web page holds."""

    is_web_page = True

    def fetch(
        self, layer: HtmlTableLayer, partition: str | None, draft: Draft, current: Manifest | None
    ) -> FetchResult | None:
        """The page. It contains the time of the request, so only a changed table counts as new."""
        part = self._download(layer, partition, draft, current)
        if part is None:
            return None
        table = consulta_amigable.read_export(layer.source, self.tools.store.read(part))
        draft.identity = hashlib.sha256(table.write_csv().encode()).hexdigest()
        return FetchResult()

    def read(self, layer: HtmlTableLayer, of: Draft | Manifest) -> Iterator[pl.DataFrame]:
        """One frame: the table."""
        return iter([consulta_amigable.read_export(layer.source, self.tools.store.read(file_part(of.parts)))])


class CsvConnector(_FileConnector[CsvLayer]):
    """A CSV of any size: its rows go from the snapshot to Parquet inside DuckDB."""

    def fetch_dropped(self, layer: CsvLayer, path: Path, draft: Draft) -> None:
        """Raises UnexpectedFormat for a file that cannot be summed whole."""
        if layer.keep_where and path.suffix.lower() != ".csv":
            raise UnexpectedFormat(layer.source, "a CSV (save the table as CSV and leave that)", path.name)
        super().fetch_dropped(layer, path, draft)

    def read(self, layer: CsvLayer, of: Draft | Manifest) -> Iterator[pl.DataFrame]:
        """One frame, of a file in place of the server that is no CSV."""
        return self.read_dropped(layer, of)

    def is_streamed(self, layer: CsvLayer, of: Draft | Manifest) -> bool:  # noqa: ARG002
        """Any CSV is; a workbook in its place is not."""
        return DROPPED not in of.parameters or str(of.parameters[FILE]).lower().endswith(".csv")

    def stream(self, layer: CsvLayer, partition: str | None, of: Draft | Manifest) -> int:
        """Rows that raw keeps, and the sums of all."""
        shape = CsvShape(
            required=tuple(layer.required_columns),
            left_out=tuple(layer.left_out),
            keep_where=layer.keep_where,
            totals_by=tuple(layer.totals_by),
            totals_of=tuple(layer.totals_of),
        )
        name = str(of.parameters.get(DROPPED) or layer.url_for(partition).rsplit("/", 1)[-1])
        blob = self.tools.store.blob_path(file_part(of.parts).sha256)
        return self.tools.lake.write_csv(layer.source, partition, of.snapshot_id, blob, name, shape)
