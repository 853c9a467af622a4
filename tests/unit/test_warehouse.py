"""Known problems of the engine: axis order, coordinate reference, extension version, connections that stay open."""

from __future__ import annotations

from pathlib import Path

import duckdb
import duckdb_extension_spatial
import pytest
import shapely

from resources.warehouse import connect, spatial_extension
from resources.warehouse_resource import WarehouseResource
from sandbox.geography import area_ha

SQUARE = "POLYGON ((-76 -12, -75 -12, -75 -11, -76 -11, -76 -12))"  # one degree at 11.5° S


def test_the_known_square_has_its_area_both_ways() -> None:
    con = connect()
    spheroid, equal_area = con.execute(
        "select st_area_spheroid(g) / 10000, st_area(st_transform(g, 'EPSG:4326', 'EPSG:6933')) / 10000"
        " from (select st_geomfromtext(?) as g)",
        [SQUARE],
    ).fetchone() or (0, 0)
    assert equal_area == pytest.approx(1_206_824, abs=1)
    assert spheroid == pytest.approx(1_206_824, rel=1e-4), "without geometry_always_xy it would be 291,004"


def test_duckdb_and_shapely_agree_on_hectares() -> None:
    con = connect()
    ours = con.execute(
        "select st_area(st_transform(st_geomfromtext(?), 'EPSG:4326', 'EPSG:6933')) / 10000", [SQUARE]
    ).fetchone()
    assert ours
    assert ours[0] == pytest.approx(float(area_ha([shapely.from_wkt(SQUARE)])[0]), rel=1e-12)


def test_the_spatial_extension_is_of_this_duckdb() -> None:
    assert f"v{duckdb.__version__}" in str(spatial_extension())
    assert str(spatial_extension()).startswith(str(Path(duckdb_extension_spatial.__file__).parent))


def test_the_reference_of_a_column_survives_reopening(tmp_path: Path) -> None:
    with connect(tmp_path / "f.duckdb") as con:
        con.execute(
            "create table t as select cast(st_setcrs(st_point(-76, -12), 'EPSG:4326') as geometry('EPSG:4326')) as g"
        )
    with duckdb.connect(str(tmp_path / "f.duckdb"), read_only=True) as con:
        assert con.execute("select typeof(g) from t").fetchall() == [("GEOMETRY('EPSG:4326')",)]


def test_a_reader_is_read_only_and_closed_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f.duckdb"
    with connect(path) as con:
        con.execute("create table t as select 1 as x")
    resource = WarehouseResource(database=str(path), data_dir=str(tmp_path))
    with pytest.raises(duckdb.InvalidInputException), resource.get_connection() as con:
        con.execute("create table u as select 1")
    with connect(path) as writer:  # would be refused while the reader's handle lived
        writer.execute("create table u as select 1")
