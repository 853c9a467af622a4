"""The protocol files, read: contracts, the columns they describe and the rules they hold.

Belongs here: validating Open Data Contract files and reading them. Does not: compiling a rule (rules.py) or
running it (suites.py, quarantine.py). No Great Expectations: definitions load without it.

The standard's own text fields are in English, except `businessName`, which is the Spanish title; the Spanish text of
the others is in `customProperties`. `${name}` in a query or a text is a threshold of the contract, or the table as
`${object}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import polars as pl
import sqlglot
import yaml
from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject, SchemaProperty
from pydantic import ValidationError
from sqlglot import exp
from sqlglot.errors import SqlglotError

from expectations.rules import ContractError, Rule, about_persons, custom, from_field, from_quality, number
from expectations.types import polars_type

FOLDER = Path(__file__).parent / "protocol"
PROTOCOL = ("initiatives", "areas", "indicator_values", "submissions", "spending", "investments")  # what is signed

Requirement = Literal["required", "conditional", "optional", "computed"]


@dataclass(frozen=True)
class Field:
    """One column as the protocol describes it: the source of its type, comment, place in the template and documentation.

    `type` is DuckDB's. A required column has a rule of its own, or is `required_by` one that says more than that it is
    given. `code_list` is the `seed.column` that values must be of; `choices` are what the template's drop-down offers,
    likewise or one by one. `form_name` is the column's name in the template, where it has one.
    """

    name: str
    title_es: str
    title_en: str
    meaning_es: str
    meaning_en: str
    type: str
    unit: str | None
    code_list: str | None
    choices: str | tuple[str, ...]
    requirement: Requirement
    when_es: str
    when_en: str
    example: str
    form_name: str | None
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Threshold:
    """A number that rules compare with, and its source."""

    name: str
    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class Contract:
    """One protocol file.

    `key` identifies a row of its table; `identity` identifies it from one night to the next, where the key does not.
    """

    name: str
    title_es: str
    title_en: str
    version: str
    purpose_es: str
    purpose_en: str
    grain_es: str
    grain_en: str
    key: str
    identity: str
    quarantine_above_pct: float | None
    fields: tuple[Field, ...]
    thresholds: tuple[Threshold, ...]
    rules: tuple[Rule, ...]
    fingerprint: str

    @cached_property
    def reads(self) -> frozenset[str]:
        """Other tables that rules compare with, `layer.name`."""
        conditions = [
            sqlglot.parse_one(r.failing, dialect="duckdb") for r in self.rules if r.metric == "sql" and r.failing
        ]
        return frozenset(f"{t.db}.{t.name}" for c in conditions for t in c.find_all(exp.Table) if t.db)

    @property
    def quarantines(self) -> bool:
        """Whether rows that break a critical row rule are quarantined; contracts on finished tables only report."""
        return self.quarantine_above_pct is not None

    @property
    def judges_deliveries(self) -> bool:
        """Whether its rows are an institution's delivery and count in a scorecard; those of finished tables do not."""
        return self.quarantines or any(field.name == "reporting_institution" for field in self.fields)

    @property
    def polars_schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """Polars types of its columns."""
        return {field.name: polars_type(field.type) for field in self.fields}

    @property
    def form(self) -> tuple[Field, ...]:
        """Columns that a person fills in."""
        return tuple(field for field in self.fields if field.form_name)

    def field(self, name: str) -> Field:
        """One column. Raises ContractError where the contract does not describe it."""
        for field in self.fields:
            if field.name == name:
                return field
        raise ContractError(f"{self.name}.odcs.yml describes no column {name!r}")


@cache
def read_contract(name: str, folder: Path = FOLDER) -> Contract:
    """One contract, held to the standard's own model, which knows no other field.

    Raises ContractError with the place in the file.
    """
    try:
        text = (folder / f"{name}.odcs.yml").read_text(encoding="utf-8")
        contract = OpenDataContractStandard.model_validate(yaml.load(text, Loader=yaml.CSafeLoader))
        return _contract(name, text, contract)
    except (
        ValidationError,
        yaml.YAMLError,
        UnicodeDecodeError,
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
        SqlglotError,
    ) as error:
        if isinstance(error, ContractError):
            raise
        raise ContractError(f"{name}.odcs.yml: {type(error).__name__} {error}") from error


def _contract(name: str, text: str, contract: OpenDataContractStandard) -> Contract:
    if not contract.schema_ or len(contract.schema_) != 1:
        raise ContractError(f"{name}.odcs.yml: a protocol file describes one table")
    table = contract.schema_[0]
    about = custom(table.customProperties)
    thresholds = tuple(Threshold(**entry) for entry in about.get("thresholds", []))
    values = {t.name: number(t.value) for t in thresholds}
    described = custom(contract.description.customProperties) if contract.description else {}
    return Contract(
        name=name,
        title_es=str(contract.name),
        title_en=str(described.get("title_en", name.replace("_", " "))),
        version=str(contract.version),
        purpose_es=str(described.get("purpose_es", "")),
        purpose_en=str(contract.description.purpose) if contract.description else "",
        grain_es=str(about.get("grain_es", "")),
        grain_en=str(table.dataGranularityDescription or ""),
        key=str(about["key"]),
        identity=str(about.get("identity", about["key"])),
        quarantine_above_pct=float(about["quarantine_above_pct"]) if "quarantine_above_pct" in about else None,
        fields=tuple(_field(p) for p in table.properties or []),
        thresholds=thresholds,
        rules=tuple(_rules(name, table, values)),
        fingerprint=text,
    )


def schema_errors(name: str, folder: Path = FOLDER) -> list[str]:
    """Where a contract violates the JSON schema of the standard; only tests check this, since it is slow."""
    import jsonschema

    document = yaml.load((folder / f"{name}.odcs.yml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text())
    errors = sorted(jsonschema.Draft201909Validator(schema).iter_errors(document), key=lambda e: e.json_path)
    return [f"{e.json_path}: {e.message[:300]}" for e in errors]


def contract_names(folder: Path = FOLDER) -> list[str]:
    """Names of all contracts."""
    return sorted(path.name.removesuffix(".odcs.yml") for path in folder.glob("*.odcs.yml"))


def _field(column: SchemaProperty) -> Field:
    about: dict[str, Any] = custom(column.customProperties)
    offered = about.get("choices", "")
    requirement: Requirement = "optional"
    if column.required or "required_by" in about:
        requirement = "required"
    elif "when_en" in about:
        requirement = "conditional"
    elif about.get("computed"):
        requirement = "computed"
    return Field(
        name=str(column.name),
        title_es=str(column.businessName),
        title_en=str(about.get("title_en", column.description)),
        meaning_es=str(about.get("description_es", column.businessName)),
        meaning_en=str(column.description),
        type=str(column.physicalType),
        unit=about.get("unit"),
        code_list=about.get("code_list"),
        choices=tuple(offered) if isinstance(offered, list) else offered,
        requirement=requirement,
        when_es=str(about.get("when_es", "")),
        when_en=str(about.get("when_en", "")),
        example=str(column.examples[0]) if column.examples else "",
        form_name=column.physicalName,
        aliases=tuple(about.get("aliases", ())),
    )


def _rules(contract: str, table: SchemaObject, thresholds: Mapping[str, str]) -> list[Rule]:
    holds_back = "quarantine_above_pct" in custom(table.customProperties)
    rules = [from_quality(contract, quality, None, thresholds) for quality in table.quality or []]
    for column in table.properties or []:
        rules += from_field(contract, column, "row" if holds_back else "table")
        rules += [from_quality(contract, quality, str(column.name), thresholds) for quality in column.quality or []]
    if holds_back:
        rules += about_persons(contract, table.properties or [])
    names = [rule.check_name for rule in rules]
    if len(set(names)) < len(names):
        raise ContractError(f"{contract}: two rules bear one name")
    if idle := [r.name for r in rules if r.severity == "critical" and r.level == "row" and not holds_back]:
        raise ContractError(f"{contract}: {idle} would neither block nor hold back; say level: table")
    return rules
