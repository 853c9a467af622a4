"""Raw Parquet: one file a snapshot, the source's own column names, every row, plus `_snapshot_id` (and `_row` of a CSV).

Belongs here: writing and finding raw files. Does not: renaming, typing or judging rows (dbt_like_sql/staging).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from resources.errors import BrokenFile, ColumnsMissing, EmptyAnswer
from resources.esri import LABEL_SUFFIX
from resources.snapshots import refuse_unsafe

SNAPSHOT_COLUMN = "_snapshot_id"
ROW_COLUMN = "_row"  # number of a record in the source's CSV, the header being 1
# GeoParquet 1.1; no crs means OGC:CRS84, longitude first
GEO: dict[str, Any] = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": []}},
}
_COLUMNS = "source_columns"  # in a Parquet file's own metadata
_ROWS_A_GROUP = 20_000
_BYTES_A_GROUP = 8 << 20


@dataclass(frozen=True)
class CsvShape:
    """What raw keeps of a CSV: all columns but some (`left_out`), all rows or those of `keep_where`.

    No row is lost: with `keep_where` a second file beside the first holds, for each value of `totals_by`, how many lines
    the complete file has and the sums of `totals_of`.
    """

    required: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    keep_where: str | None = None
    totals_by: tuple[str, ...] = ()
    totals_of: tuple[str, ...] = ()

    def rows_query(self, given: list[str], read: str) -> str:
        """The kept rows, in the file's own columns, with their numbers in the file: counted before any row is left out."""
        kept = ", ".join(f'"{c}"' for c in given if c not in self.left_out)
        numbered = f"(select *, row_number() over () + 1 as {ROW_COLUMN} from {read})"
        return f"select {kept}, {ROW_COLUMN}, $id as {SNAPSHOT_COLUMN} from {numbered}" + (
            f" where {self.keep_where}" if self.keep_where else ""
        )

    def totals_query(self, read: str) -> str:
        """Line counts and sums of the complete file; a cell that is no number is counted, not silently ignored."""
        by = ", ".join(f'"{c}"' for c in self.totals_by)
        number = "try_cast(nullif(trim(\"{0}\"), '') as decimal(18, 2))"
        sums = ", ".join(f'sum({number.format(c)}) as "{c}"' for c in self.totals_of)
        odd = " + ".join(
            f"count(*) filter (nullif(trim(\"{c}\"), '') is not null and {number.format(c)} is null)"
            for c in self.totals_of
        )
        return (
            f"select {by}, count(*) as line_count, {odd} as unreadable_count, {sums}, $id as {SNAPSHOT_COLUMN}"
            f" from {read} group by all order by all"
        )


class Lake:
    """Raw Parquet below one folder. A source is `institution.layer`, a partition a year, a part or None."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, source: str, partition: str | None, snapshot_id: str) -> Path:
        """Where the rows of a snapshot lie."""
        institution, _, layer = source.partition(".")
        home = self.folder / "raw" / institution / layer
        return (home / refuse_unsafe(source, partition) if partition else home) / f"{snapshot_id}.parquet"

    def totals_path(self, source: str, partition: str | None, snapshot_id: str) -> Path:
        """Path of the totals of a file of which raw keeps only some rows."""
        return self.path(source, partition, snapshot_id).with_suffix(".totals.parquet")

    @staticmethod
    def is_whole(path: Path, *, every_byte: bool = False) -> bool:
        """Whether a raw file, and the totals beside it, can be read to the end; with `every_byte` each page is."""
        totals = path.with_suffix(".totals.parquet")
        for part in (path, *([totals] if totals.exists() else [])):
            try:
                with pq.ParquetFile(part, page_checksum_verification=every_byte) as file:
                    if every_byte:
                        for group in range(file.metadata.num_row_groups):
                            file.read_row_group(group)
            except (OSError, pa.ArrowException):
                return False
        return True

    @staticmethod
    def has_row_numbers(path: Path) -> bool:
        """Whether a raw file has the row numbers of the source's file; those written before 2026-11-27 do not."""
        return ROW_COLUMN in pq.read_schema(path).names

    @staticmethod
    def remove(path: Path) -> None:
        """Remove a raw file that is damaged or of an older form; it is rebuilt from its snapshot."""
        path.unlink(missing_ok=True)
        path.with_suffix(".totals.parquet").unlink(missing_ok=True)

    @staticmethod
    def rows(path: Path) -> int:
        """Rows of a raw file."""
        return int(pq.ParquetFile(path).metadata.num_rows)

    @staticmethod
    def source_columns(path: Path) -> list[str] | None:
        """Columns that the source sent, those that raw does not keep too; None for a file that does not record them."""
        reported = (pq.read_metadata(path).metadata or {}).get(_COLUMNS.encode())
        return json.loads(reported) if reported else None

    @staticmethod
    def values(path: Path, column: str) -> list[str]:
        """Distinct values of a column, sorted."""
        found = pl.scan_parquet(path).select(pl.col(column).drop_nulls().unique().sort()).collect()
        return [str(v) for v in found.to_series()]

    def write(self, source: str, partition: str | None, snapshot_id: str, frames: Iterator[pl.DataFrame]) -> int:
        """Write rows once, a few at a time; the file of a snapshot never changes. Returns its rows."""

        def stream(path: Path) -> None:
            marked = (f.with_columns(pl.lit(snapshot_id).alias(SNAPSHOT_COLUMN)) for f in frames)
            writer: pq.ParquetWriter | None = None
            try:
                for group in _groups(marked):
                    table = group.to_arrow(compat_level=pl.CompatLevel.oldest())
                    if writer is None:
                        geo = {"geo": json.dumps(GEO)} if "geometry" in group.columns else {}
                        reported = geo | {_COLUMNS: _sent(group.columns)}
                        writer = pq.ParquetWriter(
                            path, table.schema.with_metadata(reported), compression="zstd", compression_level=1
                        )
                    writer.write_table(table.cast(pa.schema(writer.schema)))
            finally:
                if writer is not None:
                    writer.close()
            if writer is None:
                raise EmptyAnswer(source)

        target = self._place(self.path(source, partition, snapshot_id), stream)
        return self.rows(target)

    def write_csv(
        self, source: str, partition: str | None, snapshot_id: str, csv: Path, name: str, shape: CsvShape
    ) -> int:
        """Convert a zstd-compressed CSV of the snapshot store to Parquet, every column text; returns its row count.

        Raises BrokenFile for a file that ends in the middle, ColumnsMissing and EmptyAnswer.
        """
        target = self.path(source, partition, snapshot_id)
        try:
            self._copy_csv(source, target, snapshot_id, csv, shape, "utf-8")
        except duckdb.Error as error:
            if "utf-8" not in str(error).lower() and "unicode" not in str(error).lower():
                raise BrokenFile(source, name, _first_lines(error)) from error
            try:  # bytes of Windows: Latin-1 knows every byte
                self._copy_csv(source, target, snapshot_id, csv, shape, "latin-1")
            except duckdb.Error as again:
                raise BrokenFile(source, name, _first_lines(again)) from again
        rows = self.rows(target)
        if shape.keep_where:
            totals = self.totals_path(source, partition, snapshot_id)
            rows = int(pl.read_parquet(totals, columns=["line_count"]).sum().item() or 0)
        if rows == 0:
            self.remove(target)
            raise EmptyAnswer(source)
        return rows

    def _copy_csv(self, source: str, target: Path, snapshot_id: str, csv: Path, shape: CsvShape, encoding: str) -> None:
        with duckdb.connect(":memory:") as con:
            con.execute("set enable_progress_bar = false")
            con.execute("set preserve_insertion_order = true")  # a row is found again by its number
            read = _CSV.format(encoding=encoding)
            columns = [row[0] for row in con.execute(f"describe from {read}", {"csv": str(csv)}).fetchall()]
            if missing := [c for c in shape.required if c not in columns]:
                raise ColumnsMissing(source, missing, columns, shape.required)

            sent = _sent(columns).replace("'", "''")

            def copying(query: str) -> Callable[[Path], None]:
                def copy(path: Path) -> None:  # small row groups: 0.3 GiB instead of 0.6 on 2.4 GB (2026-11-23)
                    con.cursor().execute(
                        f"copy ({query}) to '{path}' (format parquet, compression zstd, row_group_size 30000,"
                        f" kv_metadata {{{_COLUMNS}: '{sent}'}})",
                        {"csv": str(csv), "id": snapshot_id},
                    )

                return copy

            queries = {target: shape.rows_query(columns, read)}
            if shape.keep_where:
                queries[target.with_suffix(".totals.parquet")] = shape.totals_query(read)
            # rows are numbered on one core, so the sums are taken beside them: 1.8 s instead of 2.2 (300,000 rows, 2026-11-27)
            with ThreadPoolExecutor(len(queries)) as pool:
                for done in [pool.submit(self._place, path, copying(query)) for path, query in queries.items()]:
                    done.result()

    @staticmethod
    def _place(target: Path, write: Callable[[Path], None]) -> Path:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = target.with_suffix(f".{os.getpid()}.part")
            try:
                write(scratch)
                os.replace(scratch, target)
            finally:
                scratch.unlink(missing_ok=True)
        return target


# buffers of the longest line: decompressing and parsing overlap better than with 16 MB (3.5 s instead of 3.8, 2026-11-23)
# strict: a row with too few or too many fields, or a quote that never closes, is an error and not a guess
_CSV = (
    "read_csv($csv, compression = 'zstd', header = true, all_varchar = true, delim = ',', quote = '\"', escape = '\"',"
    " strict_mode = true, null_padding = false, ignore_errors = false, max_line_size = 4000000, buffer_size = 4000000, encoding = '{encoding}')"
)


def _sent(columns: Sequence[str]) -> str:
    """Columns of the source among those of a frame, as JSON: not what reading it added."""
    return json.dumps(
        [c for c in columns if c != "geometry" and not c.startswith("_") and not c.endswith(LABEL_SUFFIX)]
    )


def _groups(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Pages gathered to row groups of a useful size, within bounds of memory."""
    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(frame)
        if sum(f.height for f in held) >= _ROWS_A_GROUP or sum(f.estimated_size() for f in held) >= _BYTES_A_GROUP:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def _first_lines(error: duckdb.Error) -> str:
    """What DuckDB found, without its advice to be less strict."""
    return " ".join(line.strip() for line in str(error).split("Possible fixes")[0].splitlines() if line.strip())[:600]
