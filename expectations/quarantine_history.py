"""The history of the quarantine: every row that was ever quarantined, since when, until when, and how it left.

Belongs here: quality.quarantine_history and `opened_on`. Does not: deciding which rows are quarantined (quarantine.py).
"""

from __future__ import annotations

import datetime as dt

import duckdb

from expectations.contracts import Contract


def update_quarantine_history(con: duckdb.DuckDBPyConnection, table: str, contract: Contract, as_of: dt.date) -> None:
    """Close entries that are no longer in quarantine, open new ones; no entry is ever deleted.

    Reads quality.quarantine as it is now, and the temporary table `failing` for rows that are waived.
    """
    named = (
        f"select coalesce({contract.key}, '') as row_key, coalesce({contract.identity}, '') as entry_key from {table}"
    )
    con.execute(
        f"""
        update quality.quarantine_history as entry set
            closed_on = $as_of,
            closed_how = case
                when exists (
                    from ({named}) as t join failing as f on t.row_key = f.record_key
                    where f.is_waived and f.rule_id = entry.rule_id and t.entry_key = entry.entry_key
                ) then 'waived'
                when exists (from ({named}) as t where t.entry_key = entry.entry_key) then 'mended'
                else 'withdrawn'
            end
        where
            entry.table_name = $table and entry.closed_on is null
            and not exists (
                from quality.quarantine as held
                where held.table_name = $table and held.rule_id = entry.rule_id and held.entry_key = entry.entry_key
            )
        """,
        {"as_of": as_of, "table": table},
    )
    con.execute(
        """
        insert into quality.quarantine_history by name
        select
            held.table_name, held.rule_id, held.entry_key, held.reporting_institution,
            min(held.check_name) as check_name, min(held.reason_es) as reason_es, min(held.reason_en) as reason_en,
            arg_min(held.record, held.record_key) as record, min(held.snapshot_id) as snapshot_id, $as_of as opened_on
        from quality.quarantine as held
        where
            held.table_name = $table
            and not exists (
                from quality.quarantine_history as entry
                where entry.table_name = $table and entry.closed_on is null and entry.rule_id = held.rule_id
                    and entry.entry_key = held.entry_key
            )
        group by held.table_name, held.rule_id, held.entry_key, held.reporting_institution
        order by held.rule_id, held.entry_key
        """,
        {"as_of": as_of, "table": table},
    )
    con.execute(
        "update quality.quarantine as held set opened_on = entry.opened_on from quality.quarantine_history as entry"
        " where held.table_name = ? and entry.table_name = held.table_name and entry.rule_id = held.rule_id"
        " and entry.entry_key = held.entry_key and entry.closed_on is null",
        [table],
    )
