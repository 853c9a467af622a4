"""The registers: what each institution publishes, where, under which names and terms.

Belongs here: reading and validating `<institution>.yml`. Does not: fetching (extraction.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

FOLDER = Path(__file__).parent / "registers"
ROOT = FOLDER.parents[2]

UbigeoSystem = Literal["inei", "reniec", "none"]


class RegisterError(ValueError):
    """A register that is not consistent, with its file, field and reason."""


class Model(BaseModel):
    """A register entry refuses fields it does not know: a typo must not pass for a setting."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Host(Model):
    """Limits and settings of one host."""

    connections: int = Field(4, ge=1, le=8, description="requests under way at once")
    pause_seconds: float = Field(0, ge=0, le=60, description="between the starts of two requests")
    answer_seconds: float = Field(
        900, gt=0, le=7_200, description="for one answer in all; SERFOR has taken 44 s for a page"
    )
    answer_mib: float = Field(192, gt=0, le=2_048, description="of one answer, in memory; SERFOR has sent 59 MB")
    file_seconds: float = Field(14_400, gt=0, le=43_200, description="for one file in all")
    file_mib: float = Field(32_768, gt=0, description="of one file, unpacked; the largest that is known has 2.4 GB")
    headers: dict[str, str] = Field(default_factory=dict, description="what the host asks for, for instance a Referer")
    ca_file: str | None = Field(None, description="authority that its certificate needs beside the common ones")


class SourceLayer(Model):
    """One layer, feature type or file of an institution: what every kind of source has.

    `fields` maps our column names to the source's; a trailing `?` marks a column that may be missing.
    """

    read_as: ClassVar[str] = ""  # the kind in the documentation

    institution: str
    institution_es: str
    name: str
    kind: str
    title_es: str
    title_en: str
    url: str
    url_from_year: dict[int, str] = Field(default_factory=dict, description="url by first fiscal year it holds for")
    first_fiscal_year: int | None = None
    partition_column: str | None = Field(None, description="column that must hold the fiscal year of the file")
    fields: dict[str, str]
    cadence: Literal["daily", "weekly", "quarterly", "yearly", "irregular"] = Field(
        description="how often the institution publishes; cadence.py says how often it is asked"
    )
    allowed_shrink: float = Field(0.1, ge=0, le=1)
    is_essential: bool = Field(
        default=False,
        description="without it there is no release at all; any other source that was never read is an empty table",
    )
    ubigeo_system: UbigeoSystem = "inei"
    vintage: str | None = Field(None, description="state of the limits or codes, where the source says it")
    assumed: str | None = Field(None, description="what of this entry no source documents")
    licence: str
    disclaimer: str

    @model_validator(mode="after")
    def _complete(self) -> SourceLayer:
        if self.first_fiscal_year and not self.url_from_year:
            raise ValueError(f"{self.source}: `url_from_year` is needed for files by fiscal year")
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
    def is_in_parts(self) -> bool:
        """One layer for each year or part that the service has now, found by name; or one file for each submission."""
        return False

    @property
    def is_partitioned(self) -> bool:
        """Several snapshots are current at once."""
        return self.is_by_fiscal_year or self.is_in_parts

    @property
    def is_submitted(self) -> bool:
        """Institutions leave files for it; there is no server to query."""
        return False

    @property
    def has_geometry(self) -> bool:
        """Rows carry a geometry."""
        return False

    @property
    def has_totals(self) -> bool:
        """Raw keeps some rows of a file, and sums of all."""
        return False

    @property
    def may_be_empty(self) -> bool:
        """No rows are no fault."""
        return False

    @property
    def probe(self) -> dict[str, str]:
        """Parameters of the smallest question that its address answers."""
        return {}

    @property
    def layer_name(self) -> str | None:
        """The layer or feature type, where an address has several."""
        return None

    @property
    def required_columns(self) -> list[str]:
        """Columns the source must send, by its own names."""
        return [name for name in self.fields.values() if not name.endswith("?")]

    def url_for(self, partition: str | None) -> str:
        """Address of one fiscal year's file, or of the whole."""
        if partition is None or not self.is_by_fiscal_year:
            return self.url
        year = int(partition)
        template = self.url_from_year[max(y for y in self.url_from_year if y <= year)]
        return template.format(year=year)


class _Drawn(SourceLayer):
    @property
    def has_geometry(self) -> bool:
        """Rows carry a geometry."""
        return True


class ArcgisLayer(_Drawn):
    """A layer of an ArcGIS service."""

    read_as: ClassVar[str] = "ArcGIS REST"
    kind: Literal["arcgis"]
    layer: str = Field(description="pattern of the layer's name, with a group `year` or `part` for several")
    group: str | None = Field(None, description="pattern of the name of the group layer above it")

    @property
    def probe(self) -> dict[str, str]:
        """The service's description."""
        return {"f": "json"}

    @property
    def layer_name(self) -> str:
        """The pattern."""
        return self.layer

    @property
    def is_in_parts(self) -> bool:
        """Its pattern has a group."""
        return re.compile(self.layer).groups > 0


class WfsLayer(_Drawn):
    """A feature type of a WFS."""

    read_as: ClassVar[str] = "WFS 2.0"
    kind: Literal["wfs"]
    layer: str = Field(description="name of the feature type")
    unique_attribute: str = Field(description="attribute that pages are sorted by")

    @property
    def probe(self) -> dict[str, str]:
        """The service's description."""
        return {"service": "WFS", "request": "GetCapabilities"}

    @property
    def layer_name(self) -> str:
        """The feature type."""
        return self.layer


class VectorFileLayer(_Drawn):
    """A file of geometries."""

    read_as: ClassVar[str] = "file of geometries"
    kind: Literal["vector_file"]


class CsvLayer(SourceLayer):
    """A CSV of any size."""

    read_as: ClassVar[str] = "CSV of a file host"
    kind: Literal["csv"]
    left_out: list[str] = Field(default_factory=list, description="columns that raw leaves out; any other is kept")
    keep_where: str | None = Field(None, description="rows that raw keeps; the whole file is summed beside them")
    totals_by: list[str] = Field(default_factory=list, description="columns by which the whole file is summed")
    totals_of: list[str] = Field(default_factory=list, description="amounts that are summed")

    @model_validator(mode="after")
    def _summed_whole(self) -> CsvLayer:
        if len({bool(self.keep_where), bool(self.totals_by), bool(self.totals_of)}) > 1:
            raise ValueError(f"{self.source}: `keep_where`, `totals_by` and `totals_of` go together")
        return self

    @property
    def has_totals(self) -> bool:
        """Raw keeps some rows of the file."""
        return self.keep_where is not None


class HtmlTableLayer(SourceLayer):
    """A table in a web page."""

    read_as: ClassVar[str] = "HTML table dressed as .xls"
    kind: Literal["html_table"]


class JsonApiLayer(SourceLayer):
    """Records that a server answers as JSON."""

    read_as: ClassVar[str] = "JSON API"
    kind: Literal["json_api"]
    parameters: dict[str, str] = Field(default_factory=dict, description="query")
    records: str | None = Field(None, description="key of the list of records, none for a bare list")

    @property
    def probe(self) -> dict[str, str]:
        """The query itself."""
        return self.parameters


class InboxLayer(SourceLayer):
    """What institutions leave in the inbox."""

    read_as: ClassVar[str] = "files in the inbox"
    kind: Literal["inbox"]
    sheet: str | None = Field(None, description="sheet of the template that is read, beside its first")

    @property
    def is_in_parts(self) -> bool:
        """A part a file."""
        return True

    @property
    def is_submitted(self) -> bool:
        """No server is queried."""
        return True

    @property
    def has_geometry(self) -> bool:
        """The first sheet has one."""
        return self.sheet is None

    @property
    def may_be_empty(self) -> bool:
        """A submission need not have every sheet."""
        return self.sheet is not None


AnyLayer = ArcgisLayer | WfsLayer | VectorFileLayer | CsvLayer | HtmlTableLayer | JsonApiLayer | InboxLayer
_LAYER: TypeAdapter[AnyLayer] = TypeAdapter(Annotated[AnyLayer, Field(discriminator="kind")])


class Register(Model):
    """What one institution publishes."""

    institution: str
    name_es: str
    ubigeo_system: UbigeoSystem
    licence: str
    disclaimer: str
    hosts: dict[str, Host] = Field(default_factory=dict)
    layers: dict[str, dict[str, object]]


def first_fiscal_year(layers: Mapping[str, SourceLayer]) -> int:
    """The earliest fiscal year that any register wants."""
    return min(layer.first_fiscal_year for layer in layers.values() if layer.first_fiscal_year)


@cache
def all_registers(folder: Path = FOLDER) -> dict[str, Register]:
    """Every register, by institution.

    Raises RegisterError, which names file, field and reason, for a register that does not hold together.
    """
    read = [_register(path) for path in sorted(folder.glob("*.yml"))]
    return {register.institution: register for register in read}


def _register(path: Path) -> Register:
    try:
        return Register.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RegisterError(f"{path.name}: {error}") from error


@cache
def all_layers(folder: Path = FOLDER) -> dict[str, SourceLayer]:
    """Every layer of every register, by source name. Raises RegisterError."""
    layers: dict[str, SourceLayer] = {}
    for register in all_registers(folder).values():
        terms = {
            "licence": register.licence,
            "disclaimer": register.disclaimer,
            "ubigeo_system": register.ubigeo_system,
            "institution": register.institution,
            "institution_es": register.name_es,
        }
        for name, entry in register.layers.items():
            try:
                layer = _LAYER.validate_python(terms | entry | {"name": name})
            except (ValidationError, TypeError) as error:
                raise RegisterError(f"{register.institution}.yml, layer {name}: {error}") from error
            layers[layer.source] = layer
    return layers


@cache
def all_hosts(folder: Path = FOLDER) -> dict[str, Host]:
    """Limits and settings of each host, by name; those that no register describes get the defaults."""
    hosts = {
        urlsplit(layer.url).hostname or "": Host() for layer in all_layers(folder).values() if not layer.is_submitted
    }
    for register in all_registers(folder).values():
        hosts |= register.hosts
    return hosts


def institution_of_host(folder: Path = FOLDER) -> dict[str, str]:
    """Whose token goes to which host."""
    return {
        urlsplit(layer.url).hostname or "": layer.institution
        for layer in all_layers(folder).values()
        if isinstance(layer, ArcgisLayer)
    }
