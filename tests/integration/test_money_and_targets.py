"""Soles linked to hectares once, classes of spending, targets by year, and what adding targets would claim."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import duckdb
import polars as pl
import pytest
import shapely
import shapely.geometry

from dbt_like_sql.descriptions import FOLDER
from dbt_like_sql.seeds import read_seed
from resources.warehouse import connect
from restoration.build.session import MACROS
from sandbox.geography import area_ha
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline
from tests.integration.test_allocations import equal_area


def test_classification_follows_the_rules_and_not_the_names(good_night: Pipeline) -> None:
    """Product 3000384 says recovered areas; its activity is patrol."""
    classes = good_night.query(
        "select distinct restoration_class, restoration_confidence from core.spending where product_code = '3000384' and activity_code = '5005177'"
    )
    assert classes == [("not_restoration", "high")]
    assert good_night.query("select count(*) from core.spending where restoration_class is null") == [(0,)]
    named = {r[0] for r in good_night.query("select distinct restoration_rule from core.spending")}
    assert named <= set(read_seed("restoration_rules")["rule_id"])
    linked = good_night.query(
        "select distinct restoration_class from core.spending where cui in (select cui from core.initiative_spending)"
    )
    assert linked == [("direct",)]


def test_a_generic_code_is_linked_to_no_initiative(good_night: Pipeline) -> None:
    assert good_night.query("select count(*) from core.initiative_spending where cui in ('2001621', '2000634')") == [
        (0,)
    ]


def test_the_overlooked_programmes_are_listed_beside_the_others(good_night: Pipeline) -> None:
    linked = dict(
        good_night.query(
            "select programme_code, sum(accrued_pen - unlinked_pen) from marts.spending_linkage group by 1"
        )
    )
    assert set(linked) == {"0068", "0072", "0089", "0121", "0130", "0144"}
    assert all(pen > 0 for pen in linked.values())


@pytest.fixture
def shared_code() -> duckdb.DuckDBPyConnection:
    """Two initiatives that bear one CUI, a third with another, and a line nobody bears."""
    con = connect()
    con.execute(MACROS.read_text(encoding="utf-8"))
    con.execute("create schema core")
    con.execute(
        "create table core.initiative_sources as select * from (values"
        " ('2400001', 'I1', 'minam', 1.0::double, 'mismo CUI', 1), ('2400001', 'I2', 'serfor', 1.0::double, 'mismo CUI', 1),"
        " ('2400002', 'I3', 'invierte', 0.97::double, 'mismo nombre', 2)) t(cui, initiative_id, source, match_probability, match_reason, trust_place)"
    )
    con.execute(
        "create table core.initiatives as select * from (values ('I1', 30.0), ('I2', 60.0), ('I3', 10.0)) t(initiative_id, net_ha)"
    )
    con.execute(
        "create table core.spending as select * from (values"
        " ('a', 2024, '0144', '15', '2400001', 100.00::decimal(18,2), 99.99::decimal(18,2)),"
        " ('b', 2024, '0130', '15', '2400002', 50.00, -10.00), ('c', 2024, '0130', '15', null, 7.00, 7.00))"
        " t(spending_id, fiscal_year, programme_code, department_ubigeo, cui, modified_pen, accrued_pen)"
    )
    return con


def test_a_code_of_two_initiatives_is_shared_to_the_cent_and_never_counted_twice(
    shared_code: duckdb.DuckDBPyConnection,
) -> None:
    select = (FOLDER / "core" / "initiative_spending.sql").read_text(encoding="utf-8")
    rows = shared_code.execute(
        f"select initiative_id, spending_id, link_method, round(share, 4), link_probability, modified_pen, accrued_pen from ({select}) order by all"
    ).fetchall()
    assert rows == [
        ("I1", "a", "allocated", 0.3333, 1.0, Decimal("33.33"), Decimal("33.33")),
        ("I2", "a", "allocated", 0.6667, 1.0, Decimal("66.67"), Decimal("66.66")),
        ("I3", "b", "investment_match", 1.0, 0.97, Decimal("50.00"), Decimal("-10.00")),
    ]
    shared_code.execute("update core.initiatives set net_ha = 0 where initiative_id = 'I2'")
    even = shared_code.execute(
        f"select accrued_pen from ({select}) where spending_id = 'a' order by initiative_id"
    ).fetchall()
    assert even == [(Decimal("50.00"),), (Decimal("49.99"),)], "evenly where one of them has no net hectares"


def test_years_of_a_target_add_up_to_the_ground_that_counts_for_it(good_night: Pipeline) -> None:
    for target, net in good_night.query("select target_id, net_ha from marts.progress_to_targets where is_latest"):
        shapes = good_night.query(
            "select st_aswkb(a.geometry) from core.target_areas t join core.areas a using (area_id)"
            " where t.target_id = ? and a.geometry_kind = 'polygon' and not a.is_witness",
            target,
        )
        union = shapely.union_all([equal_area(bytes(row[0])) for row in shapes])
        assert net == pytest.approx(union.area / 10_000, abs=1e-6), target
        years = good_night.query(
            "select net_ha, added_net_ha, pace_needed_ha, target_ha, target_year, progress_year from marts.progress_to_targets"
            " where target_id = ? order by progress_year",
            target,
        )
        total = 0.0
        for year in years:
            total += year[1]
            assert year[0] == pytest.approx(total, abs=1e-6), "each year adds to the one before"
            needed = (year[3] - year[0]) / (year[4] - year[5]) if year[4] > year[5] else None
            assert year[2] == (pytest.approx(needed) if needed is not None else None)
    evidence = good_night.query(
        "select max(abs(net_ha - net_checked_ha - net_drawn_ha)) from marts.progress_to_targets"
    )
    assert evidence[0][0] < 1e-9


def test_the_sum_of_the_targets_claims_more_than_there_is(good_night: Pipeline) -> None:
    claimed, net, times = good_night.query("select claimed_ha, net_ha, times_claimed from marts.unified_target")[0]
    assert claimed == pytest.approx(
        good_night.query("select sum(net_ha) from marts.progress_to_targets where is_latest")[0][0]
    )
    shapes = good_night.query(
        "select st_aswkb(geometry) from core.areas where geometry_kind = 'polygon' and not is_witness and area_id in (select area_id from core.target_areas)"
    )
    union = shapely.union_all([equal_area(bytes(row[0])) for row in shapes])
    assert net == pytest.approx(union.area / 10_000, abs=1e-6)
    assert times == pytest.approx(claimed / net)
    assert times > 2


def test_the_way_from_all_ground_to_each_figure_is_walked_without_losing_a_hectare(good_night: Pipeline) -> None:
    """By Polars, from core: every polygon is taken away in one step, or reported."""
    areas = pl.DataFrame(
        good_night.query(
            "select a.area_id, a.net_ha, i.status, i.restoration_type, year(i.start_date), e.is_natural, e.is_forest"
            " from core.areas a join core.initiatives i using (initiative_id) left join core.ecosystems e using (ecosystem_code)"
            " where a.geometry_kind = 'polygon'"
        ),
        schema=["area_id", "net_ha", "status", "type", "start", "natural", "forest"],
        orient="row",
    )
    found: dict[str, dict[str, float]] = {}
    for framework, step, hectares in good_night.query("select framework, step, net_ha from marts.reporting_bridge"):
        found.setdefault(framework, {})[step] = hectares
    targets = {
        r[0]: r[1:]
        for r in good_night.query(
            "select target_id, counted_statuses, counted_from_year, counted_ecosystem_family from core.targets"
        )
    }
    assert set(found) == {*targets, "ferm"}
    for framework, (statuses, year, family) in targets.items():
        rest, expected = areas, {"all_net_ground": areas["net_ha"].sum()}
        keeps = {
            "status_not_counted": pl.col("status").is_in(statuses),
            "before_first_year": pl.lit(True) if year is None else (pl.col("start") >= year).fill_null(False),
            "ecosystem_not_counted": pl.lit(True) if family == "all" else pl.col(family).fill_null(False),
        }
        for step, keep in keeps.items():
            expected[step] = -rest.filter(~keep)["net_ha"].sum()
            rest = rest.filter(keep)
        for step, hectares in expected.items():
            assert found[framework].get(step, 0) == pytest.approx(hectares, abs=1e-6), (framework, step)
        ((published,),) = good_night.query(
            "select net_ha from marts.progress_to_targets where is_latest and target_id = ?", framework
        )
        assert found[framework]["reported"] == pytest.approx(published, abs=1e-6)
        assert rest["net_ha"].sum() + found[framework].get("shared_with_uncounted", 0) == pytest.approx(
            published, abs=1e-6
        )
    begun = areas.filter(pl.col("status").is_in(["in_progress", "post_completion"]))
    sent = begun.filter(pl.col("type").is_null() | pl.col("type").is_in(["ecological_restoration", "rehabilitation"]))
    assert found["ferm"]["reported"] == pytest.approx(sent["net_ha"].sum(), abs=1e-6)
    assert found["ferm"]["type_not_counted"] == pytest.approx(sent["net_ha"].sum() - begun["net_ha"].sum(), abs=1e-6)


def test_ferm_gets_what_the_way_to_it_ends_with(good_night: Pipeline) -> None:
    shapes = [
        shapely.geometry.shape(feature["geometry"])
        for path in (good_night.data_dir / "exports" / "ferm").rglob("*.geojson")
        for feature in json.loads(path.read_text(encoding="utf-8"))["features"]
    ]
    sent = float(area_ha(shapes).sum())
    left = (good_night.data_dir / "exports" / "ferm" / "left_out.csv").read_text(encoding="utf-8")
    parts = pl.read_csv(io.StringIO(left), infer_schema=False).filter(
        pl.col("reason").str.starts_with("part smaller") | pl.col("reason").str.starts_with("difference by making")
    )
    ((reported,),) = good_night.query(
        "select net_ha from marts.reporting_bridge where framework = 'ferm' and step = 'reported'"
    )
    assert sent + parts["left_out_net_ha"].cast(pl.Float64).sum() == pytest.approx(reported, rel=1e-6)


def test_a_hectare_costs_what_finished_initiatives_paid_for_ground_of_their_own(good_night: Pipeline) -> None:
    """By Polars and shapely, from core alone."""
    drawn: dict[str, list[shapely.Geometry]] = {}
    for initiative, shape in good_night.query(
        "select initiative_id, st_aswkb(geometry) from core.areas where geometry_kind = 'polygon' and not is_witness"
    ):
        drawn.setdefault(initiative, []).append(equal_area(bytes(shape)))
    own = {initiative: shapely.union_all(shapes).area / 10_000 for initiative, shapes in drawn.items()}
    paid = dict(good_night.query("select initiative_id, sum(accrued_pen) from core.initiative_spending group by 1"))
    ((first_year,),) = good_night.query("select min(fiscal_year) from core.spending")
    finished = [
        initiative
        for initiative, status, start in good_night.query(
            "select initiative_id, status, start_date from core.initiatives"
        )
        if status == "post_completion"
        and start
        and start.year >= first_year
        and paid.get(initiative)
        and own.get(initiative)
    ]
    costs = pl.Series([float(paid[i]) / own[i] for i in finished])
    (row,) = good_night.query(
        "select counted_initiatives, accrued_pen, own_ha, pen_per_ha, lower_quartile_pen_per_ha, median_pen_per_ha,"
        " upper_quartile_pen_per_ha, money_share_pct, ground_share_pct from marts.cost_per_hectare where dimension = 'all'"
    )
    count, accrued, hectares, together, low, middle, high, money, ground = row
    assert count == len(finished) > 5
    assert accrued == sum(paid[i] for i in finished)
    assert hectares == pytest.approx(sum(own[i] for i in finished))
    assert together == pytest.approx(float(accrued) / hectares)
    assert (low, middle, high) == pytest.approx([costs.quantile(q, "linear") for q in (0.25, 0.5, 0.75)])
    assert 0 < money < 100
    assert ground == pytest.approx(100 * hectares / sum(own.values()))


def test_costs_of_each_dimension_rest_on_the_same_initiatives(good_night: Pipeline) -> None:
    rows = good_night.query(
        "select dimension, sum(accrued_pen), sum(own_ha), sum(initiative_count) from marts.cost_per_hectare"
        " where dimension != 'status' group by 1"
    )
    assert len(rows) == 4
    assert len({(row[1], round(row[2], 6), row[3]) for row in rows}) == 1
    assert {
        r[0] for r in good_night.query("select group_code from marts.cost_per_hectare where dimension = 'status'")
    } >= {"in_progress", "post_completion"}, "what is not finished is shown apart"


def test_change_is_computed_from_those_that_measured_twice() -> None:
    con = connect()
    con.execute("create schema core")
    con.execute(
        "create table core.indicator_values as select 'AURORA' as framework, 'AURORA-012' as indicator_id, 'Comunidad' as goal_es,"
        " 'Hogares' as metric_es, 'Households' as metric_en, 'households' as unit, * from (values"
        " ('I1', 2022, 10.0, 'midagri'), ('I1', 2024, 16.0, 'midagri'), ('I2', 2024, 30.0, 'ong_tierra'))"
        " t(initiative_id, year, value, reporting_institution)"
    )
    select = (FOLDER / "marts" / "indicators_over_time.sql").read_text(encoding="utf-8")
    rows = con.execute(
        f"select measured_year, initiative_count, mean_value, compared_count, mean_change, institutions from ({select})"
    )
    assert rows.fetchall() == [
        (2022, 1, 10.0, 0, None, ["midagri"]),
        (2024, 2, 23.0, 1, 6.0, ["midagri", "ong_tierra"]),
    ]


def test_an_investment_on_269_rows_is_one_and_its_money_too(make_pipeline: MakePipeline, own_world: World) -> None:
    night = make_pipeline(own_world, after_a_good_night=True)
    cui, paid = night.query(
        "select cui, sum(accrued_pen) from core.initiative_spending where link_method = 'cui' group by 1 order by 1 limit 1"
    )[0]
    costs = night.query("select count(*), sum(viable_cost_pen) from core.investments")
    path = own_world.files / "DETALLE_INVERSIONES.csv"
    frame = pl.read_csv(path, infer_schema=False)
    one = frame.filter(pl.col("CODIGO_UNICO") == cui)
    districts = read_seed("districts_inei_2025")["ubigeo"].to_list()[:268]
    copies = pl.concat([one] * 268).with_columns(UBIGEO=pl.Series(districts))
    pl.concat([frame, copies]).write_csv(path, include_bom=True, quote_style="always")
    later = make_pipeline(own_world, data_dir=night.data_dir)
    assert later.publish(), later.errors()
    assert later.query("select row_count from core.investments where cui = ?", cui) == [(269,)]
    assert later.query("select count(*), sum(viable_cost_pen) from core.investments") == costs
    assert later.query("select sum(accrued_pen) from core.initiative_spending where cui = ?", cui) == [(paid,)]
