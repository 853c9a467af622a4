"""Every export and the report of a published sandbox release, each written anew.

Belongs here: seconds and size of what people take away. Does not: what is in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from assets.exports.assets import KINDS
from assets.exports.release import Writer, write_export
from assets.report.page import write_report
from pipelines.dagster_home import dagster_home
from resources.warehouse import WarehouseFiles

_TRIES = 3


def measure(scale: float) -> None:
    """Print seconds (best of three) and size of each export at one scale of the sandbox."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        folder = Path(home)
        env = os.environ | {"RESTAURACION_DATA_DIR": str(folder)} | dagster_home(folder, {})
        command = [sys.executable, "-m", "pipelines.run", "--sandbox", "--scale", str(scale)]
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        published = WarehouseFiles(folder / "warehouse").published
        whole = 0.0
        print(f"\nexports, scale {scale:g}\n{'export':<12}{'s':>8}{'files':>8}{'MB':>8}")
        for kind, writer in [*((e.kind, e.writer) for e in KINDS), ("report", write_report)]:
            seconds, files, size = _best(published, folder / "again", kind, writer)
            print(f"{kind:<12}{seconds:>8.2f}{files:>8}{size / 1e6:>8.2f}")
            whole += seconds
        print(f"{'all':<12}{whole:>8.2f}")


def _best(published: Path, folder: Path, kind: str, writer: Writer) -> tuple[float, int, int]:
    found = []
    for number in range(_TRIES):
        folder.mkdir(exist_ok=True)
        started = time.perf_counter()
        written = write_export(published, folder / f"{kind}-{number}", writer)
        found.append((time.perf_counter() - started, len(written.files), sum(f.bytes for f in written.files.values())))
    return min(found)
