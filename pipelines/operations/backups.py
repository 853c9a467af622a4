"""Copies of the data folder: whether one is whole, and how old the newest is.

Belongs here: checking the copies of deploy/backup.sh. Does not: making them (that script), notifying people
(incidents.py).
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from resources.snapshots import SnapshotStore
from resources.warehouse import WarehouseFiles
from restoration.sources.register import all_layers

STAMP = "%Y-%m-%dT%H%M%SZ"


def faults(copy: Path) -> Iterator[str]:
    """What is wrong with a copy: stored bodies, releases and the published file are compared with their checksums."""
    files = WarehouseFiles(copy / "warehouse")
    for path in [files.published, *sorted(files.releases.glob("*.duckdb"))]:
        if path.exists() and (reason := files.damage(path)):
            yield f"{path}: {reason}"
    store = SnapshotStore(copy / "snapshots")
    yield from map(str, store.verify())
    for layer in all_layers().values():
        for part in store.partitions(layer.source) if layer.is_partitioned else [None]:
            current = store.current(layer.source, part)
            if current and not store.has_bodies(current):
                yield f"{layer.source} {part or ''}: bodies of its snapshot are missing"


def newest(folder: Path) -> dt.datetime | None:
    """When the newest copy in a folder of copies was made; None where there is none."""
    found = []
    for path in folder.glob("20*Z"):
        try:
            found.append(dt.datetime.strptime(path.name, STAMP).replace(tzinfo=dt.UTC))
        except ValueError:  # not one of ours
            continue
    return max(found, default=None)


def main() -> int:
    """Say what is wrong with a copy; exit status 1 where something is."""
    parser = argparse.ArgumentParser(description="Compare every byte of a copy of the data folder with its checksum.")
    parser.add_argument("copy", type=Path)
    console = Console(stderr=True, markup=False, highlight=False)
    found = list(faults(parser.parse_args().copy))
    if found:
        found.append("the copy is not whole: what it copies is damaged, or changed meanwhile; run the backup again")
    for line in found:
        console.print(line, soft_wrap=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
