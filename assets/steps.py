"""Models that code makes, by the table they make.

Belongs here: what a step is, and which there are. Does not: what each does (linkage/steps.py, ground.py). No Dagster.
"""

from __future__ import annotations

import datetime as dt
from typing import Protocol

import duckdb

from assets.ground import GroundTiles
from assets.linkage.decisions import DecisionBook
from assets.linkage.steps import InitiativeIds, RecordLinks


class Step(Protocol):
    """Makes one model: gives a SELECT over what it put on the connection."""

    @property
    def about(self) -> dict[str, str]:
        """What an engineer should see of it in the UI, as Markdown by name."""
        ...

    def fingerprint(self, con: duckdb.DuckDBPyConnection, as_of: dt.date) -> str:
        """Changes when anything but the tables it reads changes what it makes."""
        ...

    def make(self, con: duckdb.DuckDBPyConnection, as_of: dt.date, query: str) -> str:
        """The SELECT that the model's table is made from; `query` is the SQL beside its .yml, if there is any."""
        ...


def steps(book: DecisionBook | None) -> dict[str, Step]:
    """Every step. Without a book of decisions those of the warehouse stand."""
    return {
        "core.ground_tiles": GroundTiles(),
        "core.record_links": RecordLinks(book),
        "core.initiative_ids": InitiativeIds(),
    }
