"""Every export and the report of a published sandbox release, each written from scratch.

Belongs here: seconds and size of each export. Does not: its content.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restoration.exports.release import Writer


def measure(night: Path, tries: int) -> None:
    """Print seconds (best of some tries) and size of each export of a published release."""
    from assets.exports import KINDS  # with Dagster, which other benchmarks do without
    from resources.warehouse import WarehouseFiles
    from restoration.report.page import write_report

    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        published = WarehouseFiles(night / "warehouse").published
        whole = 0.0
        print(f"\nexports, best of {tries}\n{'export':<12}{'s':>8}{'files':>8}{'MB':>8}")
        for kind, writer in [*((e.kind, e.writer) for e in KINDS), ("report", write_report)]:
            seconds, files, size = _best(published, folder / "again", kind, writer, tries)
            print(f"{kind:<12}{seconds:>8.2f}{files:>8}{size / 1e6:>8.2f}")
            whole += seconds
        print(f"{'all':<12}{whole:>8.2f}")


def _best(published: Path, folder: Path, kind: str, writer: Writer, tries: int) -> tuple[float, int, int]:
    from restoration.exports.release import write_export

    found = []
    for number in range(tries):
        folder.mkdir(exist_ok=True)
        started = time.perf_counter()
        written = write_export(published, folder / f"{kind}-{number}", writer)
        found.append((time.perf_counter() - started, len(written.files), sum(f.bytes for f in written.files.values())))
    return min(found)
