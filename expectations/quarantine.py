"""Enforcing a contract on a table: counts by rule, failing rows to quarantine, the others to `accepted`.

Belongs here: what happens to rows and results. Does not: evaluating rules (suites.py) or saying so in a UI (assets).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from expectations.contracts import Contract, Rule
from expectations.suites import SuiteError, run_suite

SAMPLE = 5


@dataclass(frozen=True)
class Outcome:
    """What came of one rule on one table."""

    check_name: str
    name: str
    severity: str
    is_blocking: bool
    passed: bool
    rows_checked: int
    rows_failed: int
    sample_keys: list[str]
    reason_es: str
    reason_en: str
    level: str
    dimension: str


def enforce(con: duckdb.DuckDBPyConnection, table: str, contract: Contract) -> list[Outcome]:
    """Hold a table to its contract.

    Rows that break a critical row rule are written to quality.quarantine, and `accepted.<name>` becomes the table
    without them. Raises SuiteError where Great Expectations and the quarantine disagree on a count.
    """
    name = table.split(".")[1]
    rows = _number(con, f"select count(*) from {table}")
    con.execute("delete from quality.quarantine where table_name = ?", [table])
    con.execute("delete from quality.check_results where table_name = ?", [table])
    outcomes = []
    for counted in run_suite(con, table, contract.key, contract.rules):
        rule = counted.rule
        failing = (
            _number(con, f"select count(*) from {table} where {rule.failing}") if rule.failing else counted.rows_failed
        )
        if failing != counted.rows_failed:
            raise SuiteError(
                f"{rule.rule_id}: Great Expectations counts {counted.rows_failed} rows, the quarantine {failing}"
            )
        if contract.quarantines and rule.level == "row" and rule.severity == "critical" and failing:
            _quarantine(con, table, contract, rule)
        sample = _sample(con, table, contract, rule) if failing else []
        outcomes.append(_outcome(rule, counted.passed, rows, failing, sample))
    if contract.quarantines:
        con.execute("create schema if not exists accepted")
        con.execute(
            f"create or replace view accepted.{name} as select kept.* from {table} as kept"
            f" where kept.{contract.key} is not null and not exists (from quality.quarantine as held"
            f" where held.table_name = '{table}' and held.record_key = kept.{contract.key})"
        )
        outcomes.append(_share_held_back(con, table, contract, rows))
    record(con, table, contract.name, outcomes)
    return outcomes


def planned_checks(contract: Contract) -> list[tuple[str, str, bool]]:
    """Name, meaning and blocking of every check that `enforce` reports."""
    planned = [(r.check_name, f"{r.reason_es} | {r.reason_en}", r.is_blocking) for r in contract.rules]
    return [*planned, (_SHARE, " | ".join(_share_reason(contract)), True)] if contract.quarantines else planned


def record(con: duckdb.DuckDBPyConnection, table: str, contract: str, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes to quality.check_results."""
    con.executemany(
        "insert into quality.check_results by name select ? as table_name, ? as contract, ? as check_name, ? as rule_id,"
        " ? as level, ? as severity, ? as is_blocking, ? as dimension, ? as passed, ? as rows_checked, ? as rows_failed,"
        " ? as sample_keys, ? as reason_es, ? as reason_en",
        [
            [table, contract, o.name, o.check_name, o.level, o.severity, o.is_blocking, o.dimension, o.passed,
             o.rows_checked, o.rows_failed, o.sample_keys, o.reason_es, o.reason_en]
            for o in outcomes
        ],
    )  # fmt: skip


def recorded(con: duckdb.DuckDBPyConnection, table: str) -> list[Outcome]:
    """Outcomes of the last enforcement, as stored."""
    rows = con.execute(
        "select rule_id, check_name, severity, is_blocking, passed, rows_checked, rows_failed, sample_keys, reason_es,"
        " reason_en, level, dimension from quality.check_results where table_name = ? order by rule_id",
        [table],
    ).fetchall()
    return [Outcome(*row) for row in rows]


_SHARE = "quarantined_share_is_bearable"


def _share_reason(contract: Contract) -> tuple[str, str]:
    limit = f"{contract.quarantine_above_pct:g} %"
    return f"Más de {limit} de las filas está en cuarentena", f"More than {limit} of the rows are in quarantine"


def _share_held_back(con: duckdb.DuckDBPyConnection, table: str, contract: Contract, rows: int) -> Outcome:
    """Registries alone are judged by their share: one bad submission must not keep everybody's figures back."""
    columns = [row[0] for row in con.execute(f"describe {table}").fetchall()]
    held_where = f"table_name = '{table}' and source != 'submissions'"
    if "source" in columns:
        rows = _number(con, f"select count(*) from {table} where source != 'submissions'")
    held = _number(con, f"select count(distinct record_key) from quality.quarantine where {held_where}")
    reason_es, reason_en = _share_reason(contract)
    bearable = held <= rows * (contract.quarantine_above_pct or 0) / 100
    return Outcome(
        check_name=_SHARE, name="quarantined share is bearable", severity="critical", is_blocking=True, passed=bearable,
        rows_checked=rows, rows_failed=held, sample_keys=[], reason_es=reason_es, reason_en=reason_en, level="table",
        dimension="completeness",
    )  # fmt: skip


def _quarantine(con: duckdb.DuckDBPyConnection, table: str, contract: Contract, rule: Rule) -> None:
    columns = [row[0] for row in con.execute(f"describe {table}").fetchall()]
    source = "held.source" if "source" in columns else "'mef'"
    as_text = " replace (st_astext(geometry) as geometry)" if "geometry" in columns else ""
    con.execute(
        f"""
        insert into quality.quarantine by name
        select
            $table_name as table_name, coalesce(held.{contract.key}, '') as record_key, {source} as source, $rule_id as rule_id,
            $check_name as check_name, $dimension as dimension, $reason_es as reason_es, $reason_en as reason_en,
            cast(to_json(held) as varchar) as record, held.snapshot_id as snapshot_id
        from (select *{as_text} from {table}) as held
        where {rule.failing}
        order by held.{contract.key}
        """,
        {
            "table_name": table,
            "rule_id": rule.rule_id,
            "check_name": rule.name,
            "dimension": rule.dimension,
            "reason_es": rule.reason_es,
            "reason_en": rule.reason_en,
        },
    )


def _sample(con: duckdb.DuckDBPyConnection, table: str, contract: Contract, rule: Rule) -> list[str]:
    if rule.failing:
        where = rule.failing
    elif rule.metric == "duplicateValues":
        where = f'"{rule.column}" in (select "{rule.column}" from {table} group by 1 having count(*) > 1)'
    else:
        return []
    found = con.execute(
        f"select distinct {contract.key} as k from {table} where {where} order by k limit {SAMPLE}"
    ).fetchall()
    return [str(row[0]) for row in found]


def _outcome(rule: Rule, passed: bool, rows: int, failed: int, sample: list[str]) -> Outcome:
    return Outcome(
        rule.check_name, rule.name, rule.severity, rule.is_blocking, passed, rows, failed, sample, rule.reason_es,
        rule.reason_en, rule.level, rule.dimension,
    )  # fmt: skip


def _number(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0
