"""The data dictionary as one HTML page, with the entity-relationship diagram of the core tables.

Belongs here: the page. Does not: what a column means (dbt_like_sql, expectations) or drawing the diagram (`make docs`).
"""

from __future__ import annotations

from pathlib import Path

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from restoration.exports.release import Release, Rows
from restoration.exports.tables import described_tables

PAGE = "index.html"
_TEMPLATES = Path(__file__).parent / "templates"
_LAYERS = {
    "core": "Núcleo: iniciativas, áreas, gasto",
    "marts": "Respuestas: una pregunta cada una",
    "quality": "Calidad",
    "meta": "Sobre el archivo mismo",
    "history": "Historia",
    "staging": "Preparación: una fuente cada una",
}


def write_dictionary(con: duckdb.DuckDBPyConnection, release: Release, folder: Path) -> Rows:
    """Write index.html with every table, its rows today and every column."""
    counts = dict(
        con.execute(
            "select schema_name || '.' || table_name, estimated_size from duckdb_tables() where database_name = 'w'"
        ).fetchall()
    )
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    layers = {title: described_tables(con, schema) for schema, title in _LAYERS.items()}
    html = environment.get_template("dictionary.html.j2").render(
        release=release,
        layers={title: tables for title, tables in layers.items() if tables},
        counts=counts,
        diagram=Markup((_TEMPLATES / "model.svg").read_text(encoding="utf-8").partition("?>")[2]),  # noqa: S704 - ours
    )
    (folder / PAGE).write_text(html, encoding="utf-8")
    return {}
