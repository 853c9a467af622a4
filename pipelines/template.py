"""`make template`: the Excel workbook that an institution fills in and leaves in the inbox.

Belongs here: writing the workbook. Does not: what it asks for (assets/sources/submissions.py).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import xlsxwriter
from rich.console import Console

from assets.sources.submissions import TEMPLATE, choices

ROWS = 2_000  # rows with drop-downs
_PREPARED = "plantilla_restauracion.xlsx"


def write_template(path: Path) -> Path:
    """Write the workbook: the sheet to fill in, the help, the lists behind the drop-downs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with xlsxwriter.Workbook(str(path)) as book:
        head = book.add_format({"bold": True, "bg_color": "#E2EFDA", "border": 1})
        needed = book.add_format({"bold": True, "bg_color": "#A9D08E", "border": 1})
        text, wrap = book.add_format({"num_format": "@"}), book.add_format({"text_wrap": True, "valign": "top"})
        bold = book.add_format({"bold": True})
        sheet = book.add_worksheet("Iniciativas")
        guide = book.add_worksheet("Ayuda")
        lists = book.add_worksheet("Listas")
        sheet.freeze_panes(1, 1)
        list_place: dict[str, str] = {}
        for column, name in enumerate(sorted({a.code_list for a in TEMPLATE if a.code_list})):
            values = choices(name)
            lists.write_column(0, column, [name, *values])
            letter = xlsxwriter.utility.xl_col_to_name(column)
            list_place[name] = f"=Listas!${letter}$2:${letter}${len(values) + 1}"
            lists.set_column(column, column, 40)
        for column, asked in enumerate(TEMPLATE):
            # text, so that a spreadsheet eats no leading zero of a ubigeo
            sheet.set_column(column, column, max(14, len(asked.name) + 4), text)
            sheet.write(0, column, asked.name, needed if asked.is_required else head)
            sheet.write_comment(0, column, asked.help_es, {"x_scale": 2})
            if asked.code_list:
                sheet.data_validation(1, column, ROWS, column, {
                    "validate": "list", "source": list_place[asked.code_list], "error_title": "No está en la lista",
                    "error_message": f"Elija uno de los valores de la lista. {asked.help_es}",
                })  # fmt: skip
            elif asked.name in {"ubigeo", "cui"}:
                digits = 6 if asked.name == "ubigeo" else 7
                sheet.data_validation(1, column, ROWS, column, {
                    "validate": "length", "criteria": "==", "value": digits, "error_type": "warning",
                    "error_title": f"Son {digits} cifras", "error_message": asked.help_es,
                })  # fmt: skip
        guide.set_column(0, 0, 20)
        guide.set_column(1, 1, 90, wrap)
        guide.set_column(2, 3, 34)
        guide.write_row(0, 0, ["Columna", "Qué se escribe", "Ejemplo", "¿Obligatoria?"], head)
        for number, asked in enumerate(TEMPLATE, start=1):
            guide.write_row(
                number, 0, [asked.name, asked.help_es, asked.example, "Sí" if asked.is_required else "No"], wrap
            )
        notes = [
            "Una fila es un área. Si su iniciativa tiene varias áreas, repita el código en varias filas.",
            "Si tiene polígonos, entregue en su lugar un GeoPackage, GeoJSON, KML/KMZ o shapefile en zip con estas mismas columnas.",
            (
                "Deje el archivo en la carpeta de su institución dentro de la bandeja (inbox). La respuesta aparece al lado, con el "
                "mismo nombre y la terminación .respuesta.xlsx."
            ),
            "Para corregir o actualizar, deje otra vez el archivo completo con el mismo nombre.",
            "Fechas: año-mes-día. Superficies: hectáreas, con punto o coma decimal. Ubigeo: INEI, no RENIEC.",
        ]
        guide.write(len(TEMPLATE) + 2, 0, "Notas", bold)
        for number, note in enumerate(notes, start=len(TEMPLATE) + 3):
            guide.write(number, 1, note, wrap)
    return path


def main() -> int:
    """Write the template where it is asked for."""
    parser = argparse.ArgumentParser(description="Write the workbook for submissions.")
    parser.add_argument("path", nargs="?", type=Path, default=Path("data") / _PREPARED)
    path = write_template(parser.parse_args().path)
    Console().print(f"Plantilla: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
