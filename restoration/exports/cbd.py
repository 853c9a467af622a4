"""What the CBD's Online Reporting Tool takes: the upload sheet of indicator 2.1, and the spending view of D.2.

Belongs here: the tool's headers and shape. Does not: the figures (marts.gbf_2_1, marts.gbf_d_2).
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import orjson

from restoration.exports.release import Release, Rows
from restoration.exports.sheets import Book

UPLOAD = "GBF-INDICATOR-2.1.xlsx"
SPENDING = "GBF-D.2.xlsx"
# as the upload parser compares them; the tool's detailed template writes 'Indicator_code', which its parser does not know
HEADERS = (
    "Indicator code",
    "Indicator",
    "Does this data row represent a disaggregation",
    "Disaggregation type",
    "Disaggregation",
    "Year",
    "Unit",
    "Value",
    "Footnote",
)
_ROWS = """
    select indicator_code, indicator_name, case when is_disaggregation then 'Yes' else 'No' end, disaggregation_type, disaggregation,
        report_year, unit, round(value_ha, 4), footnote || ? || ' Release ' || ? || '.', is_disaggregation, indicator_id
    from w.marts.gbf_2_1 order by is_disaggregation, category_kind, category_order, report_year, category_code
"""
_RECONCILED = """
    with total as (select value_ha as total_ha from w.marts.gbf_2_1 where category_kind = 'total' order by report_year desc limit 1)
    select category_kind, any_value(disaggregation_type order by disaggregation_type = 'Other'), count(*), sum(value_ha), total_ha,
        sum(value_ha) - total_ha,
        case category_kind
            when 'activity' then 'Does not add up by nature: an initiative may report several activities, and groups repeat their members'
            else 'Adds up: what lies outside the list is a row of its own'
        end
    from w.marts.gbf_2_1 cross join total where is_disaggregation group by category_kind, total_ha order by category_kind
"""


def write_cbd(con: duckdb.DuckDBPyConnection, release: Release, folder: Path) -> Rows:
    """Write the upload sheet with its reconciliation, the same rows as JSON, and D.2."""
    sandbox = " SANDBOX, synthetic data." if release.is_sandbox else ""
    rows = con.execute(_ROWS, [sandbox, release.release_id]).fetchall()
    upload = Book(folder / UPLOAD, release, "CBD indicator 2.1 Area under restoration")
    upload.sheet("Indicator 2.1", HEADERS, [row[:9] for row in rows], units=[*[None] * 7, "ha", None], filtered=False)
    upload.sheet(
        "Reconciliation",
        ("Disaggregation", "Disaggregation type", "Rows", "Sum, ha", "Total of the year, ha", "Difference, ha", "Why"),
        con.execute(_RECONCILED).fetchall(),
        units=[None, None, None, "ha", "ha", "ha", None],
    )
    upload.close()
    (folder / "GBF-INDICATOR-2.1.json").write_bytes(
        orjson.dumps(
            {
                "indicator": {"identifier": "GBF-INDICATOR-2.2", "code": "2.1"},
                "sourceOfData": "national",
                "data": [
                    {
                        "indicatorCode": row[0],
                        "hasDisaggregation": row[9],
                        "disaggregationType": row[3],
                        "disaggregation": row[4],
                        "year": row[5],
                        "unit": row[6],
                        "value": row[7],
                        "footnote": row[8],
                    }
                    for row in rows
                ],
            },
            option=orjson.OPT_INDENT_2,
        )
    )
    spent = con.execute(
        "select fiscal_year, programme_code, short_name, restoration_class, modified_pen, accrued_pen, linked_pen, unlinked_pen"
        " from w.marts.gbf_d_2 order by all"
    ).fetchall()
    workbook = Book(folder / SPENDING, release, "KM-GBF D.2 domestic public funding: restoration")
    headings = (
        "Fiscal year",
        "Programme",
        "Programme name",
        "Class",
        "Budget (PIM), S/",
        "Accrued (devengado), S/",
        "Tied to initiatives, S/",
        "Not tied, S/",
    )
    workbook.sheet("D.2 restoration", headings, spent, units=[None] * 4 + ["S/"] * 4)
    workbook.close()
    return {UPLOAD: len(rows), "GBF-INDICATOR-2.1.json": len(rows), SPENDING: len(spent)}
