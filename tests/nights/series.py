"""Nights with their promises checked after each: what the tests, `make nights` and the benchmark run.

Belongs here: the loop they share. Does not: running a night (night.py) or what must hold after it (promises.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.nights.night import Night, Nights
from tests.nights.promises import Memory, broken_promises


@dataclass(frozen=True)
class CheckedNight:
    """A night, the promises it broke, what checking took, and the bytes of snapshots and lake after it."""

    night: Night
    broken: list[str]
    seconds: float
    stored_bytes: int


def checked_nights(nights: Nights, count: int) -> Iterator[CheckedNight]:
    """`count` nights, or as many as it takes until a promise breaks."""
    memory = Memory()
    for _ in range(count):
        night = nights.next()
        began = time.perf_counter()
        broken = broken_promises(night, memory)
        yield CheckedNight(night, broken, time.perf_counter() - began, memory.stored_bytes)
        if broken:
            return
