"""Nights of a sandbox that lives: what a night costs after the first, and what a night leaves on the disk.

Belongs here: seconds and bytes by kind of night. Does not: running them and their promises (tests/nights).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from sandbox.world import DEFAULT_SEED
from tests.nights.night import Nights
from tests.nights.series import CheckedNight, checked_nights


def measure(count: int, scale: float, seed: int = DEFAULT_SEED) -> None:
    """Print what `count` nights of one world took; RuntimeError at the first promise that does not hold."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, Nights(Path(scratch), seed, scale) as nights:
        print(f"\nnights: {count} of seed {seed}, scale {scale:g}")
        print("\n".join(summary(list(checked_nights(nights, count)))))


def summary(nights: Sequence[CheckedNight]) -> list[str]:
    """A line for each kind of night: how many, the median seconds, their ratio to the first night's, the bytes added."""
    if broken := [promise for night in nights for promise in night.broken]:
        raise RuntimeError(f"a promise broke: {broken}")
    stored = [night.stored_bytes for night in nights]
    added = [after - before for before, after in pairwise([0, *stored])]
    kinds = ["first", *("new release" if night.night.is_new else "same release" for night in nights[1:])]
    lines = [f"{'kind':<14}{'nights':>7}{'run s':>8}{'ratio':>7}{'promises s':>12}{'stored kB':>11}"]
    for kind in dict.fromkeys(kinds):
        among = [number for number, of_kind in enumerate(kinds) if of_kind == kind]
        run = median(nights[number].night.seconds for number in among)
        lines.append(
            f"{kind:<14}{len(among):>7}{run:>8.1f}{run / nights[0].night.seconds:>7.2f}"
            f"{median(nights[n].seconds for n in among):>12.1f}{median(added[n] for n in among) / 1000:>11,.0f}"
        )
    return lines
