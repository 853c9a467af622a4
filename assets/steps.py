"""Models that code makes, by the table they make.

Belongs here: which steps there are. Does not: what a step is (dbt_like_sql/step.py) or does (linkage/steps.py, ground.py). No Dagster.
"""

from __future__ import annotations

from assets.ground import GroundTiles
from assets.linkage.decisions import DecisionBook
from assets.linkage.steps import InitiativeIds, RecordLinks
from dbt_like_sql.step import Step


def steps(book: DecisionBook | None) -> dict[str, Step]:
    """Every step. Without a book of decisions those of the warehouse stand."""
    return {
        "core.ground_tiles": GroundTiles(),
        "core.record_links": RecordLinks(book),
        "core.initiative_ids": InitiativeIds(),
    }
