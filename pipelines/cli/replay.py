"""`make replay RELEASE=…`: a release rebuilt from its snapshots.

Belongs here: the command and what it says. Does not: rebuilding it (restoration/build/replay.py).
"""

from __future__ import annotations

import argparse
import sys

import duckdb
from rich.console import Console

from pipelines.settings import Settings, SettingsError
from resources.errors import CorruptSnapshot
from restoration.build.replay import NoSuchRelease, replay
from restoration.sources.register import all_layers


def main() -> int:
    """Exit status 0 when the rebuilt release is equal, 1 when it differs, 2 when it cannot be rebuilt."""
    parser = argparse.ArgumentParser(description="Rebuild a release from its snapshots, with no network.")
    parser.add_argument("release", help="release_id, as in meta.releases")
    console = Console(soft_wrap=True)
    try:
        settings = Settings.from_env()
        received = replay(settings.data_dir, settings.warehouse, all_layers(), parser.parse_args().release)
    except (NoSuchRelease, CorruptSnapshot, SettingsError, duckdb.IOException) as error:
        console.print(f"[red]{error}[/red]")
        return 2
    console.print(f"Made again: {received.path}")
    if received.differing_rows is None:
        console.print("That release's own file is not kept any more, so there is nothing to compare it with.")
        return 0
    for table, rows in received.differing_rows.items():
        console.print(f"[red]{table}: {rows} rows differ[/red]")
    if not received.differing_rows:
        console.print("Every table is exactly as it was published.")
    return 1 if received.differing_rows else 0


if __name__ == "__main__":
    sys.exit(main())
