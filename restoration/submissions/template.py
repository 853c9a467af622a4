"""The Excel workbook that an institution fills in and leaves in the inbox.

Belongs here: writing the workbook. Does not: what it asks for (expectations/protocol).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xlsxwriter

from dbt_like_sql.seeds import read_seed
from expectations.contracts import Contract, Field, read_contract
from restoration.submissions.columns import SHEETS, choices

ROWS = 2_000  # rows with drop-downs
_DIGITS = {"ubigeo": 6, "cui": 7}
_MUST = {"required": "Sí", "optional": "No"}
_NOTES = (
    "Una fila de la hoja Iniciativas es un área. Si su iniciativa tiene varias áreas, repita el código en varias filas.",
    "Si tiene polígonos, entregue en su lugar un GeoPackage, GeoJSON, KML/KMZ o shapefile en zip con estas mismas columnas.",
    "La hoja Indicadores es voluntaria: una fila es el valor de un indicador de una iniciativa en un año.",
    (
        "Deje el archivo en la carpeta de su institución dentro de la bandeja (inbox). La respuesta aparece al lado, con el "
        "mismo nombre y la terminación .respuesta.xlsx."
    ),
    "Para corregir o actualizar, vuelva a dejar el archivo completo con el mismo nombre.",
    "Fechas: año-mes-día. Superficies: hectáreas, con punto o coma decimal. Ubigeo: INEI, no RENIEC.",
)


def write_template(path: Path) -> Path:
    """Write the workbook: the sheets to fill in, the help, the lists behind the drop-downs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with xlsxwriter.Workbook(str(path)) as workbook:
        contracts = {sheet: read_contract(name) for sheet, name in SHEETS.items()}
        forms = {sheet: workbook.add_worksheet(sheet) for sheet in contracts}
        guide, lists = workbook.add_worksheet("Ayuda"), workbook.add_worksheet("Listas")
        places = _write_lists(lists, [f for c in contracts.values() for f in c.form if f.choices])
        for sheet, contract in contracts.items():
            _write_form(workbook, forms[sheet], contract.form, places)
        _write_guide(workbook, guide, contracts)
    return path


def _write_lists(sheet: Any, fields: Sequence[Field]) -> dict[str, str]:
    """Write the lists side by side; returns where each column's drop-down finds its own."""
    places: dict[str, str] = {}
    for column, field in enumerate(fields):
        values = choices(field)
        sheet.write_column(0, column, [field.form_name, *values])
        sheet.set_column(column, column, 36)
        letter = xlsxwriter.utility.xl_col_to_name(column)
        places[field.name] = f"=Listas!${letter}$2:${letter}${len(values) + 1}"
    column = len(fields) + 1
    named = [
        ("actividades", "restoration_activities", "activity_code", "activity_name_es"),
        ("indicador", "aurora_indicators", "indicator_id", "metric_es"),
    ]
    for title, seed, code, name in named:  # codes without a name say nothing
        table = read_seed(seed)
        sheet.write_column(0, column, [title, *table[code]])
        sheet.write_column(0, column + 1, ["qué es", *table[name]])
        sheet.set_column(column + 1, column + 1, 80)
        column += 2
    return places


def _write_form(workbook: Any, sheet: Any, fields: Sequence[Field], places: dict[str, str]) -> None:
    head = {
        "required": workbook.add_format({"bold": True, "bg_color": "#A9D08E", "border": 1}),
        "conditional": workbook.add_format({"bold": True, "bg_color": "#C6E0B4", "border": 1}),
        "optional": workbook.add_format({"bold": True, "bg_color": "#E2EFDA", "border": 1}),
    }
    text = workbook.add_format({"num_format": "@"})  # so that a spreadsheet keeps the leading zeros of a ubigeo
    sheet.freeze_panes(1, 1)
    for column, field in enumerate(fields):
        name = str(field.form_name)
        sheet.set_column(column, column, max(14, len(name) + 4), text)
        sheet.write(0, column, name, head[field.requirement])
        sheet.write_comment(0, column, f"{field.meaning_es}\n{_must(field)}", {"x_scale": 2})
        if field.choices:
            sheet.data_validation(
                1,
                column,
                ROWS,
                column,
                {
                    "validate": "list",
                    "source": places[field.name],
                    "error_title": "No está en la lista",
                    "error_message": f"Elija uno de los valores de la lista. {field.meaning_es}"[:255],
                },
            )
        elif name in _DIGITS:
            sheet.data_validation(
                1,
                column,
                ROWS,
                column,
                {
                    "validate": "length",
                    "criteria": "==",
                    "value": _DIGITS[name],
                    "error_type": "warning",
                    "error_title": f"Son {_DIGITS[name]} cifras",
                    "error_message": field.meaning_es[:255],
                },
            )


def _must(field: Field) -> str:
    return f"Sí, si {field.when_es}" if field.requirement == "conditional" else _MUST[field.requirement]


def _write_guide(workbook: Any, sheet: Any, contracts: dict[str, Contract]) -> None:
    head = workbook.add_format({"bold": True, "bg_color": "#E2EFDA", "border": 1})
    bold, wrap = workbook.add_format({"bold": True}), workbook.add_format({"text_wrap": True, "valign": "top"})
    for column, width in enumerate((14, 20, 80, 12, 34, 44)):
        sheet.set_column(column, column, width, wrap)
    sheet.write_row(0, 0, ["Hoja", "Columna", "Qué se escribe", "Unidad", "Ejemplo", "¿Obligatoria?"], head)
    row = 1
    for name, contract in contracts.items():
        for field in contract.form:
            sheet.write_row(
                row, 0, [name, field.form_name, field.meaning_es, field.unit or "", field.example, _must(field)], wrap
            )
            row += 1
    sheet.write(row + 1, 0, "Notas", bold)
    for number, note in enumerate(_NOTES, start=row + 2):
        sheet.write(number, 2, note, wrap)
    versions = ", ".join(f"{c.title_es} {c.version}" for c in contracts.values())
    sheet.write(row + 3 + len(_NOTES), 2, f"Protocolo: {versions}", wrap)
