"""Decisions of people about pairs of records: read from two small CSV files, kept permanently in the warehouse.

Belongs here: `<data>/linkage/to_review.csv`, which a run writes and a person fills in, and `decisions.csv`, which holds every
decision ever taken. Does not: what a decision does (links.py).
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from resources import tables
from resources.errors import RestorationError
from restoration.linkage.links import Pair

TO_REVIEW, DECISIONS = "to_review.csv", "decisions.csv"
_WORDS = {
    "same": ("same", "misma", "mismo", "igual", "si", "sí", "yes"),
    "apart": ("apart", "distinta", "distinto", "otra", "otro", "no"),
}
_MEANING = {word: decision for decision, words in _WORDS.items() for word in words}
_KEYS = ["record_key_a", "record_key_b"]
_DECIDED = """
    select record_key_a, record_key_b, decision, decided_by, note, cast(decided_on as varchar) as decided_on
    from core.link_decisions order by all
"""
_OPEN = """
    select
        cast(null as varchar) as decision, cast(null as varchar) as decided_by, cast(null as varchar) as note,
        cast(null as varchar) as problem, round(links.match_probability, 3)::varchar as match_probability, links.reason_es,
        a.name as name_a, b.name as name_b, a.ubigeo as ubigeo_a, b.ubigeo as ubigeo_b,
        cast(a.start_date as varchar) as start_a, cast(b.start_date as varchar) as start_b,
        links.record_key_a, links.record_key_b
    from core.record_links as links
    inner join core.linkage_records as a on links.record_key_a = a.record_key
    inner join core.linkage_records as b on links.record_key_b = b.record_key
    where links.outcome = 'review' order by links.match_probability desc nulls first, links.record_key_a, links.record_key_b
"""


@dataclass(frozen=True)
class Filled:
    """A row that a person filled in. `problem` says why it cannot be used, if it cannot; `is_file` where no row can be read."""

    row: dict[str, str | None]
    pair: Pair | None
    decision: str | None
    problem: str | None
    is_file: bool = False


class DecisionStore:
    """The two files of one data folder, and their place in a build."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def absorb(self, con: duckdb.DuckDBPyConnection, as_of: dt.date) -> None:
        """Take what is filled in into core.link_decisions; a later decision on a pair replaces the earlier one there."""
        known = self.decisions(con)
        for filled in self._filled():
            if filled.pair and filled.decision and known.get(filled.pair) != filled.decision:
                con.execute("delete from core.link_decisions where (record_key_a, record_key_b) = (?, ?)", filled.pair)
                con.execute(
                    "insert into core.link_decisions by name select ? as record_key_a, ? as record_key_b, ? as decision,"
                    " ? as decided_by, ? as note, coalesce(try_cast(? as date), ?) as decided_on",
                    [
                        *filled.pair,
                        filled.decision,
                        filled.row.get("decided_by"),
                        filled.row.get("note"),
                        filled.row.get("decided_on"),
                        as_of,
                    ],
                )

    @staticmethod
    def decisions(con: duckdb.DuckDBPyConnection) -> dict[Pair, str]:
        """Every decision in force."""
        rows = con.execute("select record_key_a, record_key_b, decision from core.link_decisions").fetchall()
        return {(a, b): decision for a, b, decision in rows}

    def problems(self) -> list[str]:
        """Rows that cannot be used, and why."""
        return [
            f"{f.row.get('record_key_a')}{' & ' + str(f.row.get('record_key_b')) if not f.is_file else ''}: {f.problem}"
            for f in self._filled()
            if f.problem
        ]

    def _filled(self) -> Iterator[Filled]:
        """Filled-in rows of both files; to_review.csv is the newer one, so it takes precedence."""
        for name in (DECISIONS, TO_REVIEW):
            path = self.folder / name
            if not path.exists():
                continue
            try:
                with path.open("rb") as stream:
                    frame = tables.read_stream("linkage", stream, name)
            except RestorationError as error:
                yield Filled({"record_key_a": name}, None, None, str(error), is_file=True)
                continue
            for row in frame.iter_rows(named=True):
                if (row.get("decision") or "").strip():
                    yield _understood(row)

    def files(self, con: duckdb.DuckDBPyConnection) -> dict[str, pl.DataFrame]:
        """What both files should hold now, from a build about to be published."""
        return {DECISIONS: con.execute(_DECIDED).pl(), TO_REVIEW: con.execute(_OPEN).pl()}

    def write(self, files: dict[str, pl.DataFrame]) -> None:
        """Put the files in place. What somebody filled in since it was read, or that was not understood, stays filled in."""
        known = {(a, b): d for a, b, d in files[DECISIONS].select(*_KEYS, "decision").iter_rows()}
        kept = [f for f in self._filled() if f.problem or (f.pair and known.get(f.pair) != f.decision)]
        if any(f.is_file for f in kept):
            return  # a file that cannot be read is left for its owner to repair
        review = files[TO_REVIEW]
        if kept:
            again = pl.DataFrame(
                [{c: f.row.get(c) for c in review.columns} | {"problem": f.problem} for f in kept],
                schema=dict.fromkeys(review.columns, pl.String),
            )
            review = pl.concat([again, review.join(again, on=_KEYS, how="anti", nulls_equal=True)])
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, frame in ((DECISIONS, files[DECISIONS]), (TO_REVIEW, review)):
            created = self.folder / f".{name}"
            safe = frame.with_columns(pl.all().str.replace(r"^([=+\-@\t\r])", "'$1"))  # a name is no formula
            safe.write_csv(created, include_bom=True)
            os.replace(created, self.folder / name)


def _understood(row: dict[str, str | None]) -> Filled:
    one, other = ((row.get(key) or "").strip() for key in _KEYS)
    decision = _MEANING.get((row.get("decision") or "").strip().lower())
    if not one or not other or one == other:
        return Filled(row, None, None, "faltan las dos claves de registro, record_key_a y record_key_b")
    if not decision:
        return Filled(
            row, None, None, f"decision debe ser una de: {', '.join(w[1] for w in _WORDS.values())} (same, apart)"
        )
    return Filled(row, (min(one, other), max(one, other)), decision, None)
