"""What moved between two releases, found from their two files alone, beside `marts.changes_since_last_release`.

Belongs here: comparing files in Python. Does not: the other promises (promises.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from tests.nights.night import Night

_MEASURES = ("status", "target_ha", "declared_ha", "gross_ha", "net_ha")
Figures = dict[tuple[str, str], Any]  # (record, measure) -> value


class Release:
    """The figures of one file for which changes are reported."""

    def __init__(self, path: Path) -> None:
        with duckdb.connect(str(path), read_only=True) as con:
            self.initiatives: Figures = {}
            for row in con.execute(f"select initiative_id, {', '.join(_MEASURES)} from core.initiatives").fetchall():
                for measure, value in zip(_MEASURES, row[1:], strict=True):
                    self.initiatives[row[0], measure] = round(value, 4) if isinstance(value, float) else value
            self.spending: Figures = {}
            for year, programme, *amounts in con.execute(
                "select fiscal_year, programme_code, sum(initial_pen), sum(modified_pen), sum(certified_pen), sum(accrued_pen), sum(paid_pen)"
                " from core.spending group by all"
            ).fetchall():
                for measure, amount in zip(
                    ("initial", "modified", "certified", "accrued", "paid"), amounts, strict=True
                ):
                    self.spending[f"{year}|{programme}", f"{measure}_pen"] = amount
            self.progress: Figures = {
                (target, measure): round(value, 4)
                for target, *values in con.execute(
                    "select target_id, declared_ha, gross_ha, net_ha from marts.progress_to_targets where is_latest"
                ).fetchall()
                for measure, value in zip(_MEASURES[2:], values, strict=True)
            }
            self.investments: Figures = {
                (cui, "updated_cost_pen"): cost or 0
                for cui, cost in con.execute("select cui, updated_cost_pen from core.investments").fetchall()
            }
            self.degradation: Figures = {
                (str(year), "area_ha"): round(ha, 6)
                for year, ha in con.execute(
                    "select degradation_year, sum(area_ha::decimal(38, 12)) from core.degradation group by 1"
                ).fetchall()
            }
            self.members: dict[str, set[str]] = defaultdict(set)
            for initiative, record in con.execute(
                "select initiative_id, record_key from core.initiative_sources"
            ).fetchall():
                self.members[initiative].add(record)
            self.repaired = {
                i for (i,) in con.execute("select distinct initiative_id from core.areas where is_repaired").fetchall()
            }

    @property
    def home(self) -> dict[str, str]:
        """Initiative of each record."""
        return {record: initiative for initiative, records in self.members.items() for record in records}


def moved(before: Figures, now: Figures) -> set[tuple[str, str]]:
    """Keys whose value is another, or that were added or removed with a value."""
    nothing = object()
    return {key for key in before.keys() | now.keys() if before.get(key, nothing) != now.get(key, nothing)}


def changes_are_reported(night: Night) -> Iterator[str]:
    """Every figure that moved has a row with a right reason, and no row is of one that did not."""
    reported = night.rows("select subject, record_key, measure, reason from marts.changes_since_last_release")
    if night.before is None:
        if reported:
            yield f"the first release reports {len(reported)} changes"
        return
    before, now = Release(night.before / "warehouse" / "restauracion.duckdb"), Release(night.published)
    for subject in ("initiatives", "spending", "progress", "investments", "degradation"):
        there = {(record, measure) for s, record, measure, _ in reported if s == subject}
        gone, received = getattr(before, subject), getattr(now, subject)
        # a figure that is null on the only side where its record is, is none
        truth = {k for k in moved(gone, received) if gone.get(k) is not None or received.get(k) is not None}
        if there != truth:
            extra, missing = sorted(there - truth)[:5], sorted(truth - there)[:5]
            yield f"{subject}: reported but not moved {extra}, moved but not reported {missing}"
    for subject, record, measure, reason in reported:
        right = _reasons(subject, record, measure, before, now)
        if reason not in right:
            yield f"{subject} {record} {measure}: reported {reason}, expected one of {sorted(right)}"


def _reasons(subject: str, record: str, measure: str, before: Release, now: Release) -> set[str]:
    """Reasons that are true of a figure that moved."""
    if subject == "progress":
        return {"sum_of_initiatives"}
    if subject != "initiatives":
        was, is_now = (record, measure) in getattr(before, subject), (record, measure) in getattr(now, subject)
        return {"revised_by_source"} if was and is_now else {"new_record"} if is_now else {"withdrawn"}
    had, has = before.members.get(record, set()), now.members.get(record, set())
    if not had:
        return {"split"} if any(r in before.home for r in has) else {"new_record"}
    if not has:
        return {"linked"} if any(r in now.home for r in had) else {"withdrawn"}
    if had != has:
        received = {"linked" if r in before.home else "new_record" for r in has - had}
        return received | {"split" if r in now.home else "withdrawn" for r in had - has}
    if record in now.repaired - before.repaired:
        return {"repaired"}
    own = any(
        before.initiatives.get((record, m)) != now.initiatives.get((record, m)) for m in _MEASURES if m != "net_ha"
    )
    return {"revised_by_source"} if own else {"shared_ground"}
