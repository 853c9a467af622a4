"""How assets are called and what all of them carry.

Belongs here: keys, owners and tags of assets. Does not: the assets.
"""

from __future__ import annotations

from dagster import AssetKey

from restoration.sources.register import SourceLayer

OWNERS = ["team:restauracion-datos"]  # who builds and runs the warehouse
_PREFIX = {"staging": "", "core": "core_", "marts": "mart_", "quality": "quality_", "meta": "meta_"}
PUBLISHED = AssetKey("published_warehouse")
ANSWERS = AssetKey("submission_answers")
QUALITY_SITE = AssetKey("quality_site")


def owners_of(institution: str) -> list[str]:
    """Who answers for what an institution published: itself, and who reads it."""
    return [f"team:{institution}", *OWNERS]


def raw_key(layer: SourceLayer) -> AssetKey:
    """`raw_<institution>__<layer>`."""
    return AssetKey(f"raw_{layer.table}")


def table_key(table: str) -> AssetKey:
    """The asset of a table `layer.name`: layer first, staging models have theirs in the name."""
    layer, name = table.split(".")
    return AssetKey(_PREFIX[layer] + name)
