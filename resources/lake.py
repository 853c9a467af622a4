"""Raw Parquet: one file a snapshot, the source's own column names, every row, plus `_snapshot_id`.

Belongs here: writing and finding raw files. Does not: renaming, typing or judging rows (dbt_like_sql/staging).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl

from resources.errors import BrokenFile, ColumnsMissing, EmptyAnswer

SNAPSHOT_COLUMN = "_snapshot_id"
# GeoParquet 1.1; no crs means OGC:CRS84, longitude first
_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": []}},
}


class Lake:
    """Raw Parquet below one folder. A source is `institution.layer`, a partition a fiscal year or None."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, source: str, partition: str | None, snapshot_id: str) -> Path:
        """Where the rows of a snapshot lie."""
        institution, _, layer = source.partition(".")
        home = self.folder / "raw" / institution / layer
        return (home / partition if partition else home) / f"{snapshot_id}.parquet"

    def write(self, source: str, partition: str | None, snapshot_id: str, rows: pl.DataFrame) -> Path:
        """Write rows once; the file of a snapshot never changes."""
        metadata = {"geo": json.dumps(_GEO)} if "geometry" in rows.columns else {}
        marked = rows.with_columns(pl.lit(snapshot_id).alias(SNAPSHOT_COLUMN))
        return self._place(
            self.path(source, partition, snapshot_id), lambda path: marked.write_parquet(path, metadata=metadata)
        )

    def write_csv(
        self, source: str, partition: str | None, snapshot_id: str, csv: Path, name: str, required: list[str]
    ) -> int:
        """Turn a zstd-compressed CSV of the snapshot store into Parquet, every column text; returns its rows.

        Raises BrokenFile for a file that ends in the middle, ColumnsMissing and EmptyAnswer.
        """
        with duckdb.connect(":memory:") as con:
            try:
                columns = [row[0] for row in con.execute(f"describe {_CSV}", {"csv": str(csv)}).fetchall()]
                if missing := [c for c in required if c not in columns]:
                    raise ColumnsMissing(source, missing, columns)

                def copy(path: Path) -> None:
                    con.execute(
                        f"copy (select *, $id as {SNAPSHOT_COLUMN} {_CSV}) to '{path}' (format parquet, compression zstd)",
                        {"csv": str(csv), "id": snapshot_id},
                    )

                target = self._place(self.path(source, partition, snapshot_id), copy)
            except duckdb.Error as error:
                raise BrokenFile(source, name, _first_lines(error)) from error
        rows = pl.scan_parquet(target).select(pl.len()).collect().item()
        if rows == 0:
            target.unlink()
            raise EmptyAnswer(source)
        return int(rows)

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


# strict: a row with too few or too many fields, or a quote that never closes, is an error and not a guess
_CSV = (
    "from read_csv($csv, compression = 'zstd', header = true, all_varchar = true, delim = ',', quote = '\"', escape = '\"',"
    " strict_mode = true, null_padding = false, ignore_errors = false, max_line_size = 20000000)"
)


def _first_lines(error: duckdb.Error) -> str:
    """What DuckDB found, without its advice to be less strict."""
    return " ".join(line.strip() for line in str(error).split("Possible fixes")[0].splitlines() if line.strip())[:600]
