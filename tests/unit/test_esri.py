"""Rings to polygons: every order and winding, and what is no ring at all."""

from __future__ import annotations

import numpy as np
import orjson
import polars as pl
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from resources import esri
from resources.errors import UnexpectedFormat
from resources.esri import FAULT_COLUMN, page_frame, polygons_from_rings, read_attributes, read_geometries, with_labels

SHELL = [[0, 0], [0, 10], [10, 10], [10, 0], [0, 0]]  # clockwise, as Esri winds shells
HOLE = [[2, 2], [4, 2], [4, 4], [2, 4], [2, 2]]  # counter-clockwise
ISLAND = [[20, 0], [20, 5], [25, 5], [25, 0], [20, 0]]
IN_HOLE = [[2.5, 2.5], [2.5, 3.5], [3.5, 3.5], [3.5, 2.5], [2.5, 2.5]]


def polygon(*rings: list[list[float]]) -> shapely.Geometry:
    wkb, faults = read_geometries([{"attributes": {}, "geometry": {"rings": list(rings)}}])
    assert faults[0] is None
    return shapely.from_wkb(wkb[0])


def test_one_ring() -> None:
    assert polygon(SHELL).area == 100


def test_a_hole_is_cut_out() -> None:
    assert polygon(SHELL, HOLE).area == 96


def test_a_hole_before_its_shell_is_cut_out() -> None:
    assert polygon(HOLE, SHELL).area == 96


def test_two_shells_are_two_parts() -> None:
    assert shapely.get_num_geometries(polygon(SHELL, ISLAND)) == 2


def test_rings_that_all_wind_alike_are_distinguished_by_position() -> None:
    same_winding = [ring[::-1] for ring in (SHELL, HOLE[::-1], ISLAND)]
    assert polygon(*same_winding).area == 96 + 25


def test_an_island_in_a_hole_counts() -> None:
    assert polygon(SHELL, HOLE, IN_HOLE).area == 97


def test_a_ring_that_is_not_closed_is_closed() -> None:
    assert polygon(SHELL[:-1]).area == 100


def test_a_hole_without_a_shell_is_ground() -> None:
    assert polygon(HOLE).area == 4


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        ({"rings": []}, "no ring"),
        ({"rings": [[], [[1, 1]]]}, "no ring"),
        ({"rings": [[["NaN", 1], [2, 3], [4, 5], ["NaN", 1]]]}, "not numbers"),
        ({"curveRings": [[[0, 0]]]}, "curved"),
        ({"x": "NaN", "y": 1}, "not numbers"),
        ({"points": [[0, 0]]}, "unknown kind"),
    ],
)
def test_what_cannot_be_read_is_a_fault_and_not_a_record_without_a_place(geometry: dict, words: str) -> None:
    wkb, faults = read_geometries([{"attributes": {}, "geometry": geometry}])
    assert wkb[0] is None
    assert words in faults[0]


def test_a_null_geometry_is_legal_anywhere() -> None:
    features = [
        {"attributes": {}},
        {"attributes": {}, "geometry": {"rings": [SHELL]}},
        {"attributes": {}, "geometry": None},
    ]
    wkb, faults = read_geometries(features)
    assert wkb.dtype == pl.Binary
    assert [g is None for g in wkb] == [True, False, True]
    assert faults.name == FAULT_COLUMN
    assert faults.to_list() == [None, None, None]


def test_heights_and_measures_are_left_out() -> None:
    assert polygon([[x, y, 7, 8] for x, y in SHELL]).has_z is False


boxes = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=8
)


@settings(max_examples=150, deadline=None)
@given(boxes, st.booleans(), st.randoms())
def test_area_of_separate_shells_never_depends_on_order_or_winding(
    drawn: list[tuple[int, int, int, int]], clockwise: bool, random: object
) -> None:
    shapes = [
        shapely.box(i * 100 + x, y, i * 100 + x + w, y + h, ccw=not clockwise) for i, (x, y, w, h) in enumerate(drawn)
    ]
    rings = [shapely.get_coordinates(s) for s in shapes]
    random.shuffle(rings)  # type: ignore[attr-defined]
    assert polygons_from_rings(rings).area == pytest.approx(sum(s.area for s in shapes))


@settings(max_examples=100, deadline=None)
@given(st.integers(3, 30), st.integers(0, 2**32 - 1))
def test_a_valid_polygon_comes_back_as_it_was(corners: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    angle = np.sort(random.uniform(0, 2 * np.pi, corners))
    shape = shapely.Polygon(np.column_stack([np.cos(angle), np.sin(angle)]) * random.uniform(0.5, 2))
    if shape.is_valid and shape.area > 1e-6:
        assert shapely.equals(polygons_from_rings([shapely.get_coordinates(shape)]), shape)


FIELDS = [
    {"name": "OBJECTID", "type": "esriFieldTypeOID"},
    {"name": "FECHA", "type": "esriFieldTypeDate"},
    {"name": "HA", "type": "esriFieldTypeDouble"},
    {"name": "NOMBRE", "type": "esriFieldTypeString"},
]


def test_dates_are_utc_and_types_follow_the_fields() -> None:
    feature = {"attributes": {"OBJECTID": 1, "FECHA": 1_740_459_600_000, "HA": 3, "NOMBRE": "ñ"}}
    frame = read_attributes("minam.x", FIELDS, [feature, {"attributes": {"OBJECTID": 2}}])
    assert str(frame["FECHA"][0]) == "2025-02-25 05:00:00+00:00"
    assert frame["HA"].dtype == pl.Float64
    assert frame["NOMBRE"].to_list() == ["ñ", None]


def test_a_value_of_another_type_than_its_field_is_an_error_and_not_null() -> None:
    with pytest.raises(UnexpectedFormat, match="field HA"):
        read_attributes("minam.x", FIELDS, [{"attributes": {"OBJECTID": 1, "HA": "31.364.885"}}])


numbers = st.floats(-80, 10, allow_nan=False).map(lambda v: round(v, 6)) | st.integers(-80, 10)
points = st.tuples(numbers, numbers).map(list)
rings = st.lists(points, max_size=7).flatmap(
    lambda drawn: st.sampled_from([drawn, [*drawn, drawn[0]]]) if drawn else st.just(drawn)
)
geometries = st.one_of(
    st.none(),
    st.just({"x": "NaN", "y": "NaN"}),
    st.builds(lambda x, y: {"x": x, "y": y}, numbers, numbers),
    st.lists(rings, max_size=4).map(lambda drawn: {"rings": drawn}),
    st.just({"rings": [SHELL, HOLE]}),
    st.just({"rings": [[[0, 0, 5], [0, 1, 5], [1, 1, 5], [0, 0, 5]]]}),
    st.just({"curveRings": [[[0, 0]]]}),
)
values = st.fixed_dictionaries(
    {"OBJECTID": st.integers(1, 10**9)},
    optional={
        "FECHA": st.none() | st.integers(0, 2 * 10**12),
        "HA": st.none() | numbers | st.integers(-(2**60), 2**60),
        "NOMBRE": st.none() | st.text(max_size=8),
        "ESTADO": st.none() | st.integers(0, 9),
    },
)
METADATA = {
    "fields": [
        *FIELDS,
        {
            "name": "ESTADO",
            "type": "esriFieldTypeSmallInteger",
            "domain": {"type": "codedValue", "codedValues": [{"code": 1, "name": "Uno"}, {"code": 2, "name": "Dos"}]},
        },
    ]
}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(values, geometries, st.booleans()), min_size=1, max_size=6))
def test_the_quick_way_of_reading_a_page_says_what_the_slow_one_says(drawn: list[tuple]) -> None:
    features = [
        {"attributes": attributes} | ({} if shape is None and left_out else {"geometry": shape})
        for attributes, shape, left_out in drawn
    ]
    slow = with_labels(METADATA, read_attributes("minam.x", METADATA["fields"], features)).with_columns(
        *read_geometries(features)
    )
    quick = page_frame("minam.x", METADATA, orjson.dumps({"features": features}))
    assert quick.schema == slow.schema
    assert quick.equals(slow, null_equal=True)


def test_a_usual_page_takes_the_quick_way() -> None:
    features = [{"attributes": {"OBJECTID": 1, "ESTADO": 2}, "geometry": {"rings": [SHELL]}}]
    quick = esri._columns(METADATA["fields"], orjson.dumps({"features": features}))
    assert quick is not None
