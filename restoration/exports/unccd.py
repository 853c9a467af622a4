"""What UNCCD's PRAIS4 asks: voluntary targets, implemented actions in km², SO5-2 domestic finance.

Belongs here: the form's columns in its order. Does not: the figures (marts.prais_*). Amounts are in soles; the dollar column stays
empty for whoever reports, with the year's rate and its source: none could be proven here.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from restoration.exports.release import Release, Rows
from restoration.exports.sheets import Book

WORKBOOK = "PRAIS4.xlsx"
# a sheet of the form: its columns as (heading, unit, what it is taken from)
_FORMS: dict[str, tuple[str, tuple[tuple[str, str | None, str], ...]]] = {
    "SO1-VT.T1": (
        "prais_targets",
        (
            ("Target", None, "target_text"),
            ("Level of application", None, "level_of_application"),
            ("Total target area (km2)", "km²", "total_target_area_km2"),
            ("Year", None, "target_year"),
            ("Baseline year", None, "baseline_year"),
            ("Set by", None, "owner"),
            ("Achieved, net (km2)", "km²", "achieved_km2"),
            ("Achieved by year", None, "achieved_by_year"),
            ("Source", None, "source"),
        ),
    ),
    "SO1.IA.T1": (
        "prais_actions",
        (
            ("Implemented action", None, "action_description"),
            ("Linked target(s)", None, "linked_targets"),
            ("Location", None, "concat_ws(', ', department_name, ubigeo)"),
            ("Start date", None, "start_date"),
            ("Areal extent (km2)", "km²", "areal_extent_km2"),
            ("Source of funding", None, "source_of_funding"),
            ("Lead institution", None, "lead_institution"),
            ("Declared (km2), without overlaps taken out", "km²", "declared_km2"),
            ("Status", None, "status"),
            ("Initiative", None, "initiative_id"),
        ),
    ),
    "SO5-2": (
        "prais_finance",
        (
            ("Year", None, "fiscal_year"),
            ("Provider of funds", None, "provider"),
            ("Recipient", None, "recipient"),
            ("Geographic scope", None, "geographic_scope"),
            ("Title", None, "title"),
            ("Amount USD", None, "cast(null as decimal(18, 2))"),
            ("Amount (domestic currency)", "S/", "amount_pen"),
            ("Sector", None, "'Environment: ecosystem restoration'"),
            ("Type of flow", None, "type_of_flow"),
            ("Financial instrument", None, "'Public budget'"),
            ("Type of support", None, "type_of_support"),
            ("Programme", None, "programme_code"),
            ("Executing unit", None, "executing_unit_code"),
        ),
    ),
}


def write_unccd(con: duckdb.DuckDBPyConnection, release: Release, folder: Path) -> Rows:
    """Write one workbook with a sheet a form."""
    workbook = Book(folder / WORKBOOK, release, "UNCCD PRAIS4: restoration in Peru")
    count = 0
    for sheet, (table, columns) in _FORMS.items():
        named = ", ".join(f'{what} as "{heading}"' for heading, _, what in columns)
        query = f"select {named} from w.marts.{table} order by all"
        units = [unit for _, unit, _ in columns]
        found = con.execute(query).fetchall()
        count += workbook.sheet(sheet, [heading for heading, _, _ in columns], found, units=units)
    workbook.close()
    return {WORKBOOK: count}
