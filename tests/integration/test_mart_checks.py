"""Every rule on a mart can fail: it passes on the published file, and reports what a lost, doubled or changed row does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.descriptions import FOLDER
from dbt_like_sql.runner import build, load_models
from dbt_like_sql.seeds import read_seed
from expectations.contracts import Contract, read_contract
from expectations.suites import run_suite
from resources.warehouse import connect, register_frame
from tests.conftest import Pipeline

EMPTY = "delete from {mart}"
DOUBLE = "insert into {mart} select * from {mart} where rowid = (select min(rowid) from {mart})"
ONE = "rowid = (select min(rowid) from {mart} where %s)"
LOSE = "delete from {mart} where " + ONE

# mart -> rule -> what somebody's error would do to the mart
DAMAGES = {
    "continuum": {
        "some rows are published": EMPTY,
        "every initiative is on one step": LOSE % "initiative_count > 0",
        "net hectares are those of what counts": "insert into {mart} select * from {mart} where net_ha > 0",
        "what counts and what is in preparation is all ground": "update {mart} set preparing_net_ha = preparing_net_ha + 1",
    },
    "cost_per_hectare": {
        "some rows are published": EMPTY,
        "each dimension holds every initiative once": LOSE % "dimension = 'department'",
        "dimensions share the same money and ground": "update {mart} set accrued_pen = accrued_pen + 0.01 where "
        + ONE % "dimension = 'restoration_type'",
        "status holds the money of all initiatives with ground": "insert into {mart} select * from {mart} where dimension = 'status'",
        "quartiles are in order": "update {mart} set upper_quartile_pen_per_ha = lower_quartile_pen_per_ha / 2",
    },
    "double_counting": {
        "a pair is listed once": "insert into {mart} by name select * replace (institution_b as institution_a, institution_a as institution_b) from {mart}",
        "every overlap is in one pair": LOSE % "true",
        "shared ground is between the largest overlap and their sum": "update {mart} set overlap_ha = overlap_ha / 1000",
    },
    "gbf_d_2": {
        "some rows are published": EMPTY,
        "spending of each year and class is that of its lines": LOSE % "accrued_pen > 0",
        "linked spending is what initiatives received": "update {mart} set linked_pen = linked_pen + 0.01 where "
        + ONE % "true",
    },
    "reporting_bridge": {
        "the way of a target ends at its figure": LOSE % "step = 'status_not_counted' and framework != 'ferm'",
        "every way begins with all net ground": "update {mart} set net_ha = net_ha + 1 where step = 'all_net_ground'",
    },
    "indicators_over_time": {
        "an indicator has one row a year": DOUBLE,
        "every initiative that measured is counted": LOSE % "true",
        "mean lies between smallest and largest": "update {mart} set mean_value = max_value + 1",
    },
    "prais_actions": {
        "some rows are published": EMPTY,
        "initiative_id is unique": DOUBLE,
        "every initiative that counts is reported": LOSE % "true",
        "extents add up to the ground that counts": "update {mart} set areal_extent_km2 = areal_extent_km2 * 2 where "
        + ONE % "areal_extent_km2 > 0",
        "actions name the targets they count for": "update {mart} set linked_targets = null where "
        + ONE % "linked_targets is not null",
    },
    "prais_finance": {
        "some rows are published": EMPTY,
        "an activity is reported once": DOUBLE,
        "principal support is all direct spending": LOSE % "type_of_support = 'principal'",
        "significant support is enabling spending that is sure": "update {mart} set amount_pen = amount_pen + 0.01 where "
        + ONE % "type_of_support = 'significant'",
    },
    "prais_targets": {
        "some rows are published": EMPTY,
        "target_id is unique": DOUBLE,
        "every target is reported": LOSE % "true",
        "achieved area is the ground that counts for the target": "update {mart} set achieved_km2 = achieved_km2 + 1 where "
        + ONE % "true",
    },
    "restoration_by_institution": {
        "some rows are published": EMPTY,
        "hectares are those of what counts": DOUBLE,
        "every area is of one institution": LOSE % "true",
        "net is not above gross": "update {mart} set net_ha = gross_ha + 1",
    },
    "target_overlap": {
        "a pair of targets is listed once": DOUBLE,
        "areas are those that count for two targets": LOSE % "true",
        "two targets share no more ground than the smaller has": "update {mart} set gross_ha = gross_ha * 2, net_ha = net_ha * 2",
    },
    "unified_target": {
        "some rows are published": EMPTY,
        "the country is one row": DOUBLE,
        "what is claimed is the sum of the targets": "update {mart} set claimed_ha = claimed_ha + 1",
        "ground is between the largest target and what is claimed": "update {mart} set net_ha = net_ha - 1000",
        "areas that count several times are in the pairs": "update {mart} set counted_more_than_once = 0",
    },
    "changes_since_last_release": {
        "a change is told once": DOUBLE,
        "a change moves something": "update {mart} set value_after = value_before where " + ONE % "unit = 'S/'",
        "changes add up to the difference of the releases": LOSE % "subject = 'initiatives' and measure = 'net_ha'",
        "every changed status and investment is told": LOSE % "subject = 'initiatives' and measure = 'status'",
    },
}
# the good night has neither measurements nor a release before it
MEASURED = """
insert into core.indicator_values by name
select
    i.initiative_id || y.year as value_key, i.initiative_id, 'AURORA' as framework, a.indicator_id, y.year, y.year - 2000.5 as value,
    a.unit, a.goal_es, a.metric_es, a.metric_en, 'minam' as reporting_institution
from (from core.initiatives order by initiative_id limit 3) as i
cross join (from seeds.aurora_indicators order by indicator_id limit 2) as a
cross join (select unnest([2022, 2024]) as year) as y
"""
BEFORE = (
    "update previous.core__spending set accrued_pen = accrued_pen + 7.25 where spending_id in (select min(spending_id) from core.spending)",
    "update previous.core__initiatives set net_ha = net_ha + 12.345678 where initiative_id in (select min(initiative_id) from core.initiatives)",
    "delete from previous.core__initiatives where initiative_id in (select max(initiative_id) from core.initiatives where net_ha > 0)",
    "update previous.marts__progress_to_targets set net_ha = net_ha + 12.345678 where is_latest",
    "delete from previous.core__investments where cui in (select min(cui) from core.investments)",
)


def contract_of(mart: str) -> Contract:
    return read_contract(str(load_models()[f"marts.{mart}"].about.contract))


def failed(con: duckdb.DuckDBPyConnection, mart: str) -> dict[str, int]:
    """Rules that the mart breaks, as the pipeline evaluates them, and the rows that each reports."""
    contract = contract_of(mart)
    run = run_suite(con, f"marts.{mart}", contract.key, contract.rules)
    return {c.rule.name: c.rows_failed for c in run.counted if not c.passed}


@pytest.fixture(scope="module")
def con(good_night: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of the published file to write in, with measurements and with a release before it that differs."""
    file = tmp_path_factory.mktemp("marts") / "restauracion.duckdb"
    shutil.copyfile(good_night.published, file)
    models = load_models()
    rebuilt = [models["marts.indicators_over_time"], models["marts.changes_since_last_release"]]
    with connect(Path(file)) as con:
        con.execute((FOLDER / "macros.sql").read_text(encoding="utf-8"))
        con.execute("attach ':memory:' as previous; attach ':memory:' as seeds")
        for table in sorted({"seeds.aurora_indicators"}.union(*(model.inputs for model in rebuilt))):
            if table.startswith("seeds."):
                register_frame(con, table, read_seed(table.split(".")[1]))
            else:
                con.execute(f"create table {table} as from {table.removeprefix('previous.').replace('__', '.')}")
        for statement in (MEASURED, *BEFORE):
            con.execute(statement)
        for model in rebuilt:
            build(con, model)
        yield con


def test_every_rule_on_these_marts_has_a_damage_that_breaks_it() -> None:
    rules = {mart: {rule.name for rule in contract_of(mart).rules} for mart in DAMAGES}
    assert rules == {mart: set(damages) for mart, damages in DAMAGES.items()}
    assert all(rule.is_blocking for mart in DAMAGES for rule in contract_of(mart).rules)


@pytest.mark.parametrize("mart", DAMAGES)
def test_a_good_mart_breaks_no_rule(con: duckdb.DuckDBPyConnection, mart: str) -> None:
    assert con.execute(f"select count(*) > 0 from marts.{mart}").fetchone() == (True,), "it would prove nothing"
    assert failed(con, mart) == {}


def test_the_first_release_has_no_changes_and_breaks_no_rule(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("create table saved as from marts.changes_since_last_release")
    con.execute("delete from marts.changes_since_last_release")
    try:
        assert failed(con, "changes_since_last_release") == {}
    finally:
        con.execute("insert into marts.changes_since_last_release from saved; drop table saved")


@pytest.mark.parametrize(("mart", "rule"), [(mart, rule) for mart, rules in DAMAGES.items() for rule in rules])
def test_a_damaged_mart_breaks_the_rule(con: duckdb.DuckDBPyConnection, mart: str, rule: str) -> None:
    con.execute(f"create table saved as from marts.{mart}")
    try:
        con.execute(DAMAGES[mart][rule].format(mart=f"marts.{mart}"))
        assert failed(con, mart).get(rule, 0) > 0
    finally:
        con.execute(f"delete from marts.{mart}; insert into marts.{mart} from saved; drop table saved")
