"""Worksheets that people can read, sort and trust: headings, formats by unit, filters, text that is never a formula.

Belongs here: how a sheet looks. Does not: what is in it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter

from restoration.exports.release import Release

_FORMATS = {
    "S/": "#,##0.00",
    "ha": "#,##0.00",
    "%": "0.00",
    "km²": "#,##0.0000",
    "S/ / ha": "#,##0.00",
    "S/ por ha": "#,##0.00",
}
_WIDEST = 60


class Book:
    """A workbook of one release. Text stays text: nothing in it becomes a formula or a link."""

    def __init__(self, path: Path, release: Release, title: str) -> None:
        self.workbook = xlsxwriter.Workbook(
            str(path), {"strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True}
        )
        self.workbook.set_properties(
            {
                "title": title,
                "subject": f"Publicación {release.release_id}" + (" (entorno de prueba)" if release.is_sandbox else ""),
                "created": release.published_at.replace(tzinfo=None, microsecond=0),
            }
        )
        self.heading = self.workbook.add_format(
            {
                "bold": True,
                "bg_color": "#14532D",
                "font_color": "#FFFFFF",
                "text_wrap": True,
                "valign": "top",
                "border": 1,
            }
        )
        self.banner = self.workbook.add_format({"bold": True, "bg_color": "#FFE9A8", "font_color": "#4A3500"})
        self.title = self.workbook.add_format({"bold": True, "font_size": 15, "font_color": "#14532D"})
        self.wrapped = self.workbook.add_format({"text_wrap": True, "valign": "top"})
        self.bold = self.workbook.add_format({"bold": True})
        self.link = self.workbook.add_format({"font_color": "#14532D", "underline": 1})
        self._formats = {unit: self.workbook.add_format({"num_format": code}) for unit, code in _FORMATS.items()}
        self._date = self.workbook.add_format({"num_format": "yyyy-mm-dd"})
        self._moment = self.workbook.add_format({"num_format": "yyyy-mm-dd hh:mm"})

    def sheet(
        self,
        name: str,
        headings: Sequence[str],
        rows: Iterable[Sequence[Any]],
        *,
        units: Sequence[str | None] = (),
        notes: Sequence[str] = (),
        filtered: bool = True,
    ) -> int:
        """Write one sheet with its headings in the first row; returns its number of rows."""
        sheet = self.workbook.add_worksheet(name)
        widths = [max(9, min(_WIDEST, len(h) + 3)) for h in headings]
        for column, heading in enumerate(headings):
            sheet.write_string(0, column, heading, self.heading)
            if notes:
                sheet.write_comment(0, column, notes[column], {"x_scale": 2})
        count = 0
        for count, row in enumerate(rows, start=1):
            for column, value in enumerate(row):
                self._cell(sheet, count, column, value, units[column] if units else None)
                if count < 200 and value is not None:
                    widths[column] = max(
                        widths[column], min(_WIDEST, len(str(value)) + 2 if isinstance(value, str) else 14)
                    )
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        sheet.freeze_panes(1, 0)
        if filtered and headings:
            sheet.autofilter(0, 0, max(count, 1), len(headings) - 1)
        return count

    def _cell(self, sheet: Any, row: int, column: int, value: Any, unit: str | None) -> None:
        if value is None:
            return
        if isinstance(value, str):
            sheet.write_string(row, column, value)
        elif isinstance(value, bool):
            sheet.write_boolean(row, column, value)
        elif isinstance(value, dt.datetime):
            sheet.write_datetime(row, column, value.astimezone(dt.UTC).replace(tzinfo=None), self._moment)
        elif isinstance(value, dt.date):
            sheet.write_datetime(row, column, dt.datetime(value.year, value.month, value.day), self._date)  # noqa: DTZ001
        elif isinstance(value, int | float | Decimal):
            sheet.write_number(row, column, value, self._formats.get(unit or ""))
        else:
            sheet.write_string(row, column, ", ".join(map(str, value)) if isinstance(value, list) else str(value))

    def cover(self, title: str, lines: Sequence[str], release: Release, links: Sequence[tuple[str, str]] = ()) -> None:
        """The first sheet: what this is, which release, and where to go."""
        sheet = self.workbook.add_worksheet("Portada")
        sheet.hide_gridlines(2)
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 1, 100)
        sheet.write_string(0, 0, title, self.title)
        place = 1
        if release.is_sandbox:
            text = "ENTORNO DE PRUEBA: datos inventados de un Perú en miniatura; de ninguna institución"
            sheet.merge_range(place, 0, place, 1, text, self.banner)
            place += 1
        sheet.write_string(place, 0, "Publicación")
        sheet.write_string(place, 1, f"{release.release_id}, datos al {release.as_of:%d/%m/%Y}", self.bold)
        for line in lines:
            place += 1
            sheet.write_string(place, 1, line, self.wrapped)
        for name, meaning in links:
            place += 1
            sheet.write_url(place, 0, f"internal:'{name}'!A1", self.link, name)
            sheet.write_string(place, 1, meaning, self.wrapped)

    def close(self) -> None:
        """Write the file."""
        self.workbook.close()
