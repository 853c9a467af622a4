"""Protocol files compile to rules, and Great Expectations counts the same rows as the quarantine."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from dbt_like_sql.runner import engine_tables
from expectations.contracts import ContractError, contract_names, read_contract, schema_errors
from expectations.quarantine import enforce
from resources.warehouse import connect

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: x
version: 1.0.0
status: active
schema:
  - name: things
    customProperties: [{property: key, value: id}, {property: quarantine_above_pct, value: 60}]
    quality:
      - {name: some rows, type: library, metric: rowCount, mustBeGreaterThan: 0, severity: critical, dimension: completeness,
         description: none, customProperties: [{property: reason_es, value: ninguna}, {property: why_es, value: porque}, {property: why_en, value: because}]}
      - {name: size is small, type: sql, query: 'select count(*) from ${object} where size > 10', mustBe: 0,
         severity: critical, dimension: accuracy, description: too large, customProperties: [{property: reason_es, value: muy grande}, {property: why_es, value: porque}, {property: why_en, value: because}]}
      - {name: code has digits, type: sql, query: "select count(*) from ${object} where not regexp_full_match(code, '[0-9]{2}')",
         mustBe: 0, severity: warning, dimension: conformity, description: no digits, customProperties: [{property: reason_es, value: sin dígitos}, {property: why_es, value: porque}, {property: why_en, value: because}]}
    properties:
      - {name: id, logicalType: string, unique: true}
      - name: code
        logicalType: string
        required: true
      - name: kind
        logicalType: string
        quality:
          - {name: kind is known, type: library, metric: invalidValues, arguments: {validValues: [a, b]}, mustBe: 0,
             severity: critical, dimension: conformity, description: unknown, customProperties: [{property: reason_es, value: desconocido}, {property: why_es, value: porque}, {property: why_en, value: because}]}
"""


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "things.odcs.yml").write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", contract_names())
def test_every_contract_is_valid_under_the_standards_own_schema(name: str) -> None:
    assert schema_errors(name) == []


@pytest.mark.parametrize("name", contract_names())
def test_every_rule_says_why_in_both_languages(name: str) -> None:
    for rule in read_contract(name).rules:
        assert rule.reason_es
        assert rule.reason_en
        assert rule.reason_es != rule.reason_en
        assert " " in rule.name, "a check's name reads as a sentence"


def test_great_expectations_and_quarantine_count_alike_beyond_two_hundred_rows(tmp_path: Path) -> None:
    contract = read_contract("things", write(tmp_path, CONTRACT))
    con = connect(tmp_path / "b.duckdb")
    con.execute("create schema staging; create schema quality")
    con.execute(
        "create table staging.things as select i::varchar as id, i % 2000 as size, case when i % 7 = 0 then null else '12' end as code,"
        " case when i % 11 = 0 then 'z' else 'a' end as kind, 'snap' as snapshot_id, 'src' as source,"
        " st_point(-76, -12) as geometry from range(3000) t(i)"
    )
    for table, about in engine_tables().items():
        if table.startswith("quality."):
            con.execute(f"create table {table} ({', '.join(f'{c.name} {c.type}' for c in about.columns)})")
    outcomes = {o.name: o for o in enforce(con, "staging.things", contract, dt.date(2026, 1, 1))}
    by_hand = con.execute(
        "select count(*) filter (where size > 10), count(*) filter (where code is null), count(*) filter (where kind = 'z'),"
        " count(*) filter (where size > 10 or code is null or kind = 'z') from staging.things"
    ).fetchone()
    assert by_hand
    assert outcomes["size_is_small"].rows_failed == by_hand[0] > 200
    assert outcomes["code_is_given"].rows_failed == by_hand[1] > 200
    assert outcomes["kind_is_known"].rows_failed == by_hand[2] > 200
    held = con.execute("select count(distinct record_key) from quality.quarantine").fetchone()
    kept = con.execute("select count(*) from accepted.things").fetchone()
    assert held == (by_hand[3],)
    assert kept == (3000 - by_hand[3],)
    assert outcomes["quarantined_share_is_bearable"].is_blocking
    assert not outcomes["quarantined_share_is_bearable"].passed
    assert not outcomes["size_is_small"].is_blocking, "its rows are quarantined; the rest continues"
    assert outcomes["id_is_unique"].passed
    con.execute("checkpoint")  # no connection of the suite is left open


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("severity: warning", "severity: grave", "severity critical or warning"),
        ("size > 10", "size > ${limit}", "no threshold"),
        (", {property: quarantine_above_pct, value: 60}", "", "neither block nor hold back"),
        ("select count(*) from ${object} where size > 10", "select id from ${object}", "must read: select count"),
        ("metric: rowCount", "metric: freshness", "not supported"),
        ("kind: DataContract", "kind: DataContract\nsurprise: 1", "surprise"),
        ("name: code has digits", "name: size is small", "two rules bear one name"),
    ],
)
def test_a_broken_contract_says_what_is_wrong(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        read_contract("things", write(tmp_path, CONTRACT.replace(old, new)))
