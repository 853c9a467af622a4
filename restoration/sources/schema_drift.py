"""Columns that were added or removed in a source's current snapshot.

Belongs here: comparing it with the previous snapshot. Does not: columns that are needed and missing, which stop
a source (extraction.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from resources.snapshots import Manifest


@dataclass(frozen=True)
class Drift:
    """Columns by the source's own names, in its order."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def drift(current: Manifest | None, previous: Manifest | None) -> Drift:
    """What changed between the current snapshot and the previous one; nothing unless both list their columns.

    It is reported for as long as the newer one is current, not for one night only.
    """
    if current is None or previous is None or current.columns is None or previous.columns is None:
        return Drift()
    return Drift(
        added=tuple(c for c in current.columns if c not in previous.columns),
        removed=tuple(c for c in previous.columns if c not in current.columns),
    )
