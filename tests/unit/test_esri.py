"""Rings to polygons: every order and winding, and what is no ring at all."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.errors import UnexpectedFormat
from resources.esri import FAULT_COLUMN, polygons_from_rings, read_attributes, read_geometries

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


def test_rings_that_all_wind_alike_are_told_apart_by_where_they_lie() -> None:
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


def test_a_null_geometry_is_legal_wherever_it_stands() -> None:
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
