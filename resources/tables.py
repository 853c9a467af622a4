"""Tables from spreadsheets and delimited text, every cell text.

Belongs here: reading .xlsx and .csv that people prepare. Does not: large files of file hosts (lake.py), column meaning.
"""

from __future__ import annotations

import csv
import io
from typing import BinaryIO

import polars as pl

from resources.errors import BrokenFile, UnexpectedFormat, first_line
from resources.web_pages import refuse_web_page

TABLES = {".xlsx", ".csv"}
ROW = "__row"  # a row's number in its sheet, the header being 1
_LARGEST = 256 << 20  # bytes; a person's table is far smaller


def is_table(name: str) -> bool:
    """Whether a file of this name is a table."""
    return any(name.lower().endswith(suffix) for suffix in TABLES)


def read_stream(source: str, stream: BinaryIO, name: str, sheet: str | None = None) -> pl.DataFrame:
    """Rows of a table whose first line is its header, or of one sheet of a workbook; none where there is no such sheet.

    Raises BrokenFile or UnexpectedFormat.
    """
    body = stream.read(_LARGEST + 1)
    if len(body) > _LARGEST:
        raise UnexpectedFormat(source, f"a table below {_LARGEST >> 20} MiB", name)
    refuse_web_page(source, f"a table in {name}", body)
    if name.lower().endswith(".xlsx"):
        return _excel(source, body, name, sheet)
    return pl.DataFrame() if sheet else _delimited(source, body, name)


def decoded(body: bytes) -> str:
    """Text of unknown origin: UTF-8 with or without a mark, else Windows' Latin-1."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")


def _excel(source: str, body: bytes, name: str, sheet: str | None) -> pl.DataFrame:
    import fastexcel

    try:
        workbook = fastexcel.read_excel(body)
        if sheet and sheet not in workbook.sheet_names:
            return pl.DataFrame()
        frame = workbook.load_sheet(sheet or 0, dtypes="string").to_polars()
    except Exception as error:
        raise BrokenFile(source, name, first_line(error)) from error
    return _without_blank_rows(frame.select(pl.all().cast(pl.String)))


def _delimited(source: str, body: bytes, name: str) -> pl.DataFrame:
    text = decoded(body)
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=head.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise BrokenFile(source, name, str(error)) from error
    if not rows:
        raise BrokenFile(source, name, "the file is empty")
    header, *lines = rows
    for number, line in enumerate(lines, start=2):
        if line and len(line) != len(header):
            raise BrokenFile(source, name, f"row {number} has {len(line)} cells, the header has {len(header)}")
    columns = [h.strip() for h in header]
    if len(set(columns)) < len(columns):
        raise BrokenFile(source, name, "two columns bear one name")
    frame = pl.DataFrame([line for line in lines if line], schema=dict.fromkeys(columns, pl.String), orient="row")
    return _without_blank_rows(frame)


def _without_blank_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Spreadsheets end in rows that hold formats and nothing else."""
    filled = pl.any_horizontal(pl.all().str.strip_chars().fill_null("") != "")
    if not frame.width:
        return frame
    return (
        frame.with_columns(filled.alias("__filled")).with_row_index(ROW, offset=2).filter("__filled").drop("__filled")
    )
