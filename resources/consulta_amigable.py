"""Consulta Amigable's export: an HTML page that calls itself .xls.

Belongs here: reading its table by header text, with its own totals as a check. Does not: fetching it (downloads.py).
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

import lxml.html
import polars as pl

from resources.errors import BrokenFile, ShortAnswer, UnexpectedFormat
from resources.tables import decoded

# our name: words of the header, accents and spaces folded; years before 2012 have fewer amounts
_HEADERS = {
    "pia": "PIA",
    "pim": "PIM",
    "certificacion": "CERTIFICACION",
    "compromisoanual": "COMPROMISO_ANUAL",
    "atenciondecompromisomensual": "COMPROMISO_MENSUAL",
    "devengado": "DEVENGADO",
    "girado": "GIRADO",
}
_ROUNDING = 5  # soles between the rows' sum and the page's own total


def read_export(source: str, body: bytes) -> pl.DataFrame:
    """Rows of the export: CODIGO, NOMBRE and the amounts in soles without decimals, as text.

    Raises UnexpectedFormat for another page (a login, a firewall), BrokenFile for rows whose sum is not the page's total.
    """
    document = lxml.html.document_fromstring(decoded(body))
    headers, data = (
        document.xpath("//table[contains(@class, 'MapTable')]"),
        document.xpath("//table[contains(@class, 'Data')]"),
    )
    if not headers or not data:
        raise UnexpectedFormat(
            source, "Consulta Amigable's export", f"a page with {len(document.xpath('//table'))} tables"
        )
    names = _columns(source, headers[0])
    rows: list[dict[str, str]] = []
    for line in data[0].xpath(".//tr"):
        cells = [_clean(cell.text_content()) for cell in line.xpath("./td")]
        cells = cells[-(len(names) + 1) :]  # the html form has a cell for the radio button before the label
        if len(cells) != len(names) + 1:
            raise BrokenFile(source, "the export", f"a row of {len(cells)} cells under {len(names) + 1} headers")
        code, separator, name = cells[0].partition(": ")
        if not separator:
            raise BrokenFile(source, "the export", f"a label without a code: {cells[0]!r}")
        amounts = {n: _amount(source, v) for n, v in zip(names, cells[1:], strict=True) if n}
        rows.append({"CODIGO": code, "NOMBRE": name} | amounts)
    frame = pl.DataFrame(rows, infer_schema_length=None).unique(maintain_order=True)
    _check_total(source, document, names, frame)
    return frame


def _columns(source: str, table: lxml.html.HtmlElement) -> list[str]:
    """Names of the amount columns in order, an empty one for those we do not keep (Avance %)."""
    texts = [_folded(cell.text_content()) for cell in table.xpath(".//td|.//th")]
    # "Avance %" spans both header rows, so it is listed among the first though its cells are the last
    names = [_HEADERS[text] for text in texts if text in _HEADERS] + [""] * any(t.startswith("avance") for t in texts)
    if missing := {"PIA", "PIM", "DEVENGADO"} - set(names):
        raise UnexpectedFormat(source, f"columns {sorted(missing)}", f"headers {texts}")
    return names


def _check_total(source: str, document: lxml.html.HtmlElement, names: list[str], frame: pl.DataFrame) -> None:
    """The breadcrumb's last line is the total of what is listed: more rows than a page holds are cut off silently."""
    lines = document.xpath("//table[contains(@class, 'History')]//tr")
    if not lines:
        return
    cells = [_clean(cell.text_content()) for cell in lines[-1].xpath("./td")][-len(names) :]
    if len(cells) != len(names):
        return
    total = dict(zip(names, cells, strict=True))
    ours = int(frame["PIM"].cast(pl.Int64).sum())
    theirs = int(_amount(source, total["PIM"]))
    if abs(ours - theirs) > _ROUNDING:
        raise ShortAnswer(source, theirs, ours)


def _clean(text: str) -> str:
    return re.sub(r"[\s\xa0]+", " ", text).strip()


def _folded(text: str) -> str:
    plain = _clean(text).lower().translate(str.maketrans("áéíóúñ", "aeioun"))
    return re.sub(r"[^a-z]", "", plain)


def _amount(source: str, text: str) -> str:
    try:
        return str(Decimal(text.replace(",", "") or "0"))
    except InvalidOperation as error:
        raise BrokenFile(source, "the export", f"an amount that is no number: {text!r}") from error
