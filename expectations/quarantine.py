"""Enforcing a contract on a table: failing rows to quarantine, the others to `accepted`, and the counts of both.

Belongs here: what happens to rows that break a rule. Does not: evaluating rules (suites.py), waiving rows (waivers.py),
the history of the quarantine (quarantine_history.py), counts for scores (tally.py) or reporting to the UI (assets).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from expectations.contracts import Contract
from expectations.quarantine_history import update_quarantine_history
from expectations.results import Outcome, record
from expectations.rules import Rule, as_name
from expectations.suites import SuiteError, run_suite
from expectations.tally import tally
from expectations.waivers import Waiver, in_force

SAMPLE = 5
RECORDS = "5"  # raise when what is written about rules and rows changes, so that contracts are enforced again


def enforce(
    con: duckdb.DuckDBPyConnection, table: str, contract: Contract, as_of: dt.date, waivers: Sequence[Waiver] = ()
) -> list[Outcome]:
    """Enforce the contract of a table.

    Rows that break a critical row rule and are not waived are written to quality.quarantine, and `accepted.<name>` becomes
    the table without them. Raises SuiteError where Great Expectations and the quarantine disagree on a count.
    """
    name = table.split(".")[1]
    judged = ContractTarget(table, contract, frozenset(r[0] for r in con.execute(f"describe {table}").fetchall()))
    rows = _number(con, f"select count(*) from {table}")
    suite = run_suite(con, table, contract.key, contract.rules)
    _agree(con, table, contract.rules, [c.rows_failed for c in suite.counted])
    failed = [c.rule for c in suite.counted if c.rows_failed and c.rule.level == "row"]
    _find_failing(con, judged, failed, in_force(waivers, contract, as_of))
    waived = dict(con.execute("select rule_id, count(*) from failing where is_waived group by all").fetchall())
    con.execute("delete from quality.quarantine where table_name = ?", [table])
    outcomes = []
    for counted in suite.counted:
        rule, excused = counted.rule, int(waived.get(counted.rule.rule_id, 0))
        if contract.quarantines and rule.level == "row" and rule.severity == "critical" and counted.rows_failed:
            _hold_back(con, judged, rule)
        sample = _sample(con, table, contract, rule) if counted.rows_failed else []
        passed = counted.passed or 0 < excused == counted.rows_failed
        outcomes.append(_outcome(rule, passed, rows, counted.rows_failed, excused, sample))
    if contract.quarantines:
        update_quarantine_history(con, table, contract, as_of)
        con.execute("create schema if not exists accepted")
        con.execute(
            f"create or replace view accepted.{name} as select kept.* from {table} as kept"
            f" where kept.{contract.key} is not null and not exists (from quality.quarantine as held"
            f" where held.table_name = '{table}' and held.record_key = kept.{contract.key})"
        )
        outcomes.append(_share_held_back(con, judged, rows))
    con.execute("delete from quality.warnings where table_name = ?", [table])
    con.execute(
        "insert into quality.warnings by name select $table as table_name, f.record_key, f.institution as"
        " reporting_institution, f.rule_id from failing f where f.severity = 'warning' and not f.is_waived and not exists"
        " (from quality.quarantine q where q.table_name = $table and q.record_key = f.record_key) order by all",
        {"table": table},
    )
    tally(con, table, contract, judged.institution)
    record(con, table, contract.name, outcomes)
    con.execute("delete from quality.suite_results where table_name = ?", [table])
    con.execute(
        "insert into quality.suite_results by name select ? as table_name, ? as contract, ? as contract_version, ? as results",
        [table, contract.name, contract.version, json.dumps(suite.results, ensure_ascii=False)],
    )
    con.execute("drop table failing")
    return outcomes


def planned_checks(contract: Contract) -> list[tuple[str, str, bool]]:
    """Name, meaning and blocking of every check that `enforce` reports."""
    planned = [(r.check_name, f"{r.reason_es} | {r.reason_en}", r.is_blocking) for r in contract.rules]
    return [*planned, (as_name(_SHARE), " | ".join(_share_reason(contract)), True)] if contract.quarantines else planned


@dataclass(frozen=True)
class ContractTarget:
    """A table under a contract, and its columns."""

    table: str
    contract: Contract
    columns: frozenset[str]

    @property
    def institution(self) -> str:
        """SQL of the institution that delivered a row: from a column, or from the name `stg_<institution>__<layer>`."""
        for column in ("reporting_institution", "source"):
            if column in self.columns:
                return column
        return "'" + self.table.split(".")[1].removeprefix("stg_").split("__")[0] + "'"

    @property
    def has_source(self) -> bool:
        """Whether it holds rows of several sources."""
        return "source" in self.columns


def _agree(con: duckdb.DuckDBPyConnection, table: str, rules: Sequence[Rule], counts: Sequence[int]) -> None:
    """Count every condition once more, in one pass: what is quarantined must be what Great Expectations found."""
    conditions = [(rule, count) for rule, count in zip(rules, counts, strict=True) if rule.failing]
    if not conditions:
        return
    sums = ", ".join(f"count(*) filter (where c{i})" for i in range(len(conditions)))
    flags = ", ".join(f"({rule.failing}) as c{i}" for i, (rule, _) in enumerate(conditions))
    ours = con.execute(f"select {sums} from (select {flags} from {table})").fetchone() or ()
    for (rule, theirs), mine in zip(conditions, ours, strict=True):
        if theirs != mine:
            raise SuiteError(f"{rule.rule_id}: Great Expectations counts {theirs} rows, the quarantine {mine}")


def _find_failing(
    con: duckdb.DuckDBPyConnection, judged: ContractTarget, rules: Sequence[Rule], waivers: Sequence[Waiver]
) -> None:
    """The temporary table `failing`: one row a row and the rule it breaks."""
    con.execute("create or replace temp table waived (rule_id varchar, record_key varchar, institution varchar)")
    named = [[w.rule_id, key, w.institution] for w in waivers for key in (w.record_keys or (None,))]
    if named:
        con.executemany("insert into waived values (?, ?, ?)", named)
    con.execute(
        "create or replace temp table failing (record_key varchar, institution varchar, rule_id varchar,"
        " severity varchar, dimension varchar, is_waived boolean)"
    )
    for rule in rules:
        con.execute(
            f"""
            insert into failing
            select
                coalesce(broken.record_key, ''), broken.institution, $rule_id, $severity, $dimension,
                exists (
                    from waived as w
                    where
                        w.rule_id = $rule_id
                        and coalesce(w.record_key = broken.record_key, w.record_key is null)
                        and coalesce(w.institution = broken.institution, w.institution is null)
                )
            from (select {judged.contract.key} as record_key, {judged.institution} as institution
                from {judged.table} where {rule.failing}) as broken
            """,
            {"rule_id": rule.rule_id, "severity": rule.severity, "dimension": rule.dimension},
        )
    con.execute("delete from quality.waivers where table_name = ?", [judged.table])
    for waiver in waivers:
        con.execute(
            "insert into quality.waivers by name select ? as table_name, ? as rule_id, ? as institution, ? as record_keys,"
            " ? as approved_by, ? as why_es, ? as added_on, ? as valid_until,"
            " (select count(*) from failing f where f.is_waived and f.rule_id = ?"
            "  and (len(?::varchar[]) = 0 or list_contains(?::varchar[], f.record_key))"
            "  and coalesce(f.institution = ?, true)) as row_count",
            [
                judged.table,
                waiver.rule_id,
                waiver.institution,
                list(waiver.record_keys),
                waiver.approved_by,
                waiver.why_es,
                waiver.added_on,
                waiver.valid_until,
                waiver.rule_id,
                list(waiver.record_keys),
                list(waiver.record_keys),
                waiver.institution,
            ],
        )


def _hold_back(con: duckdb.DuckDBPyConnection, judged: ContractTarget, rule: Rule) -> None:
    table, contract = judged.table, judged.contract
    source = "held.source" if judged.has_source else judged.institution
    as_text = " replace (st_astext(geometry) as geometry)" if "geometry" in judged.columns else ""
    con.execute(
        f"""
        insert into quality.quarantine by name
        select
            $table_name as table_name, coalesce(held.{contract.key}, '') as record_key, {source} as source,
            {judged.institution} as reporting_institution, $rule_id as rule_id, $check_name as check_name,
            $dimension as dimension, $reason_es as reason_es, $reason_en as reason_en, $mend_es as mend_es,
            coalesce({contract.identity}, '') as entry_key, cast(to_json(held) as varchar) as record,
            held.snapshot_id as snapshot_id
        from (select *{as_text} from {table}) as held
        where
            ({rule.failing})
            and not exists (
                from failing as f
                where f.is_waived and f.rule_id = $rule_id and f.record_key = coalesce(held.{contract.key}, '')
            )
        order by held.{contract.key}
        """,
        {
            "table_name": table,
            "rule_id": rule.rule_id,
            "check_name": rule.name,
            "dimension": rule.dimension,
            "reason_es": rule.reason_es,
            "reason_en": rule.reason_en,
            "mend_es": rule.mend_es or None,
        },
    )


_SHARE = "quarantined share is bearable"


def _share_reason(contract: Contract) -> tuple[str, str]:
    limit = f"{contract.quarantine_above_pct:g} %"
    return f"Más de {limit} de las filas está en cuarentena", f"More than {limit} of the rows are in quarantine"


def _share_held_back(con: duckdb.DuckDBPyConnection, judged: ContractTarget, rows: int) -> Outcome:
    """The quarantined share is checked for registries only: one bad submission must not block everybody's figures."""
    table, contract = judged.table, judged.contract
    held_where = f"table_name = '{table}' and source != 'submissions'"
    if judged.has_source:
        rows = _number(con, f"select count(*) from {table} where source != 'submissions'")
    held = _number(con, f"select count(distinct record_key) from quality.quarantine where {held_where}")
    reason_es, reason_en = _share_reason(contract)
    bearable = held <= rows * (contract.quarantine_above_pct or 0) / 100
    return Outcome(
        rule_id=f"{contract.name}.table.quarantined_share",
        check_name=_SHARE,
        level="table",
        severity="critical",
        is_blocking=True,
        dimension="completeness",
        passed=bearable,
        rows_checked=rows,
        rows_failed=held,
        rows_waived=0,
        sample_keys=[],
        reason_es=reason_es,
        reason_en=reason_en,
        why_es="Cuando falla tanto, lo roto es la fuente o la regla, y publicar el resto engañaría",
        why_en="Where so much fails, the source or the rule is broken, and publishing the rest would mislead",
        mend_es="Revise qué cambió en la fuente antes de aceptar nada.",
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


def _outcome(rule: Rule, passed: bool, rows: int, failed: int, waived: int, sample: list[str]) -> Outcome:
    return Outcome(
        rule.rule_id,
        rule.name,
        rule.level,
        rule.severity,
        rule.is_blocking,
        rule.dimension,
        passed,
        rows,
        failed,
        waived,
        sample,
        rule.reason_es,
        rule.reason_en,
        rule.why_es,
        rule.why_en,
        rule.mend_es,
    )


def _number(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0
