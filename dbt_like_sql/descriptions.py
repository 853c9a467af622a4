"""What every table and column means: the .yml beside each model, completed from the contract that governs the column.

Belongs here: reading descriptions. Does not: the SQL beside them (runner.py) or the contracts (expectations).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from expectations.contracts import read_contract

FOLDER = Path(__file__).parent
LAYERS = ("staging", "core", "marts", "quality", "meta")


class Text(BaseModel):
    """One description in the two languages of the warehouse."""

    model_config = ConfigDict(extra="forbid")
    es: str
    en: str


class Column(Text):
    """One column: its DuckDB type and what it means. Described once: here, or in the contract that governs it."""

    name: str
    type: str
    unit: str | None = None
    references: str | None = None  # schema.table.column that holds every value of it

    @property
    def comment(self) -> str:
        """Spanish, then English, then the unit."""
        return f"{self.es} | {self.en}" + (f" | {self.unit}" if self.unit else "")


class Description(BaseModel):
    """The .yml beside a model.

    `made_by: step` marks a model that code builds from the SQL beside it or from what it `reads`; `made_by: engine` a
    table that no model builds.
    """

    model_config = ConfigDict(extra="forbid")
    description: Text
    grain: str
    source: str = ""
    columns: list[Column]
    contract: str | None = None
    made_by: Literal["sql", "step", "engine"] = "sql"
    reads: list[str] = []


@cache
def descriptions(folder: Path) -> dict[str, Description]:
    """Every .yml, by qualified name."""
    return {
        f"{layer}.{path.stem}": _description(path)
        for layer in LAYERS
        for path in sorted((folder / layer).glob("*.yml"))
    }


def _description(path: Path) -> Description:
    """A .yml, its columns completed from the protocol: `{name: x}` is the table's own contract's, `{name: x, from: a.b}` another's."""
    about = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    for column in about["columns"]:
        if "type" not in column:
            contract, name = column.pop("from", f"{about.get('contract')}.{column['name']}").split(".")
            governed = read_contract(contract).field(name)
            column |= {
                "type": governed.type,
                "es": f"{governed.title_es}: {governed.meaning_es}",
                "en": f"{governed.title_en}: {governed.meaning_en}",
                "unit": governed.unit,
            }
    return Description.model_validate(about)
