"""How often a source is queried, and when it is overdue.

Belongs here: what a register's `cadence` means in days. Does not: querying (extraction.py), schedules (jobs.py).
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from resources.snapshots import SnapshotStore
from restoration.sources.register import SourceLayer

Refresh = Literal["due", "all"]

# A source that is published every day is queried every night; what changes by quarter or year once a week, since a map
# service has to be read whole to see whether it changed. A source that failed is queried every night until it answers.
_ASKED_AFTER = {
    "daily": dt.timedelta(0),
    "irregular": dt.timedelta(0),
    "weekly": dt.timedelta(days=6),
    "quarterly": dt.timedelta(days=6),
    "yearly": dt.timedelta(days=6),
}
_OVERDUE_AFTER = {
    "daily": dt.timedelta(days=3),
    "weekly": dt.timedelta(days=15),
    "quarterly": dt.timedelta(days=22),
    "yearly": dt.timedelta(days=22),
}
CADENCES = frozenset(_ASKED_AFTER)


def is_due(store: SnapshotStore, layer: SourceLayer, partition: str | None, now: dt.datetime) -> bool:
    """Whether to query tonight: never read, failed last time, or read longer ago than its cadence allows."""
    attempts = store.attempts(layer.source, partition)
    if not attempts or attempts[-1].outcome not in {"new", "unchanged"}:
        return True
    # by days: a night that begins seconds earlier than the one six days ago must not skip a source
    return now.date() - dt.datetime.fromisoformat(attempts[-1].at).date() >= _ASKED_AFTER[layer.cadence]


def overdue_after(layer: SourceLayer) -> dt.timedelta | None:
    """How old the last good answer may grow; None where updates are irregular."""
    return _OVERDUE_AFTER.get(layer.cadence)


def last_good_at(store: SnapshotStore, source: str, partition: str | None) -> dt.datetime | None:
    """When the current snapshot was last read or confirmed."""
    good = store.good(source, partition)
    return dt.datetime.fromisoformat(good[-1].at) if good else None
