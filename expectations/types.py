"""DuckDB's types as Polars knows them.

Belongs here: the one mapping between the two. Does not: which column has which type (the contracts and the .yml of seeds).
"""

from __future__ import annotations

import re

import polars as pl

_PLAIN: dict[str, pl.DataType | type[pl.DataType]] = {
    "varchar": pl.String,
    "integer": pl.Int32,
    "bigint": pl.Int64,
    "double": pl.Float64,
    "boolean": pl.Boolean,
    "date": pl.Date,
}


def polars_type(duckdb_type: str) -> pl.DataType | type[pl.DataType]:
    """The Polars type of a DuckDB type; a geometry travels as WKB. Raises KeyError for a type that no contract may use."""
    if duckdb_type.endswith("[]"):
        return pl.List(polars_type(duckdb_type.removesuffix("[]")))
    if decimal := re.fullmatch(r"decimal\((\d+),(\d+)\)", duckdb_type):
        return pl.Decimal(int(decimal[1]), int(decimal[2]))
    if duckdb_type.startswith("geometry"):
        return pl.Binary
    return _PLAIN[duckdb_type]
