"""Groups of records that grow pair by pair, unless something prevents it.

Belongs here: disjoint sets with reasons to stay apart. Does not: which pairs come, or in which order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Clusters:
    """Disjoint sets of records; every record begins alone, and is only stored once it is requested.

    `registry_of` names who keeps a record; `apart` are the pairs that a person keeps apart.
    """

    def __init__(self, registry_of: Mapping[str, object], apart: Iterable[tuple[str, str]] = ()) -> None:
        self._registry_of = registry_of
        self._root: dict[str, str] = {}
        self._members: dict[str, list[str]] = {}
        self._apart: dict[str, set[str]] = {}
        for one, other in apart:
            self._apart.setdefault(one, set()).add(other)
            self._apart.setdefault(other, set()).add(one)

    def __contains__(self, record: str) -> bool:
        """Whether the record is known."""
        return record in self._registry_of

    def root(self, record: str) -> str:
        """The record that represents its group."""
        if record not in self._root:
            self._root[record] = record
            self._members[record] = [record]
            return record
        while (above := self._root[record]) != record:
            self._root[record] = self._root[above]
            record = above
        return record

    def together(self, one: str, other: str) -> bool:
        """Whether both are of one group."""
        return self.root(one) == self.root(other)

    def kept_apart(self, one: str, other: str) -> tuple[str, str] | None:
        """Two records of the groups that a person keeps apart, the first of them."""
        if not self._apart:
            return None
        here, there = self._members[self.root(one)], set(self._members[self.root(other)])
        for record in sorted(here):
            if enemies := self._apart.get(record, set()) & there:
                return record, min(enemies)
        return None

    def same_registry(self, one: str, other: str) -> object | None:
        """A registry that has records in both groups."""
        here, there = ({self._registry_of[r] for r in self._members[self.root(x)]} for x in (one, other))
        return min(here & there, key=str, default=None)

    def join(self, one: str, other: str) -> None:
        """Make one group of two; the root is the least of its members."""
        low, high = sorted((self.root(one), self.root(other)))
        if low != high:
            self._root[high] = low
            self._members[low] += self._members.pop(high)

    def groups(self) -> list[list[str]]:
        """Members of every group that was ever requested, sorted."""
        return [sorted(members) for _, members in sorted(self._members.items())]
