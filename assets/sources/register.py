"""The registers: what each institution publishes, where, under which names and terms.

Belongs here: reading and validating `<institution>.yml`. Does not: fetching (extraction.py). No Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

FOLDER = Path(__file__).parent


class Model(BaseModel):
    """A register entry refuses fields it does not know: a typo must not pass for a setting."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceLayer(Model):
    """One layer, feature type or file of an institution.

    `fields` maps our column names to the source's; a trailing `?` marks a column that may be missing.
    """

    institution: str
    name: str
    kind: Literal["arcgis", "wfs", "csv"]
    title_es: str
    title_en: str
    url: str
    layer: str | None = Field(None, description="arcgis: pattern of the layer's name; wfs: type name")
    unique_attribute: str | None = Field(None, description="wfs: attribute that pages are sorted by")
    url_from_year: dict[int, str] = Field(
        default_factory=dict, description="csv: url by first fiscal year it holds for"
    )
    first_fiscal_year: int | None = None
    fields: dict[str, str]
    cadence: str
    allowed_shrink: float = Field(0.1, ge=0, le=1)
    assumed: str | None = Field(None, description="what of this entry no source documents")
    licence: str
    disclaimer: str

    @model_validator(mode="after")
    def _complete(self) -> SourceLayer:
        if self.kind in {"arcgis", "wfs"} and not self.layer:
            raise ValueError(f"{self.source}: `layer` is needed for {self.kind}")
        if self.kind == "wfs" and not self.unique_attribute:
            raise ValueError(f"{self.source}: `unique_attribute` is needed for wfs")
        return self

    @property
    def source(self) -> str:
        """`institution.layer`: the name in errors, snapshots and quality tables."""
        return f"{self.institution}.{self.name}"

    @property
    def table(self) -> str:
        """Name of the raw table in SQL, below `raw`."""
        return f"{self.institution}__{self.name}"

    @property
    def is_by_fiscal_year(self) -> bool:
        """One file a fiscal year."""
        return self.first_fiscal_year is not None

    @property
    def has_geometry(self) -> bool:
        """Rows carry a geometry."""
        return self.kind in {"arcgis", "wfs"}

    @property
    def required_columns(self) -> list[str]:
        """Columns the source must send, by its own names."""
        return [name for name in self.fields.values() if not name.endswith("?")]

    def url_for(self, partition: str | None) -> str:
        """Address of one fiscal year's file, or of the whole."""
        if partition is None:
            return self.url
        year = int(partition)
        template = self.url_from_year[max(y for y in self.url_from_year if y <= year)]
        return template.format(year=year)


class Register(Model):
    """What one institution publishes."""

    institution: str
    name_es: str
    ubigeo_system: Literal["inei", "reniec", "none"]
    licence: str
    disclaimer: str
    layers: dict[str, dict[str, object]]


def first_fiscal_year(layers: Mapping[str, SourceLayer]) -> int:
    """The earliest fiscal year that any register wants."""
    return min(layer.first_fiscal_year for layer in layers.values() if layer.first_fiscal_year)


@cache
def all_layers(folder: Path = FOLDER) -> dict[str, SourceLayer]:
    """Every layer of every register, by source name.

    Raises pydantic.ValidationError, which names file field and reason, for a register that does not hold together.
    """
    layers: dict[str, SourceLayer] = {}
    for path in sorted(folder.glob("*.yml")):
        register = Register.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
        for name, entry in register.layers.items():
            terms = {"licence": register.licence, "disclaimer": register.disclaimer}
            layer = SourceLayer.model_validate(terms | entry | {"institution": register.institution, "name": name})
            layers[layer.source] = layer
    return layers
