"""The wide budget file at its real size: download beside `curl | zstd -1`, and from the snapshot to Parquet beside a count.

Belongs here: wall time and peak memory of large files. Does not: layers (extraction.py).
"""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import duckdb

from sandbox.serving import worlds_folder
from sandbox.world import world_at

ROWS = 2_800_000
YEAR = "2025"
SIX = {"0068", "0072", "0089", "0121", "0130", "0144"}
NAME = f"{YEAR}-Gasto-Devengado-Mensual.csv"

_DOWNLOAD = """
import sys, time
from benchmarks.memory import peak_mib
from pathlib import Path
from resources.downloads import Downloads
from resources.http import Http
from resources.snapshots import SnapshotStore
draft = SnapshotStore(Path(sys.argv[2])).draft()
started = time.monotonic()
part = Downloads(Http()).read_file("mef.budget_execution", sys.argv[1], draft, None)
print(part.sha256, time.monotonic() - started, peak_mib())
"""
_PARQUET = """
import sys, time
from benchmarks.memory import peak_mib
from pathlib import Path
from restoration.sources.connectors import all_connectors
from restoration.sources.connectors.base import Tools
from restoration.sources.register import all_layers
from resources.http import Http
from resources.inbox import Inbox
from resources.lake import Lake
from resources.snapshots import Draft, Part, SnapshotStore
folder = Path(sys.argv[1])
store, lake = SnapshotStore(folder), Lake(folder / "lake")
draft = Draft(store, parts=[Part("file", sys.argv[2], 0)])
started = time.monotonic()
write, took = Lake._place, {}
def place(target, copy):
    write(target, copy)
    took[target.name.count("totals")] = time.monotonic() - started
Lake._place = staticmethod(place)
rows = all_connectors(Tools(Http(), store, lake, Inbox(folder)))["csv"].stream(all_layers()["mef.budget_execution"], sys.argv[3], draft)
print(took[0], took[1], rows, peak_mib())
"""


def make_file(path: Path, rows: int, scale: float) -> int:
    """The sandbox's file of one year, its rows repeated up to the real number; returns its rows.

    One row in ten is of the six programmes: the sandbox has more of them, a country's budget of ninety programmes has not.
    """
    world = world_at(worlds_folder(), scale=scale)
    head, *lines = (world.files / NAME).read_bytes().splitlines(keepends=True)
    programme = next(i for i, name in enumerate(head.decode("utf-8-sig").split(",")) if "PROGRAMA_PPTO" in name)
    followed = [x for x in lines if x.split(b'","')[programme].decode() in SIX]
    others = [x for x in lines if x.split(b'","')[programme].decode() not in SIX]
    blocks = {b"".join(followed): -(-rows // 10 // len(followed)), b"".join(others): -(-rows * 9 // 10 // len(others))}
    with path.open("wb") as out:
        out.write(head)
        left = dict(blocks)
        while any(left.values()):
            for block, times in blocks.items():  # a few of each, one after the other, as in a file sorted by entity
                for _ in range(min(left[block], max(1, times // 20))):
                    out.write(block)
                    left[block] -= 1
    return blocks[b"".join(followed)] * len(followed) + blocks[b"".join(others)] * len(others)


def measure(rows: int, tries: int, scale: float) -> None:
    """Print seconds, ratios and peak memory, after checking that ours and DuckDB find the same number of lines."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        served = folder / "served"
        served.mkdir()
        created = make_file(served / NAME, rows, scale)
        size = (served / NAME).stat().st_size
        print(f"\nwide budget file: {created:,} rows, 73 columns, {size / 1e9:.2f} GB")
        handler = functools.partial(_Quiet, directory=str(served))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_address[1]}/{NAME}"
            sha256 = _download(url, folder, tries)
            server.shutdown()
        _parquet(folder, served / NAME, sha256, tries)


def _download(url: str, folder: Path, tries: int) -> str:
    theirs = []
    if shutil.which("curl") and shutil.which("zstd"):
        for _ in range(tries):
            started = time.monotonic()
            subprocess.run(f"curl -s '{url}' | zstd -q -f -1 -o '{folder}/curl.zst'", shell=True, check=True)
            theirs.append(time.monotonic() - started)
    ours = []
    for number in range(tries):
        command = [sys.executable, "-c", _DOWNLOAD, url, str(folder / f"store{number}")]
        ours.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    best = min(ours, key=lambda o: float(o[1]))
    shutil.move(folder / f"store{ours.index(best)}", folder / "store")
    print(f"download, sha256, zstd   {float(best[1]):6.2f} s   peak {float(best[2]):.0f} MiB   (best of {tries})")
    if theirs:
        print(f"curl | zstd -1           {min(theirs):6.2f} s   ratio {float(best[1]) / min(theirs):.2f}")
    else:
        print("curl or zstd is not installed; no comparison")
    return best[0]


def _parquet(folder: Path, plain: Path, sha256: str, tries: int) -> None:
    counts = []
    for _ in range(tries):
        with duckdb.connect() as con:
            started = time.monotonic()
            there = con.execute(
                "select count(*) from read_csv(?, all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"')",
                [str(plain)],
            ).fetchone()
            counts.append(time.monotonic() - started)
    ours = []
    for _ in range(tries):
        shutil.rmtree(folder / "store" / "lake", ignore_errors=True)
        command = [sys.executable, "-c", _PARQUET, str(folder / "store"), sha256, YEAR]
        ours.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    best = min(ours, key=lambda o: float(o[0]))
    if there != (int(best[2]),):
        raise SystemExit(f"DuckDB counts {there} lines, ours {best[2]}")
    print(f"snapshot to Parquet      {float(best[0]):6.2f} s   peak {float(best[3]):.0f} MiB   (best of {tries})")
    print(f"sums beside it           {float(best[1]):6.2f} s   of {int(best[2]):,} lines")
    print(f"DuckDB counting the rows {min(counts):6.2f} s   ratio {float(best[0]) / min(counts):.2f}")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""
