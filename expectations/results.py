"""Results of the rules on a table, as stored and reported.

Belongs here: outcomes and `quality.check_results`. Does not: computing them (suites.py, quarantine.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import duckdb

from expectations.rules import as_name


@dataclass(frozen=True)
class Outcome:
    """The result of one rule on one table; the fields are columns of quality.check_results."""

    rule_id: str
    check_name: str
    level: str
    severity: str
    is_blocking: bool
    dimension: str
    passed: bool
    rows_checked: int
    rows_failed: int
    rows_waived: int
    sample_keys: list[str]
    reason_es: str
    reason_en: str
    why_es: str
    why_en: str
    mend_es: str

    @property
    def name(self) -> str:
        """The check's name in Dagster."""
        return as_name(self.check_name)


_COLUMNS = [field.name for field in fields(Outcome)]


def record(con: duckdb.DuckDBPyConnection, table: str, contract: str, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes to quality.check_results in place of those of the enforcement before."""
    con.execute("delete from quality.check_results where table_name = ?", [table])
    if outcomes:  # as lists: a statement a row takes twenty times as long
        named = ", ".join(f"unnest(?) as {name}" for name in _COLUMNS)
        con.execute(
            f"insert into quality.check_results by name select ? as table_name, ? as contract, {named}",
            [table, contract, *map(list, zip(*map(astuple, outcomes), strict=True))],
        )


def recorded(con: duckdb.DuckDBPyConnection, table: str) -> list[Outcome]:
    """Outcomes of the last enforcement, as stored."""
    rows = con.execute(
        f"select {', '.join(_COLUMNS)} from quality.check_results where table_name = ? order by rule_id", [table]
    ).fetchall()
    return [Outcome(*row) for row in rows]
