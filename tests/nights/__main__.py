"""`make nights`: night after night over a sandbox that lives, stopping at the first broken promise.

Belongs here: the command and its table. Does not: running nights and checking their promises (series.py).
"""

from __future__ import annotations

import argparse
import gc
import logging
import shutil
import sys
from pathlib import Path

from sandbox.days.calendar import date_of
from sandbox.world import DEFAULT_SEED
from tests.nights.night import Night, Nights
from tests.nights.series import checked_nights

HEAD = "| night | at the sources | servers | release | changes reported | initiatives | net ha | accrued S/ | quarantine | checks failing | run s | promises s |"


def main() -> int:
    """Exit status 0 when every promise held on every night, 1 at the first that did not."""
    parser = argparse.ArgumentParser(
        description="Nights over a sandbox that lives; every promise is checked after each."
    )
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--scale", type=float, default=0.15)
    parser.add_argument(
        "--folder", type=Path, default=Path("data/nights"), help="where the nights keep everything; emptied first"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    gc.set_threshold(100_000, 50, 100)
    shutil.rmtree(arguments.folder, ignore_errors=True)
    checked = None
    print(f"seed {arguments.seed}, scale {arguments.scale:g}\n\n{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}")
    with Nights(arguments.folder, arguments.seed, arguments.scale) as nights:
        for checked in checked_nights(nights, arguments.nights):
            print(line(checked.night, checked.seconds), flush=True)
    broken = checked.broken if checked else []
    for promise in broken:
        print(f"BROKEN {promise}")
    print(f"\n{nights.day + 1} nights, " + ("a promise broke" if broken else "all promises held"))
    return 1 if broken else 0


def line(night: Night, seconds: float) -> str:
    """A night as a row of the table."""
    events = ", ".join(night.world.events) or "–"
    bad = ", ".join(f"{piece} {kind}" for piece, kind in night.world.about.get("bad_servers", {}).items()) or "–"
    if not night.is_published:
        return f"| {night.day} {date_of(night.day):%a %d %b} | {events} | {bad} | nothing published |||||||| {night.seconds:.0f} | |"
    figures = night.rows(
        """
        select
            (select count(*) from marts.changes_since_last_release), count(*),
            sum(net_ha) filter (where counts_as_under_restoration), (select sum(accrued_pen) from core.spending),
            (select count(*) from quality.quarantine), (select count(*) from quality.check_results where not passed)
        from core.initiatives
        """
    )[0]
    changes, initiatives, net, accrued, held, failing = figures
    release = "new" if night.is_new else "the same"
    return (
        f"| {night.day} {date_of(night.day):%a %d %b} | {events} | {bad} | {release} | {changes if night.is_new else ''} | {initiatives:,} | {net:,.1f} |"
        f" {accrued:,.2f} | {held} | {failing} | {night.seconds:.0f} | {seconds:.0f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
