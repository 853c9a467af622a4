"""Models that Python code builds, by table name.

Belongs here: which steps there are. Does not: what a step is (dbt_like_sql/step.py) or does (linkage/steps.py, ground.py).
"""

from __future__ import annotations

from dbt_like_sql.step import Step
from restoration.ground import GroundTiles
from restoration.linkage.decisions import DecisionStore
from restoration.linkage.steps import InitiativeIds, RecordLinks


def steps(decision_store: DecisionStore | None) -> dict[str, Step]:
    """Every step. Without a decision log, the decisions in the warehouse are used."""
    return {
        "core.ground_tiles": GroundTiles(),
        "core.record_links": RecordLinks(decision_store),
        "core.initiative_ids": InitiativeIds(),
    }
