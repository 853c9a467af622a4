"""The same ground on random polygons, by the warehouse's own SQL, against shapely; tiles; money in parts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import duckdb
import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from dbt_like_sql.descriptions import FOLDER
from resources.warehouse import connect
from restoration.build.session import MACROS
from restoration.ground import MOST_VERTICES, tiles


def blob(x: float, y: float, radius: float, corners: int) -> shapely.Polygon:
    order = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return shapely.Polygon(np.column_stack([x + radius * np.cos(order), y + radius * np.sin(order)]))


SHAPES = st.lists(
    st.builds(blob, st.floats(0, 3_000), st.floats(0, 3_000), st.floats(50, 900), st.integers(3, 30)),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    created = connect()
    created.execute(MACROS.read_text(encoding="utf-8"))
    created.execute("create schema core; create schema seeds")
    created.execute(
        "create table seeds.ground_tolerances as select * from (values ('sliver_width_m', 1.0), ('redrawn_share', 0.5)) as t (tolerance, amount)"
    )
    return created


def counted(
    con: duckdb.DuckDBPyConnection,
    shapes: Sequence[shapely.Geometry],
    order: Sequence[int] | None = None,
    initiatives: Sequence[str] | None = None,
    trust: Sequence[int] | None = None,
) -> pl.DataFrame:
    """Areas with gross and net hectares, by the models core.shared_ground, core.area_witnesses and core.area_net.

    Each area is an initiative of its own of one registry, unless `initiatives` and `trust` say otherwise.
    """
    frame = pl.DataFrame(
        {
            "area_id": [f"A{n:03d}" for n in range(len(shapes))],
            "turn": list(order or range(len(shapes))),
            "initiative_id": list(initiatives or map(str, range(len(shapes)))),
            "trust_order": list(trust or [1] * len(shapes)),
            "wkb": [shapely.to_wkb(s) for s in shapes],
        }
    )
    con.register("given", frame.to_arrow())
    con.execute(
        "create or replace table core.area_shapes as select area_id, area_id as record_key, 'polygon' as geometry_kind, 'B' as"
        " evidence_class, 1 as status_order, null::date as start_date, 1.0 as vertices_per_ha, turn,"
        " st_setcrs(st_geomfromwkb(wkb), 'EPSG:6933') as equal_area_shape, st_area(st_geomfromwkb(wkb)) / 10000 as geometry_ha from given"
    )
    con.execute(
        "create or replace table core.initiative_sources as"
        " select area_id as record_key, initiative_id, 'registry ' || trust_order as source, trust_order from given"
    )
    for model in ("shared_ground", "area_witnesses", "area_net"):
        con.execute(f"create or replace table core.{model} as {(FOLDER / 'core' / f'{model}.sql').read_text()}")
    return con.execute(
        "select s.area_id, s.geometry_ha, n.net_ha from core.area_shapes s join core.area_net n using (area_id) order by 1"
    ).pl()


@settings(max_examples=60, deadline=None)
@given(shapes=SHAPES, seed=st.integers(0, 1_000))
def test_net_is_the_union_whatever_the_precedence_and_never_more_than_gross(
    con: duckdb.DuckDBPyConnection, shapes: list[shapely.Polygon], seed: int
) -> None:
    union = shapely.union_all(shapes).area / 10_000
    found = counted(con, shapes)
    assert found["net_ha"].sum() == pytest.approx(union, abs=1e-6)
    assert (found["net_ha"] <= found["geometry_ha"] + 1e-9).all()
    order = np.random.default_rng(seed).permutation(len(shapes)).tolist()
    assert counted(con, shapes, order)["net_ha"].sum() == pytest.approx(union, abs=1e-6), (
        "totals do not depend on the order"
    )


@settings(max_examples=30, deadline=None)
@given(shapes=SHAPES, which=st.integers(0, 100))
def test_a_duplicate_adds_nothing(con: duckdb.DuckDBPyConnection, shapes: list[shapely.Polygon], which: int) -> None:
    before = counted(con, shapes)
    after = counted(con, [*shapes, shapes[which % len(shapes)]])
    assert after["net_ha"].sum() == pytest.approx(before["net_ha"].sum(), abs=1e-6)
    assert after["net_ha"][-1] == pytest.approx(0, abs=1e-6)


def test_containment_and_slivers(con: duckdb.DuckDBPyConnection) -> None:
    outer, inner = shapely.box(0, 0, 1_000, 1_000), shapely.box(100, 100, 200, 200)
    neighbour, beside = shapely.box(999.9, 0, 2_000, 1_000), shapely.box(990, 2_000, 1_000, 3_000)
    found = counted(con, [outer, inner, neighbour, beside])
    pairs = con.execute(
        "select area_id_a, area_id_b, overlap_ha, share_of_smaller, is_sliver from core.shared_ground order by 2"
    ).fetchall()
    assert pairs[0][:2] == ("A000", "A001")
    assert pairs[0][2:] == (pytest.approx(1.0), pytest.approx(1.0), False), "what lies inside overlaps wholly"
    assert pairs[1][:2] == ("A000", "A002")
    assert pairs[1][4], "a strip of ten centimetres is a matter of drawing"
    assert pairs[1][2] == pytest.approx(0.01)
    union = shapely.union_all([outer, inner, neighbour, beside]).area / 10_000
    assert found["net_ha"].sum() == pytest.approx(union, abs=1e-9), "but its ground is counted once all the same"


def test_ground_that_a_second_registry_draws_again_counts_as_the_first_drew_it(con: duckdb.DuckDBPyConnection) -> None:
    drawn, again, third = (shapely.box(x, 0, x + 1_000, 1_000) for x in (0, 150, -100))
    found = counted(con, [again, drawn, third], initiatives=["i", "i", "i"], trust=[2, 1, 3])
    assert found["net_ha"].to_list() == pytest.approx([0, 100, 0]), (
        "whatever the order in which shared ground is counted"
    )
    witnesses = con.execute(
        "select area_id, basis_source, share_on_basis from core.area_witnesses order by 1"
    ).fetchall()
    assert witnesses == [("A000", "registry 1", pytest.approx(0.85)), ("A002", "registry 1", pytest.approx(0.9))]


def test_what_each_registry_holds_a_part_of_is_lost_by_none(con: duckdb.DuckDBPyConnection) -> None:
    first, elsewhere, wider = (
        shapely.box(0, 0, 1_000, 1_000),
        shapely.box(900, 0, 1_900, 1_000),
        shapely.box(-1_500, 0, 600, 1_000),
    )
    found = counted(con, [first, elsewhere, wider], initiatives=["i", "i", "i"], trust=[1, 2, 3])
    union = shapely.union_all([first, elsewhere, wider]).area / 10_000
    assert found["net_ha"].sum() == pytest.approx(union, abs=1e-9), "each lies mostly on ground that nobody else drew"
    assert con.execute("select count(*) from core.area_witnesses").fetchone() == (0,)


def test_another_initiative_on_the_same_ground_is_no_second_drawing(con: duckdb.DuckDBPyConnection) -> None:
    first, again = shapely.box(0, 0, 1_000, 1_000), shapely.box(150, 0, 1_150, 1_000)
    assert counted(con, [first, again], trust=[1, 2])["net_ha"].to_list() == pytest.approx([100, 15])
    same_registry = counted(con, [first, again], initiatives=["i", "i"])
    assert same_registry["net_ha"].to_list() == pytest.approx([100, 15]), (
        "one registry draws no ground twice to be safe"
    )


def wavering(corners: int, seed: int) -> shapely.Polygon:
    random = np.random.default_rng(seed)
    order = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    reach = 10_000 + np.convolve(random.normal(0, 300, corners), np.ones(5) / 5, "same")
    return shapely.Polygon(
        np.column_stack([reach * np.cos(order), reach * np.sin(order)]), [blob(0, 0, 2_000, 700).exterior.coords]
    )


@settings(max_examples=15, deadline=None)
@given(corners=st.integers(3, 9_000), seed=st.integers(0, 99))
def test_tiles_are_light_and_together_the_shape(corners: int, seed: int) -> None:
    shape = shapely.make_valid(wavering(max(corners, 40), seed))
    parts, places = tiles([shape, blob(50_000, 0, 100, 8)])
    assert max(shapely.get_num_coordinates(parts)) <= MOST_VERTICES
    assert shapely.is_valid(parts).all()
    first = [part for part, place in zip(parts, places, strict=True) if place == 0]
    assert shapely.area(first).sum() == pytest.approx(shape.area, rel=1e-12)
    assert shapely.union_all(first).symmetric_difference(shape).area < 1e-3
    assert places.count(1) == 1


def test_corners_crowded_on_one_spot_do_not_cut_for_ever() -> None:
    parts, _ = tiles([blob(0, 0, 0.001, 2_000)])
    assert len(parts) == 1


@settings(max_examples=200, deadline=None)
@given(
    amount=st.decimals(-1_000_000, 1_000_000, places=2, allow_nan=False),
    weights=st.lists(st.floats(0.001, 1_000), min_size=1, max_size=9),
)
def test_parts_of_an_amount_add_up_to_the_cent(
    con: duckdb.DuckDBPyConnection, amount: Decimal, weights: list[float]
) -> None:
    bounds = [0.0, *(sum(weights[: place + 1]) / sum(weights) for place in range(len(weights)))]
    parts = []
    for place in range(len(weights)):
        last = place == len(weights) - 1
        row = con.execute(
            "select portion(?::decimal(18,2), ?, ?, ?)", [amount, bounds[place], bounds[place + 1], last]
        ).fetchone()
        parts.append(row[0])  # type: ignore[index]
    assert sum(parts) == amount


def test_the_worked_example_of_the_method(con: duckdb.DuckDBPyConnection) -> None:
    """docs/method.md: two registries and a community near Huayllay."""
    found = counted(
        con,
        [shapely.box(0, 0, 1_000, 1_000), shapely.box(100, 0, 1_100, 1_000), shapely.box(300, 300, 800, 800)],
        initiatives=["i", "i", "j"],
        trust=[1, 2, 3],
    )
    assert found["geometry_ha"].to_list() == pytest.approx([100, 100, 25])
    assert found["net_ha"].to_list() == pytest.approx([100, 0, 0])
    shared = con.execute(
        "select share_of_smaller from core.shared_ground where area_id_a = 'A000' and area_id_b = 'A001'"
    ).fetchone()
    assert shared == (pytest.approx(0.9),)
    assert round(Decimal("1200000.01") / Decimal(round(found["net_ha"].sum())), 2) == Decimal("12000.00")
    parts = con.execute(
        "select portion(100.00::decimal(18,2), 0, 30.0 / 90, false), portion(100.00::decimal(18,2), 30.0 / 90, 1, true)"
    ).fetchone()
    assert parts == (Decimal("33.33"), Decimal("66.67"))
    text = (FOLDER.parent / "docs" / "method.md").read_text(encoding="utf-8")
    for figure in ("**100**", "**225**", "S/ 12,000.00", "S/ 33.33 and S/ 66.67", "S/ 33,33 y S/ 66,67"):
        assert figure in text
