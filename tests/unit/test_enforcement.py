"""What happens to rows: quarantined, waived, returned, recorded, counted."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.runner import engine_tables
from expectations import waivers
from expectations.contracts import Contract, read_contract
from expectations.quarantine import enforce
from expectations.rules import ContractError
from expectations.waivers import Waiver, in_force, read_waivers
from resources.warehouse import connect

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: x
name: Cosas
version: 1.0.0
status: active
schema:
  - name: things
    customProperties:
      - {property: key, value: id}
      - {property: quarantine_above_pct, value: 90}
      - {property: thresholds, value: [{name: largest, value: 10, unit: m, source: chance}]}
    quality:
      - {name: size is small, type: sql, query: 'select count(*) from ${object} where size > ${largest}', mustBe: 0, severity: critical,
         dimension: accuracy, description: 'above ${largest}', customProperties: [{property: reason_es, value: 'más de ${largest}'},
         {property: why_es, value: porque}, {property: why_en, value: because}, {property: mend_es, value: achique}]}
      - {name: size is even, type: sql, query: 'select count(*) from ${object} where size % 2 = 1', mustBe: 0, severity: warning,
         dimension: accuracy, description: odd, customProperties: [{property: reason_es, value: impar},
         {property: why_es, value: porque}, {property: why_en, value: because}]}
      - {name: colour is given, type: sql, query: 'select count(*) from ${object} where colour is null', mustBe: 0, severity: warning,
         dimension: coverage, description: none, customProperties: [{property: reason_es, value: sin color},
         {property: why_es, value: porque}, {property: why_en, value: because}]}
    properties:
      - {name: id, businessName: Clave, description: key, logicalType: string, physicalType: varchar, unique: true}
"""
DAY = dt.date(2026, 5, 1)
RULE = "things.table.size_is_small"


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    (tmp_path / "things.odcs.yml").write_text(CONTRACT)
    return read_contract("things", tmp_path)


@pytest.fixture
def con(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    connection = connect(tmp_path / "b.duckdb")
    connection.execute("create schema staging; create schema quality")
    for table, about in engine_tables().items():
        if table.startswith("quality."):
            connection.execute(f"create table {table} ({', '.join(f'{c.name} {c.type}' for c in about.columns)})")
    send(connection, [("a", "ana", 4, "red"), ("b", "ana", 12, "red"), ("c", "ana", 13, None), ("d", "luz", 3, None)])
    return connection


def send(con: duckdb.DuckDBPyConnection, rows: list[tuple[str, str, int, str | None]]) -> None:
    con.execute(
        "create or replace table staging.things (id varchar, reporting_institution varchar, size int, colour varchar, snapshot_id varchar)"
    )
    con.executemany("insert into staging.things values (?, ?, ?, ?, 'snap')", rows)


def held(con: duckdb.DuckDBPyConnection) -> list[str]:
    return [r[0] for r in con.execute("select record_key from quality.quarantine order by 1").fetchall()]


def kept(con: duckdb.DuckDBPyConnection) -> list[str]:
    return [r[0] for r in con.execute("select id from accepted.things order by 1").fetchall()]


def history(con: duckdb.DuckDBPyConnection) -> list[tuple]:
    return con.execute(
        "select entry_key, opened_on, closed_on, closed_how from quality.quarantine_history order by all"
    ).fetchall()


def waiver(**changes: object) -> Waiver:
    entry = {
        "rule_id": RULE,
        "record_keys": ["b"],
        "approved_by": "Ana Pérez",
        "why_es": "medido con estación total",
        "added_on": DAY,
        "valid_until": DAY + dt.timedelta(days=30),
    }
    return Waiver.model_validate(entry | changes)


def test_a_threshold_is_in_the_rule_and_in_its_words(contract: Contract) -> None:
    rule = next(r for r in contract.rules if r.rule_id == RULE)
    assert rule.failing == "size > 10"
    assert (rule.reason_es, rule.reason_en) == ("más de 10", "above 10")


def test_a_row_returns_by_itself_and_the_history_keeps_it(con: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    enforce(con, "staging.things", contract, DAY)
    assert held(con) == ["b", "c"]
    assert kept(con) == ["a", "d"]
    later = DAY + dt.timedelta(days=3)
    send(con, [("a", "ana", 4, "red"), ("b", "ana", 8, "red"), ("e", "ana", 99, "red")])
    enforce(con, "staging.things", contract, later)
    assert held(con) == ["e"]
    assert kept(con) == ["a", "b"]
    assert history(con) == [("b", DAY, later, "mended"), ("c", DAY, later, "withdrawn"), ("e", later, None, None)]
    send(con, [("b", "ana", 50, "red")])
    enforce(con, "staging.things", contract, later)
    assert [entry for entry in history(con) if entry[0] == "b"] == [
        ("b", DAY, later, "mended"),
        ("b", later, None, None),
    ]
    assert con.execute("select opened_on from quality.quarantine").fetchall() == [(later,)]


def test_a_waived_row_passes_by_name_and_no_longer_than_allowed(
    con: duckdb.DuckDBPyConnection, contract: Contract
) -> None:
    enforce(con, "staging.things", contract, DAY)
    excused = [waiver()]
    small = next(o for o in enforce(con, "staging.things", contract, DAY, excused) if o.rule_id == RULE)
    assert (small.rows_failed, small.rows_waived, small.passed) == (2, 1, False), "the rule still counts the row"
    assert held(con) == ["c"]
    assert kept(con) == ["a", "b", "d"]
    assert ("b", DAY, DAY, "waived") in history(con)
    assert con.execute("select rule_id, approved_by, row_count from quality.waivers").fetchall() == [
        (RULE, "Ana Pérez", 1)
    ]
    both = next(
        o for o in enforce(con, "staging.things", contract, DAY, [waiver(record_keys=["b", "c"])]) if o.rule_id == RULE
    )
    assert both.passed, "everything that fails is excused"
    late = DAY + dt.timedelta(days=31)
    enforce(con, "staging.things", contract, late, excused)
    assert held(con) == ["b", "c"]
    assert con.execute("select count(*) from quality.waivers").fetchone() == (0,)


def test_a_waiver_for_an_institution_is_for_nobody_else(con: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    send(con, [("a", "ana", 20, "red"), ("d", "luz", 20, "red")])
    enforce(con, "staging.things", contract, DAY, [waiver(record_keys=[], institution="luz")])
    assert held(con) == ["a"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"record_keys": []}, "never everybody"),
        ({"valid_until": DAY + dt.timedelta(days=400)}, "within 366 days"),
        ({"valid_until": DAY - dt.timedelta(days=1)}, "within 366 days"),
        ({"approved_by": ""}, "approved_by"),
        ({"rule_id": "thingz.table.size_is_small"}, "name no contract"),
        ({"why_es": "sí"}, "why_es"),
    ],
)
def test_a_waiver_that_excuses_too_much_is_refused(
    changes: dict[str, object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    entry = waiver().model_dump(mode="json") | {k: str(v) if isinstance(v, dt.date) else v for k, v in changes.items()}
    path = tmp_path / "waivers.yml"
    path.write_text(yaml.safe_dump([entry]))
    monkeypatch.setattr(waivers, "FILE", path)
    with pytest.raises(ContractError, match=words):
        read_waivers()


def test_a_waiver_of_no_row_rule_is_refused(contract: Contract) -> None:
    with pytest.raises(ContractError, match="is no row rule of things"):
        in_force([waiver(rule_id="things.id.unique")], contract, DAY)


def test_the_entries_of_the_project_are_of_rules_that_exist() -> None:
    for entry in read_waivers():
        in_force([entry], read_contract(entry.contract), entry.added_on)


def test_counts_by_institution_and_dimension(con: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    enforce(con, "staging.things", contract, DAY)
    counts = con.execute(
        "select reporting_institution, dimension, rows_received, rows_quarantined, rows_warned from quality.dimension_counts order by all"
    ).fetchall()
    assert counts == [
        ("ana", "accuracy", 3, 2, 0),  # c is odd too, but already quarantined in this dimension
        ("ana", "all", 3, 2, 0),
        ("ana", "coverage", 3, 0, 1),
        ("luz", "accuracy", 1, 0, 1),
        ("luz", "all", 1, 0, 1),
        ("luz", "coverage", 1, 0, 1),
    ]
    warned = con.execute("select record_key, rule_id from quality.warnings order by all").fetchall()
    assert warned == [("d", "things.table.colour_is_given"), ("d", "things.table.size_is_even")]
