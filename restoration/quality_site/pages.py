"""The quality site of a release: a page for a director, and behind it every contract, rule, count and sample.

Belongs here: reading the published file and writing HTML that opens from a disk, without network or scripts. Does not:
judging rows (expectations), scores (quality.scorecard) or when it is written (quality_site.py).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from expectations.contracts import read_contract
from expectations.rules import DIMENSIONS
from expectations.tally import ALL
from resources.warehouse import KEPT_RELEASES
from restoration.exports.tables import quoted

LATEST = "latest"
_HELD_SHOWN = 500  # rows of the quarantine on its page; the CSV beside it has all
_ASKED = 2  # refusals and requests an institution gets on the first page
_TEMPLATES = Path(__file__).parent / "templates"

DIMENSIONS_ES = DIMENSIONS | {ALL: "todas"}
_STATUS_ES = {
    "equal": "igual",
    "within_tolerance": "dentro de tolerancia",
    "warn": "advertencia",
    "block": "bloquea",
    "no_official_total": "sin total oficial",
}
_SCOPES_ES = {
    "programme": "Programas, frente a Consulta Amigable (totales guardados)",
    "national": "Total nacional del archivo ancho",
    "long_file": "Frente al archivo largo del MEF",
    "consulta_amigable": "Frente a la página de Consulta Amigable de hoy",
    "institution": "Hectáreas que declara cada institución",
}
_CLOSED_ES = {"mended": "corregida", "withdrawn": "retirada", "waived": "exceptuada"}


@dataclass(frozen=True)
class Site:
    """A site that was written."""

    release_id: str
    folder: Path
    pages: int


def page_of(table: str) -> str:
    """Where the page of a table lies below a site's folder."""
    return f"tablas/{table}.html"


def write_site(con: duckdb.DuckDBPyConnection, folder: Path) -> Site:
    """Write the site of the release that `con` reads to `folder/<release_id>`, and point `folder/latest` to it."""
    reported = _read(con)
    release = reported["release"]["release_id"]
    scratch, home = folder / f".{release}.part", folder / release
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "tablas").mkdir(parents=True)
    pages = _pages(reported)
    for path, html in pages.items():
        (scratch / path).write_text(html, encoding="utf-8")
    for name, table in (("cuarentena", "quarantine"), ("puntajes", "scorecard"), ("conciliacion", "reconciliation")):
        con.execute(f"copy quality.{table} to '{quoted(scratch / name)}.csv' (header)")
    shutil.rmtree(home, ignore_errors=True)
    os.replace(scratch, home)
    link = folder / f".{LATEST}.part"
    link.unlink(missing_ok=True)
    link.symlink_to(release, target_is_directory=True)
    latest = folder / LATEST
    if latest.is_dir() and not latest.is_symlink():  # a copy of the folder that followed the link
        shutil.rmtree(latest)
    os.replace(link, latest)
    sites = [p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and not p.name.startswith(".")]
    for old in sorted(sites, key=lambda p: p.stat().st_mtime)[:-KEPT_RELEASES]:
        shutil.rmtree(old)
    return Site(release, home, len(pages))


# -- reading ---------------------------------------------------------------------------------------


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = con.execute(query)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _read(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Everything the pages show."""
    checks = _rows(con, "select * from quality.check_results order by table_name, passed, severity, rule_id")
    suites = {r["table_name"]: r for r in _rows(con, "select * from quality.suite_results order by table_name")}
    scores = _rows(con, "select * from quality.scorecard order by reporting_institution, source, contract, dimension")
    return {
        "release": _rows(con, "select * from meta.releases order by verified_at desc limit 1")[0],
        "institutions": _institutions(scores, _failures(con)),
        "scores": [s for s in scores if s["source"] != "all"],
        "tables": [
            _table(name, suite, [c for c in checks if c["table_name"] == name]) for name, suite in suites.items()
        ],
        "held": _rows(
            con,
            "select reporting_institution, table_name, record_key, rule_id, reason_es, mend_es, opened_on, snapshot_id, record"
            f" from quality.quarantine order by reporting_institution, table_name, rule_id, record_key limit {_HELD_SHOWN}",
        ),
        "held_rows": _one(con, "select count(*) from quality.quarantine"),
        "held_records": _one(con, "select count(distinct (table_name, record_key)) from quality.quarantine"),
        "reasons": _rows(
            con,
            "select reporting_institution, table_name, rule_id, any_value(reason_es) as reason_es,"
            " any_value(mend_es) as mend_es, count(*) as rows, min(opened_on) as since"
            " from quality.quarantine group by all order by rows desc, rule_id, reporting_institution",
        ),
        "closed": _rows(
            con,
            "select *, h.closed_on - h.opened_on as days from quality.quarantine_history h where closed_on is not null"
            " order by closed_on desc, table_name, entry_key limit 200",
        ),
        "waivers": _rows(con, "select * from quality.waivers order by valid_until, rule_id"),
        "reconciliation": _rows(con, "select * from quality.reconciliation order by all"),
        "sources": _rows(con, "select * from quality.source_status order by is_stale desc, source, partition"),
    }


def _one(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0


def _failures(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """What each institution's rows break, heaviest first; a consequence of another refusal is not listed twice."""
    return _rows(
        con,
        """
        select
            f.reporting_institution, c.table_name, c.rule_id, c.severity, c.level, c.reason_es, c.mend_es,
            f.rows_failed - f.rows_waived as rows,
            c.severity = 'critical' and exists (
                from quality.quarantine q where q.table_name = c.table_name and q.rule_id = c.rule_id
            ) as is_refused
        from quality.rule_counts f
        join quality.check_results c on c.table_name = f.table_name and c.rule_id = f.rule_id
        where f.rows_failed > f.rows_waived and c.rule_id != 'areas.table.initiative_of_the_area_passed_the_protocol'
        order by is_refused desc, rows desc, c.rule_id
        """,
    )


def _institutions(scores: list[dict[str, Any]], failures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per institution: its score, what was received, what was refused and why, what to request."""
    whole = [s for s in scores if s["source"] == "all"]
    reported = []
    for line in (s for s in whole if s["dimension"] == "all"):
        who = line["reporting_institution"]
        ours = [f for f in failures if f["reporting_institution"] == who]
        asked = dict.fromkeys(f["mend_es"] or f"Corregir en la fuente: {f['reason_es']}." for f in ours)
        refused = [f for f in ours if f["is_refused"]]
        reported.append(
            line
            | {
                "is_pressing": line["rows_quarantined"] > 0 or _grade(line["score"]) != "bien",
                "refused": refused[:_ASKED],
                "refused_more": max(0, len(refused) - _ASKED),
                "asked": list(asked)[:_ASKED],
                "asked_more": max(0, len(asked) - _ASKED),
            }
        )
    return sorted(reported, key=lambda t: (-t["rows_quarantined"], t["score"], t["reporting_institution"]))


def _table(name: str, suite: Mapping[str, Any], checks: list[dict[str, Any]]) -> dict[str, Any]:
    """A table under its contract: rules beside what Great Expectations found."""
    contract = read_contract(suite["contract"])
    found = {r["meta"]["rule_id"]: r for r in json.loads(suite["results"])}
    return {
        "name": name,
        "contract": contract,
        "version": suite["contract_version"],
        "rows": checks[0]["rows_checked"] if checks else 0,
        "rules": [check | {"found": found.get(check["rule_id"])} for check in checks],
        "failed": sum(not c["passed"] for c in checks),
    }


# -- writing ---------------------------------------------------------------------------------------


def _pages(reported: Mapping[str, Any]) -> dict[str, str]:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "n": _number,
        "score": _score,
        "dimension": DIMENSIONS_ES.__getitem__,
        "pretty": _pretty,
        "status": _STATUS_ES.__getitem__,
        "scope": _SCOPES_ES.__getitem__,
        "closed": _CLOSED_ES.__getitem__,
    }
    environment.globals |= {"grade": _grade, "page_of": page_of, "dimensions": list(DIMENSIONS_ES)}
    names = {
        "index.html": "director",
        "puntajes.html": "scores",
        "reglas.html": "rules",
        "cuarentena.html": "quarantine",
        "conciliacion.html": "reconciliation",
        "fuentes.html": "sources",
    }
    pages = {
        path: environment.get_template(f"{name}.html.j2").render(**reported, root="", here=path)
        for path, name in names.items()
    }
    table_page = environment.get_template("table.html.j2")
    for table in reported["tables"]:
        pages[page_of(table["name"])] = table_page.render(**reported, table=table, root="../", here="reglas.html")
    return pages


def _number(value: float | None, decimals: int = 0) -> str:
    if value is None:
        return "–"
    rounded = round(float(value), decimals)
    return f"{rounded or 0:,.{decimals}f}"  # no minus before nought


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _grade(score: float) -> str:
    """How a score is called and coloured."""
    return "bien" if score >= 95 else "regular" if score >= 80 else "bajo"


def _pretty(record: str) -> str:
    """A stored row, one field a line, without the empty ones."""
    return "\n".join(f"{name}: {value}" for name, value in json.loads(record).items() if value is not None)
