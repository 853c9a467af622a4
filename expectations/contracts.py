"""The protocol files, read: contracts and the rules they hold.

Belongs here: validating Open Data Contract files and turning them into rules. Does not: running rules (suites.py,
quarantine.py). No Great Expectations and no Dagster: definitions load without either.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import sqlglot
import yaml
from open_data_contract_standard.model import CustomProperty, DataQuality, OpenDataContractStandard, SchemaObject
from pydantic import ValidationError
from sqlglot import exp

FOLDER = Path(__file__).parent / "protocol"

Level = Literal["row", "table"]
Severity = Literal["critical", "warning"]


class ContractError(Exception):
    """A protocol file that is not a valid contract or holds a rule that cannot be compiled."""


@dataclass(frozen=True)
class Rule:
    """One thing that must be true of a table. `mend_es` tells who sent a failing row what to do about it.

    A row rule has `failing`, the condition that a failing row meets; a table rule has `metric`, a query of one number
    that must be 0 to pass (rowCount) or a column that must be unique.
    """

    rule_id: str
    name: str
    level: Level
    severity: Severity
    dimension: str
    reason_es: str
    reason_en: str
    metric: str
    column: str | None = None
    failing: str | None = None
    valid_values: tuple[str, ...] = ()
    mend_es: str = ""

    @property
    def is_blocking(self) -> bool:
        """A critical table rule stops what is downstream; rows that break a critical row rule go to quarantine."""
        return self.severity == "critical" and self.level == "table"

    @property
    def check_name(self) -> str:
        """The sentence as a name that Dagster accepts."""
        return re.sub(r"\W+", "_", self.name).strip("_").lower()


@dataclass(frozen=True)
class Contract:
    """One protocol file."""

    name: str
    key: str
    quarantine_above_pct: float | None
    rules: tuple[Rule, ...]
    fingerprint: str

    @property
    def reads(self) -> frozenset[str]:
        """Other tables that rules compare with, `layer.name`."""
        conditions = [
            sqlglot.parse_one(r.failing, dialect="duckdb") for r in self.rules if r.metric == "sql" and r.failing
        ]
        return frozenset(f"{t.db}.{t.name}" for c in conditions for t in c.find_all(exp.Table) if t.db)

    @property
    def quarantines(self) -> bool:
        """Rows that break a critical row rule are held back; contracts on finished tables only judge."""
        return self.quarantine_above_pct is not None


@cache
def read_contract(name: str, folder: Path = FOLDER) -> Contract:
    """One contract, held to the standard's own model, which knows no other field.

    Raises ContractError with the place in the file.
    """
    text = (folder / f"{name}.odcs.yml").read_text(encoding="utf-8")
    try:
        contract = OpenDataContractStandard.model_validate(yaml.load(text, Loader=yaml.CSafeLoader))
    except ValidationError as error:
        raise ContractError(f"{name}.odcs.yml: {error}") from error
    if not contract.schema_ or len(contract.schema_) != 1:
        raise ContractError(f"{name}.odcs.yml: a protocol file describes one table")
    table = contract.schema_[0]
    custom = _custom(table.customProperties)
    return Contract(
        name=name,
        key=str(custom["key"]),
        quarantine_above_pct=float(custom["quarantine_above_pct"]) if "quarantine_above_pct" in custom else None,
        rules=tuple(_rules(name, table)),
        fingerprint=text,
    )


def schema_errors(name: str, folder: Path = FOLDER) -> list[str]:
    """Where a contract departs from the JSON schema of the standard; the tests ask, since it takes a while."""
    import jsonschema

    document = yaml.load((folder / f"{name}.odcs.yml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    schema = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text())
    errors = sorted(jsonschema.Draft201909Validator(schema).iter_errors(document), key=lambda e: e.json_path)
    return [f"{e.json_path}: {e.message[:300]}" for e in errors]


def contract_names(folder: Path = FOLDER) -> list[str]:
    """Names of all contracts."""
    return sorted(path.name.removesuffix(".odcs.yml") for path in folder.glob("*.odcs.yml"))


def _custom(properties: list[CustomProperty] | None) -> dict[str, str]:
    return {str(p.property): str(p.value) for p in properties or []}


def _rules(contract: str, table: SchemaObject) -> list[Rule]:
    rules = [_from_quality(contract, quality, None) for quality in table.quality or []]
    for column in table.properties or []:
        name = str(column.name)
        if column.required:
            custom = _custom(column.customProperties)
            reason = custom.get("reason_es", f"Falta {column.businessName}")
            rules.append(
                Rule(
                    f"{contract}.{name}.required", f"{name} is given", "row", "critical", "completeness", reason,
                    f"{name} is missing", "nullValues", name, f'"{name}" is null',
                    mend_es=custom.get("mend_es", ""),
                )
            )  # fmt: skip
        if column.unique:
            rules.append(
                Rule(
                    f"{contract}.{name}.unique", f"{name} is unique", "table", "critical", "uniqueness",
                    f"{column.businessName} se repite", f"{name} occurs more than once", "duplicateValues", name,
                )
            )  # fmt: skip
        rules += [_from_quality(contract, quality, name) for quality in column.quality or []]
    names = [rule.check_name for rule in rules]
    if len(set(names)) < len(names):
        raise ContractError(f"{contract}: two rules bear one name")
    return rules


def _from_quality(contract: str, quality: DataQuality, column: str | None) -> Rule:
    name = str(quality.name)
    custom = _custom(quality.customProperties)
    if quality.severity not in {"critical", "warning"} or not quality.dimension or "reason_es" not in custom:
        raise ContractError(f"{contract}: rule {name!r} needs severity critical or warning, a dimension and reason_es")
    metric = str(quality.metric) if quality.type == "library" else "sql"
    failing: str | None = None
    level: Level = "table" if custom.get("level") == "table" else "row"
    values: tuple[str, ...] = ()
    if metric == "rowCount":
        level = "table"
    elif metric == "nullValues":
        failing = f'"{column}" is null'
    elif metric == "invalidValues":
        values = tuple(str(v) for v in (quality.arguments or {})["validValues"])
        listed = ", ".join("'" + v.replace("'", "''") + "'" for v in values)
        failing = f'"{column}" is not null and "{column}" not in ({listed})'
    elif metric == "sql":
        failing = _condition(contract, name, str(quality.query))
    else:
        raise ContractError(f"{contract}: rule {name!r} uses the metric {metric!r}, which is not supported")
    return Rule(
        f"{contract}.{column or 'table'}.{re.sub(r'[^a-z0-9]+', '_', name.lower())}", name, level, quality.severity,
        quality.dimension, custom["reason_es"], str(quality.description), metric, column, failing, values,
        custom.get("mend_es", ""),
    )  # fmt: skip


def _condition(contract: str, name: str, query: str) -> str:
    """The WHERE of `select count(*) from ${object} where ...`: what a failing row meets."""
    try:
        parsed = sqlglot.parse_one(query.replace("${object}", "object"), dialect="duckdb")
    except sqlglot.ParseError as error:
        raise ContractError(f"{contract}: rule {name!r}: {error}") from error
    where = parsed.args.get("where")
    counts = isinstance(parsed, exp.Select) and [e.sql("duckdb").lower() for e in parsed.expressions] == ["count(*)"]
    if not counts or where is None:
        raise ContractError(f"{contract}: rule {name!r} must read: select count(*) from ${{object}} where ...")
    return str(where.this.sql(dialect="duckdb"))
