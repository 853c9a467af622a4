"""Deciding pairs, keeping ids, reading people's decisions: properties for any records."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbt_like_sql.runner import engine_tables
from restoration.linkage import identity, links
from restoration.linkage.decisions import DECISIONS, TO_REVIEW, DecisionStore
from restoration.linkage.identity import Membership, carried_on

LIMITS = links.Thresholds(linked=0.95, review=0.3)
DAY = dt.date(2026, 1, 1)


def records(**registry_of: str) -> pl.DataFrame:
    rows = [(key, registry, key, None) for key, registry in registry_of.items()]
    return pl.DataFrame(rows, schema=["record_key", "registry", "source_record_id", "cui"], orient="row").with_columns(
        pl.col("cui").cast(pl.String)
    )


def scored(*pairs: tuple[str, str, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [(a, b, p, "mismo nombre", "same name") for a, b, p in pairs],
        schema={
            "record_key_a": pl.String,
            "record_key_b": pl.String,
            "match_probability": pl.Float64,
            "why_es": pl.String,
            "why_en": pl.String,
        },
        orient="row",
    )


def outcomes(settled: pl.DataFrame) -> dict[tuple[str, str], tuple[str, str]]:
    return {
        (a, b): (o, d)
        for a, b, o, d in settled.select("record_key_a", "record_key_b", "outcome", "decided_by").iter_rows()
    }


def test_probability_decides_between_linked_review_and_apart() -> None:
    settled = links.settle(
        records(a="m", b="s", c="f", d="i"), scored(("a", "b", 0.96), ("a", "c", 0.5), ("a", "d", 0.1)), {}, LIMITS
    )
    assert outcomes(settled) == {
        ("a", "b"): ("linked", "model"),
        ("a", "c"): ("review", "model"),
        ("a", "d"): ("apart", "model"),
    }


def test_the_model_never_joins_two_records_of_one_registry_not_even_through_a_third() -> None:
    settled = links.settle(
        records(a="m", b="m", c="s"), scored(("a", "c", 0.99), ("b", "c", 0.97), ("a", "b", 0.999)), {}, LIMITS
    )
    assert outcomes(settled) == {
        ("a", "b"): ("review", "model"),
        ("a", "c"): ("linked", "model"),
        ("b", "c"): ("review", "model"),
    }
    reasons = dict(settled.filter(pl.col("outcome") == "review").select("record_key_a", "reason_es").iter_rows())
    assert all("uniría dos registros de m" in reason for reason in reasons.values())


def test_the_same_cui_links_without_the_model_and_within_a_registry() -> None:
    reported = records(a="m", b="m", c="s").with_columns(cui=pl.Series(["2400001", "2400001", None]))
    assert outcomes(links.settle(reported, scored(), {}, LIMITS)) == {("a", "b"): ("linked", "rule")}


def test_one_registry_reporting_the_id_of_another_links() -> None:
    reported = records(a="m", b="s").with_columns(source_record_id=pl.lit("RED-2020-0001"))
    assert outcomes(links.settle(reported, scored(), {}, LIMITS)) == {("a", "b"): ("linked", "rule")}
    reported = records(a="m", b="m").with_columns(source_record_id=pl.lit("RED-2020-0001"))
    assert outcomes(links.settle(reported, scored(), {}, LIMITS)) == {}
    reported = records(a="m", b="s").with_columns(source_record_id=pl.lit("100001"))
    assert outcomes(links.settle(reported, scored(), {}, LIMITS)) == {}, "every registry has a record of that number"


def test_a_decision_takes_precedence_over_rules_and_model() -> None:
    reported = records(a="m", b="s", c="f").with_columns(cui=pl.Series(["2400001", "2400001", None]))
    decided = {("a", "b"): "apart", ("a", "c"): "same"}
    settled = outcomes(links.settle(reported, scored(("b", "c", 0.999), ("a", "c", 0.02)), decided, LIMITS))
    assert settled[("a", "b")] == ("apart", "person")
    assert settled[("a", "c")] == ("linked", "person")
    assert settled[("b", "c")] == ("review", "model"), "it would bring a and b together after all"


def test_decisions_that_contradict_each_other_come_back_to_people() -> None:
    decided = {("a", "b"): "same", ("b", "c"): "same", ("a", "c"): "apart"}
    settled = links.settle(records(a="m", b="s", c="f"), scored(), decided, LIMITS)
    assert sorted(settled["outcome"]) == ["apart", "linked", "review"]
    assert "mantiene aparte" in settled.filter(pl.col("outcome") == "review")["reason_es"][0]


def ids(decision_store: list[Membership]) -> dict[str, str]:
    return {row.record_key: row.initiative_id for row in decision_store if row.until is None}


def test_a_group_that_grows_keeps_its_id() -> None:
    first = carried_on([["a"], ["b", "c"]], [], DAY)
    second = carried_on([["a"], ["b", "c", "d"]], first, DAY + dt.timedelta(1))
    assert ids(second) == ids(first) | {"d": ids(first)["b"]}
    assert [r.came_by for r in second if r.record_key == "d"] == ["linked"]


def test_a_merge_keeps_the_id_of_the_most_records_and_says_so() -> None:
    first = carried_on([["a"], ["b", "c"]], [], DAY)
    second = carried_on([["a", "b", "c"]], first, DAY + dt.timedelta(1))
    assert set(ids(second).values()) == {ids(first)["b"]}
    gone = [r for r in second if r.until]
    assert [(r.record_key, r.went_by, r.initiative_id) for r in gone] == [("a", "merged", ids(first)["a"])]
    assert [r.came_by for r in second if r.record_key == "a" and not r.until] == ["merged"]


def test_a_split_leaves_the_id_to_the_larger_part_and_never_gives_an_old_one_away() -> None:
    merged = carried_on([["a", "b", "c"]], carried_on([["a"], ["b", "c"]], [], DAY), DAY + dt.timedelta(1))
    third = carried_on([["a"], ["b", "c"]], merged, DAY + dt.timedelta(2))
    assert ids(third)["b"] == ids(merged)["b"]
    assert ids(third)["a"] not in {r.initiative_id for r in merged}, (
        "the id that a had before the merge is not given again"
    )
    assert [r.came_by for r in third if r.record_key == "a" and not r.until] == ["split"]


def test_a_record_that_was_withdrawn_and_comes_back_finds_its_id() -> None:
    first = carried_on([["a"], ["b"]], [], DAY)
    second = carried_on([["b"]], first, DAY + dt.timedelta(1))
    assert [r.went_by for r in second if r.record_key == "a"] == ["withdrawn"]
    third = carried_on([["a"], ["b"]], second, DAY + dt.timedelta(2))
    assert ids(third) == ids(first)
    assert [r.came_by for r in third if r.record_key == "a" and not r.until] == ["returned"]


def test_nothing_moves_where_nothing_changed() -> None:
    decision_store = carried_on([["a"], ["b", "c"]], [], DAY)
    assert carried_on([["a"], ["b", "c"]], decision_store, DAY + dt.timedelta(9)) == decision_store


PARTITIONS = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 4), min_size=1), min_size=1, max_size=6
)


@settings(max_examples=200, deadline=None)
@given(PARTITIONS)
def test_an_id_always_means_one_initiative(days: list[dict[str, int]]) -> None:
    decision_store: list[Membership] = []
    seen: dict[str, set[str]] = {}
    for number, day in enumerate(days):
        groups = [sorted(r for r, g in day.items() if g == n) for n in sorted(set(day.values()))]
        decision_store = carried_on(groups, decision_store, DAY + dt.timedelta(number))
        now = ids(decision_store)
        assert set(now) == set(day), "every record of today has an id, and no other"
        assert all(len({now[r] for r in group}) == 1 for group in groups)
        assert len(set(now.values())) == len(groups), "two groups never bear one id"
        for group in groups:
            initiative = now[group[0]]
            assert initiative not in seen or seen[initiative] & set(group), (
                "an old id goes on with a record that bore it"
            )
        for record, initiative in now.items():
            seen.setdefault(initiative, set()).add(record)
        closed = [r for r in decision_store if r.until is not None]
        assert all(r.went_by for r in closed)
        assert all(r.since <= r.until for r in closed if r.until)


def test_groups_without_a_founding_record_are_not_initiatives() -> None:
    reported = pl.DataFrame(
        {"record_key": ["a", "i", "j"], "founds_initiative": [True, False, False], "trust_order": [1, 8, 8]}
    )
    linked = pl.DataFrame({"record_key_a": ["a"], "record_key_b": ["i"]})
    assert identity.grouped(reported, linked) == [["a", "i"]]


# -- the two files of decisions ------------------------------------------------------------------------


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    created = duckdb.connect()
    created.execute("create schema core")
    columns = ", ".join(f"{c.name} {c.type}" for c in engine_tables()["core.link_decisions"].columns)
    created.execute(f"create table core.link_decisions ({columns})")
    created.execute(
        "create table core.record_links (record_key_a varchar, record_key_b varchar, match_probability double, outcome varchar, reason_es varchar)"
    )
    created.execute(
        "create table core.linkage_records (record_key varchar, name varchar, ubigeo varchar, start_date date)"
    )
    created.execute(
        "insert into core.linkage_records values ('a', '=cmd()', '010101', null), ('b', 'Bosque', null, '2020-01-01'), ('c', 'Bofedal', null, null)"
    )
    created.execute(
        "insert into core.record_links values ('a', 'b', 0.5, 'review', 'mismo nombre'), ('b', 'c', 0.4, 'review', 'mismo distrito')"
    )
    return created


def review(folder: Path) -> pl.DataFrame:
    return pl.read_csv(folder / TO_REVIEW, infer_schema=False)


def test_what_is_filled_in_is_applied_kept_and_asked_no_more(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    decision_store = DecisionStore(tmp_path)
    decision_store.write(decision_store.files(con))
    asked = review(tmp_path)
    assert asked["record_key_a"].to_list() == ["a", "b"]
    assert asked["name_a"][0] == "'=cmd()", "a spreadsheet must not take a name for a formula"
    asked.with_columns(decision=pl.Series(["Misma", None]), decided_by=pl.lit("ana")).write_csv(tmp_path / TO_REVIEW)
    decision_store.absorb(con, DAY)
    assert decision_store.decisions(con) == {("a", "b"): "same"}
    con.execute("update core.record_links set outcome = 'linked' where record_key_a = 'a'")
    decision_store.write(decision_store.files(con))
    assert review(tmp_path)["record_key_a"].to_list() == ["b"]
    kept = pl.read_csv(tmp_path / DECISIONS, infer_schema=False).row(0, named=True)
    assert (kept["decision"], kept["decided_by"], kept["decided_on"]) == ("same", "ana", "2026-01-01")


def test_a_lost_file_takes_no_decision_with_it_and_a_lost_warehouse_neither(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    decision_store = DecisionStore(tmp_path)
    con.execute("insert into core.link_decisions values ('a', 'b', 'apart', 'ana', null, '2026-01-01')")
    decision_store.write(decision_store.files(con))
    (tmp_path / DECISIONS).unlink()
    decision_store.absorb(con, DAY)
    assert decision_store.decisions(con) == {("a", "b"): "apart"}
    decision_store.write(decision_store.files(con))
    con.execute("delete from core.link_decisions")
    decision_store.absorb(con, dt.date(2027, 1, 1))
    assert con.execute("select decision, decided_on from core.link_decisions").fetchall() == [("apart", DAY)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_a_file_that_excel_saved_with_semicolons_is_read(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, encoding: str
) -> None:
    (tmp_path / TO_REVIEW).write_text(
        "decision;decided_by;record_key_a;record_key_b\nSÍ;Señora Núñez;b;a\n", encoding=encoding
    )
    DecisionStore(tmp_path).absorb(con, DAY)
    assert con.execute(
        "select record_key_a, record_key_b, decision, decided_by from core.link_decisions"
    ).fetchall() == [("a", "b", "same", "Señora Núñez")]


def test_a_word_nobody_understands_stays_in_the_file_with_the_reason(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    decision_store = DecisionStore(tmp_path)
    (tmp_path / TO_REVIEW).write_text("decision,record_key_a,record_key_b\nquizás,a,b\nmisma,,b\n")
    decision_store.absorb(con, DAY)
    assert decision_store.decisions(con) == {}
    assert len(decision_store.problems()) == 2
    decision_store.write(decision_store.files(con))
    rows = review(tmp_path).filter(pl.col("problem").is_not_null())
    assert rows["decision"].to_list() == ["quizás", "misma"]
    assert "misma" in rows["problem"][0]
    assert review(tmp_path).height == 3, "the pair a–b is asked once, with what was filled in"


def test_what_somebody_fills_in_during_a_run_is_not_overwritten(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    decision_store = DecisionStore(tmp_path)
    decision_store.write(decision_store.files(con))
    created = decision_store.files(con)
    review(tmp_path).with_columns(decision=pl.Series([None, "distinta"])).write_csv(tmp_path / TO_REVIEW)
    decision_store.write(created)
    assert dict(review(tmp_path).select("record_key_a", "decision").iter_rows()) == {"b": "distinta", "a": None}


def test_a_file_that_cannot_be_read_is_left_for_its_owner(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (tmp_path / DECISIONS).write_text("a,b\n1,2,3\n")
    decision_store = DecisionStore(tmp_path)
    decision_store.absorb(con, DAY)
    assert "row 2 has 3 cells" in decision_store.problems()[0]
    decision_store.write(decision_store.files(con))
    assert (tmp_path / DECISIONS).read_text() == "a,b\n1,2,3\n"


def test_what_was_linked_stays_until_the_model_holds_it_for_apart_and_says_the_same_again() -> None:
    """Thresholds 0.95 and 0.6: a pair that fell to 0.92 stays linked; settling again from the result gives the same."""
    records = pl.DataFrame(
        {
            "record_key": ["minam|1", "serfor|1", "ferm|1"],
            "registry": ["minam", "serfor", "ferm"],
            "source_record_id": ["1", "1", "1"],
            "cui": [None] * 3,
        },
        schema_overrides={"cui": pl.String},
    )
    scored = pl.DataFrame(
        [
            ("minam|1", "serfor|1", 0.92, "es", "en"),
            ("ferm|1", "minam|1", 0.97, "es", "en"),
            ("ferm|1", "serfor|1", 0.55, "es", "en"),
        ],
        schema=["record_key_a", "record_key_b", "match_probability", "why_es", "why_en"],
        orient="row",
    )
    limits = links.Thresholds(0.95, 0.6)

    def outcomes(homes: dict[str, str]) -> dict[tuple[str, str], str]:
        return {
            (a, b): o
            for a, b, o in links.settle(records, scored, {}, limits, homes)
            .select("record_key_a", "record_key_b", "outcome")
            .iter_rows()
        }

    assert outcomes({})["minam|1", "serfor|1"] == "review"
    together = {"minam|1": "INI-1", "serfor|1": "INI-1"}
    assert outcomes(together)["minam|1", "serfor|1"] == "linked"
    assert outcomes(together | {"ferm|1": "INI-1"}) == outcomes(together)
    fallen = scored.with_columns(match_probability=pl.col("match_probability") - 0.4)
    settled = links.settle(records, fallen, {}, limits, together)
    assert set(settled["outcome"]) == {"apart"}
