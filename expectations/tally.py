"""Counts by institution and dimension of one table: the input of the scorecard.

Belongs here: quality.rule_counts and quality.dimension_counts. Does not: the score (dbt_like_sql/quality/scorecard.sql).
"""

from __future__ import annotations

import duckdb

from expectations.contracts import Contract
from expectations.rules import DIMENSIONS

ALL = "all"  # the row that counts each record once, whatever it breaks


def tally(con: duckdb.DuckDBPyConnection, table: str, contract: Contract, institution: str) -> None:
    """Count a table's rows from the temporary table `failing`.

    A row is quarantined in a dimension where it breaks a critical rule of it and is not waived; warned where it breaks only
    warnings. Contracts on finished tables belong to no institution and are not counted.
    """
    con.execute("delete from quality.rule_counts where table_name = ?", [table])
    con.execute("delete from quality.dimension_counts where table_name = ?", [table])
    used = {rule.dimension for rule in contract.rules if rule.level == "row"}
    if not used or not contract.judges_deliveries:
        return
    con.execute(
        "insert into quality.rule_counts by name select ? as table_name, rule_id, institution as reporting_institution,"
        " count(*) as rows_failed, count(*) filter (where is_waived) as rows_waived from failing group by all order by all",
        [table],
    )
    con.execute(
        f"""
        insert into quality.dimension_counts by name
        with received as (
            select {institution} as institution, count(*) as row_count from {table} group by all
        ),
        judged as (
            select
                f.institution, f.record_key, unnest([f.dimension, $all]) as dimension,
                f.severity = 'critical' and not f.is_waived and $holds as is_held, f.is_waived
            from failing as f
        ),
        by_row as (
            select j.institution, j.dimension, j.record_key, bool_or(j.is_held) as is_held, bool_and(j.is_waived) as is_waived
            from judged as j
            group by all
        ),
        counted as (
            select
                b.institution, b.dimension,
                count(*) filter (where b.is_held) as held,
                count(*) filter (where not b.is_held and not b.is_waived) as warned,
                count(*) filter (where b.is_waived) as waived
            from by_row as b
            group by all
        )
        select
            $table as table_name, $contract as contract, r.institution as reporting_institution, d.dimension,
            r.row_count as rows_received, coalesce(c.held, 0) as rows_quarantined, coalesce(c.warned, 0) as rows_warned,
            coalesce(c.waived, 0) as rows_waived
        from received as r
        cross join (select unnest($dimensions::varchar[]) as dimension) as d
        left join counted as c on c.institution is not distinct from r.institution and c.dimension = d.dimension
        order by all
        """,
        {
            "table": table,
            "contract": contract.name,
            "all": ALL,
            "holds": contract.quarantines,
            "dimensions": [ALL, *(d for d in DIMENSIONS if d in used)],
        },
    )
