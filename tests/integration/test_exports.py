"""Files for the tools people have: opened by readers that are not ours."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import geopandas
import pyogrio
import pytest
import shapely

from assets.exports.gis import GEOPACKAGE, LAYERS, MANIFEST, write_gis
from tests.conftest import Pipeline

TABLES = {
    "initiatives": "core.initiatives",
    "areas": "core.areas",
    "overlaps": 'core."overlaps"',
    "allocations": "core.area_pieces",
}


def test_every_layer_opens_with_its_reference_and_every_row(good_night: Pipeline) -> None:
    folder = good_night.data_dir / "exports" / "gis"
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["release_id"] == good_night.query("select release_id from meta.releases")[0][0]
    assert manifest["is_sandbox"]
    assert {name for name, _ in pyogrio.list_layers(folder / GEOPACKAGE)} == set(LAYERS)
    for name, table in TABLES.items():
        rows = good_night.query(f"select count(*) from {table}")[0][0]
        info = pyogrio.read_info(folder / GEOPACKAGE, layer=name)
        assert (info["features"], info["crs"]) == (rows, "EPSG:4326") == (manifest["features"][name], "EPSG:4326")
        frame = geopandas.read_parquet(folder / f"{name}.parquet")
        assert len(frame) == rows
        assert frame.crs.to_epsg() == 4326
        with duckdb.connect() as con:
            geo = con.execute(
                "select value from parquet_kv_metadata(?) where key = 'geo'", [str(folder / f"{name}.parquet")]
            ).fetchone()
        assert json.loads(bytes(geo[0]))["version"] == "1.1.0"  # type: ignore[index]


def test_hectares_on_the_map_are_those_of_the_warehouse(good_night: Pipeline) -> None:
    folder = good_night.data_dir / "exports" / "gis"
    areas = pyogrio.read_dataframe(folder / GEOPACKAGE, layer="areas")
    assert areas["net_ha"].sum() == pytest.approx(good_night.query("select sum(net_ha) from core.areas")[0][0])
    drawn = areas[areas["geometry_kind"] == "polygon"]
    assert (abs(drawn.to_crs(6933).area / 10_000 - drawn["geometry_ha"]) < 1e-6).all()
    assert drawn.geometry.is_valid.all()
    west, south, east, north = areas.total_bounds
    assert -82 < west < east < -68
    assert -19 < south < north < 1
    allocations = geopandas.read_parquet(folder / "allocations.parquet")
    assert (allocations.to_crs(6933).area / 10_000).sum() == pytest.approx(drawn["net_ha"].sum(), rel=1e-6)
    overlaps = pyogrio.read_dataframe(folder / GEOPACKAGE, layer="overlaps")
    assert (
        abs(overlaps.to_crs(6933).area / 10_000 - overlaps["overlap_ha"]) < 0.01 * overlaps["overlap_ha"] + 1e-6
    ).all()
    assert shapely.is_valid(overlaps.geometry.to_numpy()).all()


def test_files_of_a_release_are_written_once_and_with_the_same_bytes(good_night: Pipeline, tmp_path: Path) -> None:
    first = good_night.data_dir / "exports"
    assert not write_gis(good_night.published, first).is_new
    again = write_gis(good_night.published, tmp_path)
    assert again.is_new
    for path in sorted((first / "gis").iterdir()):
        assert path.read_bytes() == (again.folder / path.name).read_bytes(), path.name
