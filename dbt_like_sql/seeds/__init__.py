"""Code lists, targets and official totals as CSV, each with a .yml that names its columns, types and source.

Belongs here: facts a person maintains. Does not: anything a source delivers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import yaml

from expectations.types import polars_type

FOLDER = Path(__file__).parent


def seed_names() -> list[str]:
    """Names of all seeds, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.csv"))


def seed_description(name: str) -> dict[str, Any]:
    """The .yml beside a seed: description, source and columns with type."""
    return dict(yaml.load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


def read_seed(name: str) -> pl.DataFrame:
    """A seed with the types its .yml declares.

    Raises ValueError when the file's columns are not exactly those declared.
    """
    columns = {c["name"]: c["type"] for c in seed_description(name)["columns"]}
    frame = pl.read_csv(FOLDER / f"{name}.csv", infer_schema=False)
    if frame.columns != list(columns):
        raise ValueError(f"seed {name}: columns {frame.columns} differ from its .yml {list(columns)}")
    return frame.with_columns(
        (pl.col(c) == "true").alias(c) if t == "boolean" else pl.col(c).cast(polars_type(t)) for c, t in columns.items()
    )
