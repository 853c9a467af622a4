"""What tables of the published file are called and mean, for exports that describe their columns.

Belongs here: reading meta.columns; which tables are exported. Does not: writing files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

# what a spreadsheet would run as a formula, should a name begin with it
_FORMULA = "'^([=+\\-@\\t\\r])'"
TAKEN_AWAY = ("core.initiatives", "core.areas", "core.overlaps", "core.spending")  # besides the marts
_LISTS_OF_FORMS = {"prais_actions", "prais_finance", "prais_targets", "gbf_2_1", "gbf_d_2"}  # exports of their own


@dataclass(frozen=True)
class Field:
    """A column as the data dictionary describes it."""

    name: str
    type: str
    unit: str | None
    es: str
    en: str


@dataclass(frozen=True)
class Table:
    """A table as the data dictionary describes it."""

    schema: str
    name: str
    es: str
    en: str
    grain: str
    source: str
    fields: tuple[Field, ...]

    @property
    def qualified(self) -> str:
        """Its name below the attached file."""
        return f'w.{self.schema}."{self.name}"'


def quoted(path: Path) -> str:
    """A path inside a SQL literal; COPY takes no parameter there."""
    return str(path).replace("'", "''")


def harmless(text: str) -> str:
    """SQL of a text with an apostrophe before what a spreadsheet would take for a formula."""
    return f"regexp_replace({text}, {_FORMULA}, chr(39) || chr(92) || chr(49))"


def described_tables(con: duckdb.DuckDBPyConnection, *schemas: str) -> list[Table]:
    """Tables of the attached file, with their columns in order."""
    rows = con.execute(
        "select table_name, table_es, table_en, grain, source, list({'n': column_name, 't': column_type, 'u': unit,"
        " 'es': description_es, 'en': description_en} order by position)"
        " from w.meta.columns where list_contains(?, split_part(table_name, '.', 1)) group by all order by table_name",
        [list(schemas)],
    ).fetchall()
    return [
        Table(
            name.partition(".")[0],
            name.partition(".")[2],
            es,
            en,
            grain,
            source,
            tuple(Field(c["n"], c["t"], c["u"], c["es"], c["en"]) for c in columns),
        )
        for name, es, en, grain, source, columns in rows
    ]


def marts(con: duckdb.DuckDBPyConnection) -> list[Table]:
    """The marts that answer a question of their own; the others are lists of a form."""
    return [t for t in described_tables(con, "marts") if t.name not in _LISTS_OF_FORMS]


def flat(table: Table, *, as_text: bool = False) -> str:
    """A query of a table's rows without geometry, lists joined by semicolons.

    `as_text` puts an apostrophe before text that a spreadsheet would take for a formula.
    """
    columns = []
    for f in table.fields:
        kind, name = f.type.lower(), f'"{f.name}"'
        if kind.startswith("geometry"):
            continue
        if kind.endswith("[]"):
            text = f"array_to_string({name}, ';')"
        elif kind.startswith("map"):
            text = f"array_to_string(list_transform(map_entries({name}), lambda e: e.key || '=' || e.value), ';')"
        elif kind == "varchar":
            text = name
        else:
            columns.append(name)
            continue
        columns.append(f"{harmless(text) if as_text else text} as {name}")
    return f"select {', '.join(columns)} from {table.qualified}"
