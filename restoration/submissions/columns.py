"""What a submission is: the template's columns as its contracts describe them, and the names they are understood under.

Belongs here: bringing the rows of any file into the template's columns. Does not: reading files (resources), judging rows
(expectations), answering (restoration/submissions/responses.py) or what is asked (expectations/protocol).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import polars as pl
import shapely

from dbt_like_sql.seeds import read_seed
from expectations.contracts import Field, read_contract
from resources.tables import ROW

FILE_ROW = "fila"
SHEETS = {"Iniciativas": "submissions", "Indicadores": "indicator_values"}  # sheet of the template: its contract


def choices(field: Field) -> list[str]:
    """What the drop-down of a column offers."""
    if not isinstance(field.choices, str):
        return list(field.choices)
    seed, column = field.choices.split(".")
    return [str(value) for value in read_seed(seed)[column]]


def folded(text: str) -> str:
    """Letters and digits alone, without accents: how headers are compared."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]", "", plain)


def _known_names(name: str, aliases: Sequence[str]) -> list[str]:
    """Folded names that mean this column, its own first; a shapefile keeps ten letters of each."""
    return list(dict.fromkeys([folded(name), folded(name[:10]), folded(name)[:10], *aliases]))


def to_template(rows: pl.DataFrame, contract: str = "submissions") -> pl.DataFrame:
    """Rows of any submission in the columns that its contract asks for, all text, with the row's number in its file.

    Columns are known by their folded names; those that the template does not ask for are left out. An area also has a WKB
    `geometry`: longitude and latitude become a point where a row has none.
    """
    about = read_contract(contract)
    form = {str(field.form_name): field for field in about.form}
    by_name = {folded(column): column for column in reversed(rows.columns)}
    given: dict[str, str] = {}
    for name, field in form.items():
        named = [by_name[known] for known in _known_names(name, field.aliases) if known in by_name]
        filled = [column for column in named if rows[column].null_count() < rows.height]
        if named:
            given[name] = (filled or named)[0]
    texts = [
        (pl.col(given[name]) if name in given else pl.lit(None)).cast(about.polars_schema[field.name]).alias(name)
        for name, field in form.items()
    ]
    number = pl.col(ROW) if ROW in rows.columns else pl.int_range(1, pl.len() + 1)  # features count from 1
    if contract != "submissions":
        return rows.select(number.cast(pl.Int64).alias(FILE_ROW), *texts)
    geometry = pl.col("geometry") if "geometry" in rows.columns else pl.lit(None, pl.Binary).alias("geometry")
    frame = rows.select(number.cast(pl.Int64).alias(FILE_ROW), *texts, geometry)
    return frame.with_columns(_points(frame))


def _points(frame: pl.DataFrame) -> pl.Series:
    numbers = frame.select(
        pl.col(c).str.strip_chars().str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
        for c in ("longitud", "latitud")
    )
    created = [
        wkb if wkb is not None else None if lon is None or lat is None else shapely.to_wkb(shapely.Point(lon, lat))
        for wkb, lon, lat in zip(frame["geometry"], numbers["longitud"], numbers["latitud"], strict=True)
    ]
    return pl.Series("geometry", created, dtype=pl.Binary)
