"""Files from outside: what reading them in a process of its own costs, and an inbox full of small ones.

Belongs here: seconds of the caged reader beside the same readers in this process. Does not: what it keeps out (tests/attacks).
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import polars as pl

from resources import tables, vectors
from resources.cage import CAGE, SUBMISSION
from resources.http import Http
from resources.inbox import Inbox
from resources.lake import Lake
from resources.snapshots import SnapshotStore
from restoration.sources.extraction import Extraction
from restoration.sources.register import all_layers
from sandbox.world import world_at

_SOURCE = "submissions.areas"


def measure(count: int, scale: float) -> None:
    """Print seconds for the files of a sandbox, in the cage and without it, and for an inbox of `count` files of one feature."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        world = world_at(Path(scratch) / "worlds", scale=scale)
        delivered = [path for path in sorted((world.folder / "inbox").rglob("*")) if path.is_file()]
        began = time.perf_counter()
        CAGE.read("vectors", _SOURCE, _one_feature(0), "x.geojson", SUBMISSION)
        start = time.perf_counter() - began
        caged, plain = (_seconds(delivered, is_caged=is_caged) for is_caged in (True, False))
        print(f"\nfiles from outside: {len(delivered)} of a sandbox of scale {scale:g}")
        print(f"start of the reader, with its first file {start:.2f} s")
        print(
            f"in the cage {caged:.2f} s, in this process {plain:.2f} s, cost of a night {start + caged - plain:.2f} s"
        )
        folder = Path(scratch) / "inbox" / "una"
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"{number:06d}.geojson").write_bytes(_one_feature(number))
        store, lake = SnapshotStore(Path(scratch) / "snapshots"), Lake(Path(scratch) / "lake")
        extraction = Extraction(Http(), store, lake, Inbox(Path(scratch) / "inbox"))
        began = time.perf_counter()
        received = extraction.refresh_all([(all_layers()[_SOURCE], None)])
        seconds = time.perf_counter() - began
        rows = sum(refreshed.manifest.rows for refreshed in received if refreshed.manifest)
        if rows != count:
            raise RuntimeError(f"{rows} rows of {count} files: {[str(r.error) for r in received if r.error][:3]}")
        print(f"an inbox of {count:,} files of one feature {seconds:.1f} s, {1000 * seconds / count:.0f} ms a file")


def _one_feature(number: int) -> bytes:
    place = {"type": "Point", "coordinates": [-70 - number / 1e5, -15.8]}
    about = {"codigo": f"A-{number}", "nombre": f"Bofedal {number}", "superficie_ha": "1"}
    feature = {"type": "Feature", "properties": about, "geometry": place}
    return json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()


def _seconds(paths: list[Path], *, is_caged: bool) -> float:
    began = time.perf_counter()
    for path in paths:
        reader, options = ("table", [None]) if tables.is_table(path.name) else ("vectors", [])
        if is_caged:
            CAGE.read(reader, _SOURCE, path.read_bytes(), path.name, SUBMISSION, *options)
        else:
            with path.open("rb") as stream:
                _plain(reader, stream, path.name)
    return time.perf_counter() - began


def _plain(reader: str, stream: object, name: str) -> pl.DataFrame:
    if reader == "table":
        return tables.read_stream(_SOURCE, stream, name, None)  # type: ignore[arg-type]
    return vectors.read_stream(_SOURCE, stream, name)  # type: ignore[arg-type]
