"""Contracts as Great Expectations suites that run inside DuckDB, on the connection that owns the build file.

Belongs here: compiling rules to expectations and reading the results. Does not: acting on them (quarantine.py).
Great Expectations takes 5 s to import (2026-11-23), so it is imported inside the functions only.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb

from expectations.rules import Rule

if TYPE_CHECKING:
    from duckdb_sqlalchemy import ConnectionWrapper
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.expectations.expectation import Expectation

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")


_CHECKED = "checks.checked"
_SAMPLE = 20  # failing keys or values that are stored of each expectation


class SuiteError(Exception):
    """Great Expectations could not evaluate a rule; a rule that cannot run has not passed."""


@dataclass(frozen=True)
class Counted:
    """What Great Expectations found for one rule."""

    rule: Rule
    passed: bool
    rows_failed: int


@dataclass(frozen=True)
class SuiteRun:
    """One validation: counts in the order of the rules, and Great Expectations' own results, ready for JSON."""

    counted: list[Counted]
    results: list[dict[str, Any]]


def run_suite(con: duckdb.DuckDBPyConnection, table: str, key: str, rules: Sequence[Rule]) -> SuiteRun:
    """Validate `table` (`schema.name`) against rules.

    Great Expectations sees a view without geometry columns: its dialect cannot reflect them.
    """
    import great_expectations as gx

    schema, name = table.split(".")
    con.execute("create schema if not exists checks")
    geometries = [
        row[0]
        for row in con.execute(
            "select column_name from duckdb_columns() where database_name = current_database() and schema_name = ?"
            " and table_name = ? and data_type like 'GEOMETRY%'",
            [schema, name],
        ).fetchall()
    ]
    without = f" exclude ({', '.join(geometries)})" if geometries else ""
    con.execute(f"create or replace view {_CHECKED} as select *{without} from {table}")
    try:
        with _CURSORS.of(con):
            whole = _whole_table()
            whole.data_asset.datasource.get_engine().dispose()  # it pools the cursors of the suite before
            suite = gx.ExpectationSuite(name=name)
            for rule in rules:
                suite.add_expectation(_expectation(rule, key))
            results = whole.get_batch().validate(suite, result_format="SUMMARY").results
    finally:
        con.execute(f"drop view {_CHECKED}")
    by_rule = {str(r.expectation_config.meta["rule_id"]): r.to_json_dict() for r in results if r.expectation_config}
    found = [by_rule[rule.rule_id] for rule in rules]
    return SuiteRun([_counted(rule, r) for rule, r in zip(rules, found, strict=True)], [_kept(r) for r in found])


class _Cursors:
    """Cursors of the connection that is being checked, one suite at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._con: duckdb.DuckDBPyConnection | None = None
        self._open: list[duckdb.DuckDBPyConnection] = []

    @contextmanager
    def of(self, con: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Take cursors from `con` inside the block; an open cursor keeps a transaction, which prevents a checkpoint."""
        with self._lock:
            self._con = con
            try:
                yield
            finally:
                while self._open:
                    self._open.pop().close()
                self._con = None

    def new(self) -> ConnectionWrapper:
        """A cursor as SQLAlchemy expects a connection."""
        from duckdb_sqlalchemy import ConnectionWrapper

        assert self._con is not None
        self._open.append(self._con.cursor())
        return ConnectionWrapper(self._open[-1])


_CURSORS = _Cursors()


@cache
def _whole_table() -> BatchDefinition:
    """What is checked, for Great Expectations: the view `checks.checked`, read through cursors of our own connection.

    Created once per process: a context, a datasource and an asset for each suite take as long as its checks. Opened by
    path the file would be a second configuration of one file, which DuckDB refuses; and without these options every
    expectation fails with an IndexError, since results are fetched after their connection was closed.
    """
    import great_expectations as gx

    for chatty in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(chatty).setLevel(logging.WARNING)  # it reports a scratch folder
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    datasource = context.data_sources.add_sql(
        "build",
        connection_string="duckdb:///:memory:",
        kwargs={
            "creator": _CURSORS.new,
            "isolation_level": "AUTOCOMMIT",
            "skip_autocommit_rollback": True,
            "pool_reset_on_return": None,
        },
        create_temp_table=False,
    )
    schema, name = _CHECKED.split(".")
    return datasource.add_table_asset(name, table_name=name, schema_name=schema).add_batch_definition_whole_table(
        "whole"
    )


def _expectation(rule: Rule, key: str) -> Expectation:
    import great_expectations.expectations as gxe

    common: dict[str, Any] = {"meta": {"rule_id": rule.rule_id}, "description": rule.name, "severity": rule.severity}
    if rule.metric == "rowCount":
        return gxe.ExpectTableRowCountToBeBetween(min_value=1, **common)
    if rule.metric == "nullValues":
        return gxe.ExpectColumnValuesToNotBeNull(column=str(rule.column), **common)
    if rule.metric == "invalidValues":
        return gxe.ExpectColumnValuesToBeInSet(column=str(rule.column), value_set=list(rule.valid_values), **common)
    if rule.metric == "duplicateValues":
        # 0.37 s a pass over 5 M lines; the window of ExpectColumnValuesToBeUnique takes 0.76 s (2026-11-23)
        repeated = f'select "{rule.column}" from {{batch}} group by 1 having count(*) > 1'
        query = f'select {key} from {{batch}} where "{rule.column}" in ({repeated})'
    else:
        failing = str(rule.failing).replace("{", "{{").replace("}", "}}")  # a quantifier is no placeholder
        query = f"select {key} from {{batch}} where {failing}"
    return gxe.UnexpectedRowsExpectation(unexpected_rows_query=query, **common)


def _counted(rule: Rule, result: dict[str, Any]) -> Counted:
    if result.get("exception_info", {}).get("raised_exception") or not result.get("result"):
        raise SuiteError(f"rule {rule.rule_id} could not be evaluated: {_messages(result.get('exception_info'))}")
    found = result["result"]
    if rule.metric == "rowCount":
        failed = 0 if result["success"] else 1
    elif rule.metric in {"sql", "duplicateValues"}:
        failed = int(found["observed_value"])
    else:
        failed = int(found["unexpected_count"]) if found["element_count"] else 0  # null for a table without rows
    return Counted(rule, bool(result["success"]), failed)


def _kept(result: dict[str, Any]) -> dict[str, Any]:
    """A result as it is stored: the expectation, what was found, a sample. Without times, which would differ each night."""
    found = dict(result["result"])
    details = found.pop("details", None) or {}
    sample = details.get("unexpected_rows") or found.get("partial_unexpected_list") or []
    for bulky in ("partial_unexpected_list", "partial_unexpected_counts", "partial_unexpected_index_list"):
        found.pop(bulky, None)
    config = result["expectation_config"]
    return {
        "expectation": config["type"],
        "kwargs": {k: v for k, v in config["kwargs"].items() if k != "batch_id"},
        "meta": config["meta"],
        "severity": config.get("severity"),
        "success": result["success"],
        "result": found,
        "sample": sample[:_SAMPLE],
    }


def _messages(info: Any) -> str:
    """What went wrong, without the tracebacks that Great Expectations nests."""
    if not isinstance(info, dict):
        return str(info)
    if "exception_message" in info:
        return str(info["exception_message"]).splitlines()[0]
    return "; ".join(sorted({_messages(inner) for inner in info.values()}))
