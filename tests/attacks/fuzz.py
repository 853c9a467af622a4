"""`python -m tests.attacks.fuzz --minutes 60`: corrupted files of every format, through the caged reader.

Belongs here: generating the files and judging the results. Does not: what a whole night does with them (test_night.py).
Each file is read, or refused with a reason; the reader is there for the next one, within its time, and nothing is asked of a server.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import geopandas
import openpyxl
import polars as pl
import shapely

from resources.cage import CAGE, Limits
from resources.errors import SourceError
from tests.integration.test_fuzz import bent, disturbed

LIMITS = Limits(20, 2 << 30, 256 << 20)
GRACE_SECONDS = 25  # more than the file's time and the cage's patience beyond it is a finding
FORMATS = ("x.geojson", "x.json", "x.gpkg", "x.kml", "x.gml", "x.shp.zip", "x.geojson.zip", "x.kmz", "x.xlsx", "x.csv")


def originals(folder: Path) -> dict[str, bytes]:
    """One honest file of each format."""
    square = shapely.box(-70.1, -15.9, -70.0, -15.8)
    rows = geopandas.GeoDataFrame(
        {"codigo": ["A-1", "A-2"], "nombre": ["Bofedal de Acora", "Queñual ñ"], "superficie_ha": ["12.5", "8"]},
        geometry=[square, shapely.MultiPolygon([square, shapely.box(-71, -16, -70.9, -15.9)])],
        crs=4326,
    )
    created: dict[str, bytes] = {}
    for name, driver in (
        ("x.geojson", "GeoJSON"),
        ("x.gpkg", "GPKG"),
        ("x.kml", "KML"),
        ("x.gml", "GML"),
        ("x.shp", "ESRI Shapefile"),
    ):
        rows.to_file(folder / name, driver=driver)
        created[name] = (folder / name).read_bytes()
    created["x.json"] = created["x.geojson"]
    created["x.kmz"] = zipped({"doc.kml": created["x.kml"]})
    created["x.geojson.zip"] = zipped({"capa/x.geojson": created["x.geojson"]})
    created["x.shp.zip"] = zipped(
        {
            p.name: p.read_bytes()
            for p in sorted(folder.glob("x.*"))
            if p.suffix in {".shp", ".dbf", ".shx", ".prj", ".cpg"}
        }
    )
    workbook, written = openpyxl.Workbook(), io.BytesIO()
    for row in (
        ["codigo", "nombre", "longitud", "latitud"],
        ["A-1", "Bofedal", -70.0, -15.8],
        ["A-2", "Queñual", -70.1, -15.9],
    ):
        workbook.active.append(row)
    workbook.save(written)
    created["x.xlsx"] = written.getvalue()
    created["x.csv"] = "codigo;nombre;longitud;latitud\nA-1;Bofedal ñ;-70,0;-15,8\n".encode("cp1252")
    return {name: created[name] for name in FORMATS}


def zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return packed.getvalue()


def disturb(name: str, body: bytes, chance: random.Random) -> bytes:
    """Bytes of the file, members of its archive, values of its JSON, or the head of one format on the body of another."""
    kind = chance.random()
    if name.endswith(("zip", ".kmz", ".xlsx")) and kind < 0.6:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = {n: archive.read(n) for n in archive.namelist()}
        chosen = chance.choice(list(members))
        members[chosen] = disturbed(members[chosen], chance.randrange(2**32))
        if chance.random() < 0.2:
            members[chance.choice(["../x", "/etc/x", "a" * 300, "x.vrt", chosen.upper(), "x.shp"])] = members.pop(
                chosen
            )
        return zipped(members)
    if name.endswith(("json", "geojson")) and kind < 0.5:
        return json.dumps(bent(json.loads(body), chance)).encode()
    return disturbed(body, chance.randrange(2**32))


def case(seed: int, honest: dict[str, bytes]) -> tuple[str, str, str]:
    """One file: its name, the result (`read`, an error's class, or `FINDING …`), and the words."""
    chance = random.Random(seed)
    name = FORMATS[seed % len(FORMATS)]
    body = disturb(name, honest[name], chance)
    reader, options = ("table", [None]) if name.endswith((".xlsx", ".csv")) else ("vectors", [])
    file = name.replace(".shp.zip", ".zip").replace(".geojson.zip", ".zip")
    began = time.monotonic()
    try:
        rows = CAGE.read(reader, "submissions.areas", body, file, LIMITS, *options)
        received, words = ("read", "") if isinstance(rows, pl.DataFrame) else ("FINDING no table", repr(rows))
    except SourceError as error:
        received, words = type(error).__name__, str(error)
        if len(words) < 20 or "Traceback" in words:
            received = "FINDING says nothing"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        received, words = f"FINDING {type(error).__name__}", str(error)
    if time.monotonic() - began > LIMITS.seconds + GRACE_SECONDS:
        received = "FINDING late"
    return name, received, words


def main() -> int:
    """Print a table of format by outcome, and every finding with its seed; exit status 1 where there is one."""
    parser = argparse.ArgumentParser(description="Disturbed files through the caged reader.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1, help="number of the first file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        honest = originals(Path(folder))
    received: Counter[tuple[str, str]] = Counter()
    until, seed = time.monotonic() + 60 * arguments.minutes, arguments.seed
    while time.monotonic() < until:
        name, outcome, words = case(seed, honest)
        received[name, f"{outcome}, the reader ended" if "ended the reader" in words else outcome] += 1
        if outcome.startswith("FINDING"):
            print(f"{seed}: {name}: {outcome}: {words[:300]}", flush=True)
        seed += 1
    print(f"{received.total():,} files, seeds {arguments.seed} to {seed - 1}")
    for (name, outcome), count in sorted(received.items()):
        print(f"| {name} | {outcome} | {count:,} |")
    return 1 if any(outcome.startswith("FINDING") for _, outcome in received) else 0


if __name__ == "__main__":
    sys.exit(main())
