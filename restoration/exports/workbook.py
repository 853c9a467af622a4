"""The Excel workbook: every mart on a sheet, and the dictionary.

Belongs here: which sheets there are. Does not: how a sheet looks (sheets.py) or what a column means (dbt_like_sql).
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from restoration.exports.release import Release, Rows
from restoration.exports.sheets import Book
from restoration.exports.tables import flat, marts

WORKBOOK = "restauracion.xlsx"
_LONGEST_NAME = 31  # of a sheet, in Excel
_READ_FIRST = (
    "Tres superficies, siempre separadas: declarada (lo que dice la institución), bruta (suma de polígonos) y neta (cada hectárea una vez).",
    "Las metas se traslapan por definición: nunca se suman.",
    "El presupuesto de un programa no es gasto en restauración: vea restoration_class y lo no unido en spending_linkage.",
    "La hoja Diccionario explica cada columna, con su unidad.",
)


def write_workbook(con: duckdb.DuckDBPyConnection, release: Release, folder: Path) -> Rows:
    """Write the workbook."""
    tables = marts(con)
    workbook = Book(folder / WORKBOOK, release, "Restauración de ecosistemas del Perú")
    links = [(t.name[:_LONGEST_NAME], t.es) for t in tables] + [("Diccionario", "Qué significa cada columna")]
    workbook.cover("Restauración de ecosistemas del Perú", _READ_FIRST, release, links)
    count = 0
    for table in tables:
        count += workbook.sheet(
            table.name[:_LONGEST_NAME],
            [f.name for f in table.fields],
            con.execute(flat(table)).fetchall(),
            units=[f.unit for f in table.fields],
            notes=[f"{f.es}\n{f.en}" + (f"\n{f.unit}" if f.unit else "") for f in table.fields],
        )
    words = [(t.name, f.name, f.es, f.en, f.unit, f.type, t.grain) for t in tables for f in t.fields]
    headings = ("Hoja", "Columna", "Qué es", "What it is", "Unidad", "Tipo", "Una fila es")
    workbook.sheet("Diccionario", headings, words)
    workbook.close()
    return {WORKBOOK: count}
