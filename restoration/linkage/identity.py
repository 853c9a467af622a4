"""Initiatives keep their id: which record had which id, since when, and why it changed.

Belongs here: groups of linked records and the registry of ids. Does not: which records are linked (links.py).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from restoration.linkage.clusters import Clusters


@dataclass(frozen=True)
class Membership:
    """A record was of an initiative from `since` until `until`; why it joined and why it left."""

    record_key: str
    initiative_id: str
    since: dt.date
    came_by: str
    until: dt.date | None = None
    went_by: str | None = None


def grouped(records: pl.DataFrame, links: pl.DataFrame) -> list[list[str]]:
    """Records of each initiative, best first: at least one of them founds it.

    `records` has record_key, founds_initiative, trust_order; `links` the pairs that are linked.
    """
    best_first = records.sort(~pl.col("founds_initiative"), "trust_order", "record_key")
    rank = {key: place for place, key in enumerate(best_first["record_key"].to_list())}
    clusters = Clusters(rank)
    for one, other in links.select("record_key_a", "record_key_b").iter_rows():
        clusters.join(one, other)
    joined = [sorted(group, key=rank.__getitem__) for group in clusters.groups()]
    founding = set(records.filter("founds_initiative")["record_key"].to_list())
    seen = {record for group in joined for record in group}
    alone = [[record] for record in best_first["record_key"].to_list() if record in founding and record not in seen]
    return sorted([*alone, *(group for group in joined if group[0] in founding)])


def carried_on(groups: Sequence[list[str]], registry: Sequence[Membership], as_of: dt.date) -> list[Membership]:
    """The registry of ids with today's groups in it.

    A group takes the id that most of its records have, then the older one; of groups with the same id, the one with
    most of its records keeps it. An id is never reused for another initiative, but a record that returns gets its own
    back.
    """
    open_rows = {row.record_key: row for row in registry if row.until is None}
    last = {row.record_key: row for row in sorted(registry, key=lambda r: (r.since, r.until or dt.date.max))}
    first_day: dict[str, dt.date] = {}
    for row in registry:
        first_day[row.initiative_id] = min(row.since, first_day.get(row.initiative_id, row.since))
    ids = _claimed(groups, last, first_day)
    used = set(first_day) | set(ids.values())
    for number, group in enumerate(groups):
        if number not in ids:
            ids[number] = _mint(group[0], used)
            used.add(ids[number])
    now = {record: ids[number] for number, group in enumerate(groups) for record in group}
    alive = set(now.values())
    written = [row for row in registry if row.until is not None]
    for record, row in open_rows.items():
        if now.get(record) == row.initiative_id:
            written.append(row)
        elif record not in now:
            written.append(replace(row, until=as_of, went_by="withdrawn"))
        else:
            written.append(replace(row, until=as_of, went_by="split" if row.initiative_id in alive else "merged"))
    for record, initiative in now.items():
        before = open_rows.get(record)
        if before and before.initiative_id == initiative:
            continue
        written.append(
            Membership(record, initiative, as_of, _received_by(before, last.get(record), initiative, alive, first_day))
        )
    return sorted(written, key=lambda r: (r.record_key, r.since, r.until or dt.date.max, r.initiative_id))


def _claimed(
    groups: Sequence[list[str]], last: Mapping[str, Membership], first_day: Mapping[str, dt.date]
) -> dict[int, str]:
    claims = []
    for number, group in enumerate(groups):
        borne = Counter(last[record].initiative_id for record in group if record in last)
        claims += [(-count, first_day[i], i, group[0], number) for i, count in borne.items()]
    ids: dict[int, str] = {}
    taken: set[str] = set()
    for _, _, initiative, _, number in sorted(claims):
        if number not in ids and initiative not in taken:
            ids[number] = initiative
            taken.add(initiative)
    return ids


def _mint(record: str, used: set[str]) -> str:
    """A new id from the founding record; were it ever used, from the record and a number."""
    attempt = 0
    while True:
        salted = record if not attempt else f"{record}|{attempt}"
        minted = "INI-" + hashlib.md5(salted.encode(), usedforsecurity=False).hexdigest()[:10].upper()
        if minted not in used:
            return minted
        attempt += 1


def _received_by(
    before: Membership | None,
    last: Membership | None,
    initiative: str,
    alive: set[str],
    first_day: Mapping[str, dt.date],
) -> str:
    if before:
        return "split" if before.initiative_id in alive else "merged"
    if last:
        return "returned"
    return "linked" if initiative in first_day else "new"
