"""Servers that are not ours, started for these tests alone: `make peers` installs them.

Belongs here: making a layer, serving it with Koop and MapServer. Does not: what is expected of the clients (test_*.py).
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely

from sandbox.world import World
from tests.conftest import free_port

KOOP = Path(__file__).parents[2] / ".peers" / "koop"
COPIES = 3  # of each district, a little apart: more features than either server returns at once


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs what `make peers` installs."""
    for item in items:
        if "tests/peers/" in item.path.as_posix():
            item.add_marker(pytest.mark.peers)


@pytest.fixture(scope="session")
def features(world: World) -> pl.DataFrame:
    """What both serve: `id`, `codigo`, `nombre`, and the polygon as WKB."""
    districts = pl.read_parquet(world.layers / "districts.parquet")
    shapes = shapely.from_geojson(districts["geometry"].to_numpy())
    moved = [shapely.transform(shapes, lambda p, k=k: np.add(p, (k * 0.001, 0))) for k in range(COPIES)]
    frame = pl.concat([districts.select(codigo="D" + pl.col("ubigeo"), nombre="distrito")] * COPIES)
    wkb = [shapely.to_wkb(shape) for part in moved for shape in part]
    return frame.with_row_index("id", offset=1).with_columns(pl.Series("geometry", wkb, dtype=pl.Binary))


@pytest.fixture(scope="session")
def geojson(features: pl.DataFrame) -> dict[str, object]:
    """The same as a GeoJSON collection."""
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {k: row[k] for k in ("id", "codigo", "nombre")},
                "geometry": json.loads(shapely.to_geojson(shapely.from_wkb(row["geometry"]))),
            }
            for row in features.iter_rows(named=True)
        ],
    }


@pytest.fixture(scope="session")
def koop(geojson: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Koop with two services: `distritos` has an id of its own, for `sin_id` Koop makes one."""
    if not (KOOP / "node_modules").exists():
        pytest.fail("Koop is not installed: run `make peers`")
    folder = tmp_path_factory.mktemp("koop")
    (folder / "geojson").mkdir()
    for name, metadata in (("distritos", {"name": "Distritos", "idField": "id"}), ("sin_id", {"name": "Sin id"})):
        (folder / "geojson" / f"{name}.geojson").write_text(json.dumps(geojson | {"metadata": metadata}))
    port = free_port()
    server = subprocess.Popen(
        ["node", str(KOOP / "server.js"), str(port)], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(port)
        yield f"http://127.0.0.1:{port}/file-geojson/rest/services"
    finally:
        server.terminate()
        server.wait(10)


_MAP = """
MAP
  NAME "peru"
  EXTENT -82 -19 -68 1
  PROJECTION "init=epsg:4326" END
  {output_format}
  WEB METADATA
    "wfs_title" "Peru" "wfs_onlineresource" "{url}" "wfs_srs" "EPSG:4326" "wfs_enable_request" "*" {options}
  END END
  LAYER
    NAME "distritos" TYPE POLYGON STATUS ON CONNECTIONTYPE OGR CONNECTION "{data}" DATA "distritos"
    PROJECTION "init=epsg:4326" END
    METADATA "wfs_title" "Distritos" "gml_include_items" "all" "gml_featureid" "id" "wfs_srs" "EPSG:4326" END
  END
END
"""
_GEOJSON = (
    'OUTPUTFORMAT NAME "geojson" DRIVER "OGR/GEOJSON" MIMETYPE "application/json"'
    ' FORMATOPTION "STORAGE=stream" FORMATOPTION "FORM=SIMPLE" END'
)


@pytest.fixture(scope="session")
def mapserver(geojson: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MapServer as a CGI programme; append the name of a map: `capped` (GeoJSON, 500 a request) or `gml`."""
    program = shutil.which("mapserv")
    if not program:
        pytest.fail("MapServer is not installed: run `make peers`")
    folder = tmp_path_factory.mktemp("mapserver")
    (folder / "cgi-bin").mkdir()
    (folder / "cgi-bin" / "mapserv").symlink_to(program)
    _write_geopackage(geojson, folder / "distritos.gpkg")
    (folder / "mapserver.conf").write_text(f'CONFIG ENV MS_MAP_PATTERN "^{folder}/" END END')
    port = free_port()
    url = f"http://127.0.0.1:{port}/cgi-bin/mapserv"
    variants = {"capped": (_GEOJSON, '"wfs_getfeature_formatlist" "geojson" "wfs_maxfeatures" "500"'), "gml": ("", "")}
    for name, (output_format, options) in variants.items():
        text = _MAP.format(output_format=output_format, options=options, url=url, data=folder / "distritos.gpkg")
        (folder / f"{name}.map").write_text(text)
    os.environ["MAPSERVER_CONFIG_FILE"] = str(folder / "mapserver.conf")

    class Cgi(http.server.CGIHTTPRequestHandler):
        have_fork = False  # a fork would give up root, and with it the folder of this test
        cgi_directories = ["/cgi-bin"]  # noqa: RUF012 - the name that the base class reads

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), partial(Cgi, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"{url}?map={folder}/"
    server.shutdown()
    thread.join(10)
    server.server_close()


def _write_geopackage(geojson: dict[str, object], path: Path) -> None:
    import pyogrio

    meta, table = pyogrio.read_arrow(json.dumps(geojson).encode())
    pyogrio.write_arrow(
        table,
        path,
        layer="distritos",
        driver="GPKG",
        geometry_name=meta["geometry_name"] or "wkb_geometry",
        geometry_type="Unknown",
        crs="EPSG:4326",
    )


def _wait(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
