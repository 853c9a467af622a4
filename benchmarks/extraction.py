"""A large ArcGIS layer read whole, beside GDAL on the same server.

Belongs here: wall time, peak memory, and a check that both return the same features. Does not: other sources
(files.py).
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import requests

CONNECTIONS = 4
HEAVY = 600

_OURS = """
import sys, time
from benchmarks.memory import peak_mib
from pathlib import Path
from restoration.sources.extraction import Extraction
from restoration.sources.register import ArcgisLayer
from resources.http import Http
from resources.lake import Lake
from resources.snapshots import SnapshotStore

layer = ArcgisLayer(
    institution="bench", institution_es="b", name="areas", kind="arcgis", title_es="a", title_en="a", url=sys.argv[1], layer="Areas",
    fields={"object_id": "OBJECTID"}, cadence="irregular", licence="", disclaimer="",
)
folder = Path(sys.argv[2])
extraction = Extraction(Http(), SnapshotStore(folder / "snapshots"), Lake(folder / "lake"))
for _ in range(2):
    started = time.monotonic()
    read = extraction.refresh(layer)
    assert read.error is None, read.error
    print(read.manifest.rows, time.monotonic() - started, peak_mib())
"""


@contextmanager
def server(count: int, vertices: int = 20) -> Iterator[str]:
    """The layer's service while the block runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.arcgis_server", str(count), str(vertices), str(port)])
    url = f"http://127.0.0.1:{port}/arcgis/rest/services/Bench/MapServer"
    try:
        for _ in range(600):
            try:
                requests.get(url, timeout=1)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def measure(count: int, heavy_vertices: int) -> None:
    """Print seconds of both, their ratio, and our peak memory; then our peak memory on few and heavy polygons."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, server(count) as url:
        folder = Path(scratch)
        print(f"\n{count:,} polygons, each page after 100 ms, at most {CONNECTIONS} connections")
        _theirs(url, folder, _ours(url, folder))
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, server(HEAVY, heavy_vertices) as url:
        print(f"\n{HEAVY:,} polygons of {heavy_vertices:,} vertices")
        _ours(url, Path(scratch))


def _ours(url: str, folder: Path) -> float:
    """Print a first reading and one that finds nothing new, in a process of their own; returns seconds of the first."""
    done = subprocess.run([sys.executable, "-c", _OURS, url, str(folder)], check=True, capture_output=True, text=True)
    first, again = ([float(x) for x in line.split()] for line in done.stdout.splitlines())
    print(f"ours, first time        {first[1]:6.2f} s   {first[0]:,.0f} rows   peak {first[2]:.0f} MiB")
    print(f"ours, nothing new       {again[1]:6.2f} s")
    return first[1]


def _theirs(url: str, folder: Path, ours: float) -> None:
    """The same layer through GDAL's ESRIJSON driver: by ogr2ogr if it is installed, else by the GDAL in pyogrio."""
    import pyogrio

    query = "where=1%3D1&outFields=*&orderByFields=OBJECTID+ASC&resultRecordCount=1000&f=json"
    layer, target = f"ESRIJSON:{url}/0/query?{query}", folder / "ogr.fgb"
    by = "ogr2ogr" if shutil.which("ogr2ogr") else "pyogrio, to memory"
    started = time.monotonic()
    if by == "ogr2ogr":
        subprocess.run([by, "-f", "FlatGeobuf", str(target), layer, "-oo", "FEATURE_SERVER_PAGING=YES"], check=True)
        theirs = time.monotonic() - started
        meta, table = pyogrio.read_arrow(target)
    else:
        meta, table = pyogrio.read_arrow(layer, FEATURE_SERVER_PAGING="YES")
        theirs = time.monotonic() - started
    print(f"{by:<24}{theirs:6.2f} s   ratio {theirs / ours:.1f} times")
    right = pl.DataFrame(pl.from_arrow(table)).rename({meta["geometry_name"] or "wkb_geometry": "geometry"})
    same_features(pl.read_parquet(next(folder.glob("lake/raw/bench/areas/*.parquet"))), right)


def same_features(ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    """Both have the same ids with the same geometries."""
    import numpy as np
    import shapely

    left, right = ours.sort("OBJECTID"), theirs.sort("OBJECTID")
    assert left["OBJECTID"].to_list() == right["OBJECTID"].to_list(), "ids differ"
    one = shapely.normalize(shapely.from_wkb(left["geometry"].to_numpy()))
    other = shapely.normalize(shapely.from_wkb(right["geometry"].to_numpy()))
    parts = shapely.get_num_geometries(other) == 1
    other = np.where(parts, shapely.get_geometry(other, 0), other)
    assert shapely.equals_exact(shapely.normalize(one), shapely.normalize(other), 1e-9).all(), "geometries differ"
    print(f"same features out: {left.height:,} ids and geometries compared")
