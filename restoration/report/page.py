"""The report as one HTML file: figures, charts, tables, script and styles, nothing loaded from anywhere.

Belongs here: putting the page together. Does not: figures (figures.py), charts (charts.py), when it is written (assets.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import orjson
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from restoration.exports.release import Release, Rows
from restoration.report.charts import specifications
from restoration.report.figures import TERMS, Column, Figure, department_shapes, points, read_figures, totals

PAGE = "index.html"
_TEMPLATES = Path(__file__).parent / "templates"


def write_report(con: duckdb.DuckDBPyConnection, release: Release, folder: Path) -> Rows:
    """Write index.html."""
    figures = read_figures(con)
    reported = totals(con)
    data: dict[str, Any] = {
        name: figure.rows for name, figure in figures.items() if name not in {"budget", "changes", "sources"}
    }
    data |= {"points": points(con), "shapes": department_shapes(con)}
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "said": said}
    html = environment.get_template("report.html.j2").render(
        release=release,
        figures=figures,
        totals=reported,
        data=_embedded(data),
        specifications=_embedded(specifications(_descriptions(figures, reported))),
        columns=_embedded({n: [[c.name, c.es, c.en] for c in f.columns] for n, f in figures.items()}),
        tables=_embedded({n: f.rows for n, f in figures.items() if n not in data}),
        bundle=Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")),  # noqa: S704 - a library's code
    )
    (folder / PAGE).write_text(html, encoding="utf-8")
    return {}


def preview(page: Path) -> dict[str, Any]:
    """The first chart of a page that was written, with its data, for whoever draws it elsewhere."""
    html = page.read_text(encoding="utf-8")
    read: dict[str, Any] = {
        name: orjson.loads(html.partition(f'id="{name}">')[2].partition("</script>")[0])
        for name in ("data", "specifications")
    }
    spec: dict[str, Any] = read["specifications"]["es"]["targets"]
    return spec | {"datasets": {"targets": read["data"]["targets"]}, "width": 520, "background": "white"}


def _embedded(content: Any) -> Markup:
    """JSON inside a script element: nothing in a name can end the element or begin another."""
    text = orjson.dumps(content).decode()
    escaped = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(escaped.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))  # noqa: S704 - escaped on the line before


def shown(value: Any, column: Column) -> str:
    """A value as a reader in Lima reads it: comma between thousands, point before decimals."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "✓" if value else "–"
    if isinstance(value, str) or column.kind in {"year", "text", "term", "moment"}:
        return str(value)
    if column.kind == "count":
        return f"{value:,.0f}"
    if column.kind == "S/":
        return f"{value:,.2f}"
    if column.kind == "ha":
        return f"{value:,.1f}"
    return f"{value:,.2f}"


def said(value: Any) -> tuple[str, str]:
    """A code in plain words, in both languages."""
    return TERMS.get(value, (str(value), str(value)))


def _descriptions(figures: dict[str, Figure], reported: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """One sentence a chart for who cannot see it, with the figures that matter; the table below the chart has them all."""
    first = figures["targets"].rows[-1] if figures["targets"].rows else {}
    most = figures["departments"].rows[0] if figures["departments"].rows else {}
    worst = figures["double"].rows[0] if figures["double"].rows else {}
    money = sum(row["accrued_pen"] for row in figures["money"].rows)
    return {
        "targets": (
            f"Barras por meta: declarado, bruto y neto. {first.get('target_name_es')}: {first.get('net_ha') or 0:,.0f} ha netas, {first.get('progress_pct') or 0:.2f} % de la meta.",
            f"Bars by target: declared, gross and net. {first.get('target_name_en')}: {first.get('net_ha') or 0:,.0f} net ha, {first.get('progress_pct') or 0:.2f} % of the target.",
        ),
        "years": (
            f"Barras por año: hectáreas netas acumuladas, hasta {reported['net_ha'] or 0:,.0f} ha.",
            f"Bars by year: cumulative net hectares, up to {reported['net_ha'] or 0:,.0f} ha.",
        ),
        "map": (
            f"Mapa: hectáreas netas por departamento; el mayor es {most.get('department_name')} con {most.get('net_ha') or 0:,.0f} ha. Un punto es una iniciativa.",
            f"Map: net hectares by department; the largest is {most.get('department_name')} with {most.get('net_ha') or 0:,.0f} ha. A point is an initiative.",
        ),
        "ecosystems": (
            "Barras por ecosistema: su parte de lo degradado del país y su parte de lo que está en restauración.",
            "Bars by ecosystem: its share of the country's degraded ground and its share of what is under restoration.",
        ),
        "money": (
            f"Barras por programa: gasto en restauración unido y sin unir, S/ {money:,.0f} en total.",
            f"Bars by programme: restoration spending tied and not tied, S/ {money:,.0f} in all.",
        ),
        "money_years": (
            "Barras por año y programa: gasto en restauración.",
            "Bars by year and programme: restoration spending.",
        ),
        "double": (
            f"Barras por par de instituciones: suelo contado por ambas; el mayor, {worst.get('institution_a')} y {worst.get('institution_b')}, {worst.get('overlap_ha') or 0:,.0f} ha.",
            f"Bars by pair of institutions: area reported by both; the largest, {worst.get('institution_a')} and {worst.get('institution_b')}, {worst.get('overlap_ha') or 0:,.0f} ha.",
        ),
        "cost_ecosystem": (
            "Barras por familia de ecosistemas: mediana de soles por hectárea neta.",
            "Bars by family of ecosystems: median soles per net hectare.",
        ),
        "cost_department": (
            "Barras por departamento: mediana de soles por hectárea neta.",
            "Bars by department: median soles per net hectare.",
        ),
        "scores": (
            "Cuadro de puntajes de calidad por institución y dimensión, de 0 a 100.",
            "Table of quality scores by institution and dimension, 0 to 100.",
        ),
    }
