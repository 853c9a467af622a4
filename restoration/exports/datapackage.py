"""CSV files with a Frictionless `datapackage.json`: the marts and the three tables everyone looks for.

Belongs here: the package. Does not: what a column means (dbt_like_sql).
"""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from restoration.exports.release import Release, Rows
from restoration.exports.tables import TAKEN_AWAY, Field, Table, described_tables, flat, quoted

_TYPES = {
    "varchar": "string",
    "double": "number",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "datetime",
    "timestamptz": "datetime",
    "timestamp with time zone": "datetime",
}
_KEYS = {
    "initiatives": ["initiative_id"],
    "areas": ["area_id"],
    "overlaps": ["area_id_a", "area_id_b"],
    "spending": ["spending_id", "fiscal_year"],
}
_REFERENCES = {
    "areas": [("initiative_id", "initiatives", "initiative_id")],
    "overlaps": [("area_id_a", "areas", "area_id"), ("area_id_b", "areas", "area_id")],
}


def write_datapackage(con: duckdb.DuckDBPyConnection, release: Release, folder: Path) -> Rows:
    """Write a CSV a table and the package that describes them."""
    tables = [t for t in described_tables(con, "core") if f"core.{t.name}" in TAKEN_AWAY]
    tables += described_tables(con, "marts")
    rows, resources = {}, []
    for table in tables:
        name = f"{table.name}.csv"
        query = flat(table, as_text=True)
        written = con.execute(
            f"copy ({query}) to '{quoted(folder / name)}' (header, timestampformat '%Y-%m-%dT%H:%M:%SZ')"
        ).fetchone()
        rows[name] = int(written[0]) if written else 0
        resources.append(_resource(table, name))
    package = {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "restauracion-peru",
        "id": f"restauracion-peru-{release.release_id}",
        "title": "Restauración de ecosistemas del Perú",
        "description": ("ENTORNO DE PRUEBA: datos inventados. " if release.is_sandbox else "")
        + "Iniciativas, áreas y gasto en restauración. Declarado, bruto y neto son tres cifras; las metas se traslapan y no se suman. Un "
        "texto que empezaría con =, +, - o @ lleva un apóstrofo delante, para que ninguna hoja de cálculo lo ejecute.",
        "version": release.release_id,
        "created": release.stamp,
        "sources": [
            {"title": title, "path": url}
            for title, url in con.execute(
                "select title_es, any_value(url order by url) from w.quality.source_status where url like 'http%' group by title_es order by 1"
            ).fetchall()
        ],
        "resources": resources,
    }
    (folder / "datapackage.json").write_text(json.dumps(package, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return rows


def _resource(table: Table, path: str) -> dict[str, object]:
    fields = [_field(f) for f in table.fields if not f.type.lower().startswith("geometry")]
    schema: dict[str, object] = {"fields": fields}
    if key := _KEYS.get(table.name):
        schema["primaryKey"] = key
    if references := _REFERENCES.get(table.name):
        schema["foreignKeys"] = [
            {"fields": [column], "reference": {"resource": resource, "fields": [target]}}
            for column, resource, target in references
        ]
    return {
        "name": table.name,
        "type": "table",
        "path": path,
        "title": table.es,
        "description": f"{table.en}. Una fila: {table.grain}",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": schema,
    }


def _field(field: Field) -> dict[str, object]:
    kind = field.type.lower()
    number = (
        "number" if kind.startswith("decimal") else "integer" if kind.endswith("int") or kind == "integer" else None
    )
    about: dict[str, object] = {
        "name": field.name,
        "type": number or _TYPES.get(kind, "string"),
        "title": field.es,
        "description": field.en + (f" ({field.unit})" if field.unit else ""),
    }
    if field.unit:
        about["unit"] = field.unit
    return about
