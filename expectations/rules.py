"""A rule of the protocol: what must be true of a table, and the SQL condition that a failing row meets.

Belongs here: converting one quality entry or one column of a contract to a rule. Does not: reading files
(contracts.py) or running rules (suites.py, quarantine.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any, Literal

import sqlglot
from open_data_contract_standard.model import CustomProperty, DataQuality, SchemaProperty
from sqlglot import exp

from expectations.personal_data import REMOVED

Level = Literal["row", "table"]
Severity = Literal["critical", "warning"]
DIMENSIONS = {  # of the standard, and how Spanish calls them
    "completeness": "completitud",
    "conformity": "conformidad",
    "accuracy": "exactitud",
    "consistency": "coherencia",
    "uniqueness": "unicidad",
    "coverage": "cobertura",
    "timeliness": "oportunidad",
}


class ContractError(Exception):
    """A protocol file that is not a valid contract or holds a rule that cannot be compiled."""


@dataclass(frozen=True)
class Rule:
    """One thing that must be true of a table.

    `reason` says what is wrong with a row that fails, `why` what the rule is for, `mend_es` what whoever sent the row should
    do. A row rule has `failing`, the condition that a failing row meets; a table rule has `metric`: rowCount or
    duplicateValues, or it counts the rows that fail.
    """

    rule_id: str
    name: str
    level: Level
    severity: Severity
    dimension: str
    reason_es: str
    reason_en: str
    why_es: str
    why_en: str
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
        return as_name(self.name)


def as_name(sentence: str) -> str:
    """A check's sentence as a name that Dagster accepts."""
    return re.sub(r"\W+", "_", sentence).strip("_").lower()


def custom(properties: Sequence[CustomProperty] | None) -> dict[str, Any]:
    """The standard's list of custom properties as a mapping."""
    return {str(p.property): p.value for p in properties or []}


def number(value: float) -> str:
    """A threshold as it is written in SQL and in sentences: 0.5, 10000."""
    return f"{value:.10f}".rstrip("0").rstrip(".") if value != int(value) else str(int(value))


_GIVEN_ES = "Sin este dato el registro no se puede identificar, ubicar ni sumar"
_GIVEN_EN = "Without it the record cannot be identified, placed or added up"
_UNIQUE_ES = "Lo que se repite se contaría dos veces"
_UNIQUE_EN = "What occurs twice would be counted twice"


def from_field(contract: str, column: SchemaProperty, level: Level) -> list[Rule]:
    """What `required` and `unique` say of a column, and that a column with a code list keeps to it.

    `level` is that of what concerns single rows: a finished table quarantines none, so there it is a table rule.
    """
    about, name = custom(column.customProperties), str(column.name)
    rules = []
    if column.required:
        rules.append(
            Rule(
                f"{contract}.{name}.required",
                f"{name} is given",
                level,
                "critical",
                "completeness",
                about.get("reason_es", f"Falta {column.businessName}"),
                about.get("reason_en", f"{name} is missing"),
                about.get("why_es", _GIVEN_ES),
                about.get("why_en", _GIVEN_EN),
                "nullValues",
                name,
                f'"{name}" is null',
                mend_es=about.get("mend_es", ""),
            )
        )
    if column.unique:
        rules.append(
            Rule(
                f"{contract}.{name}.unique",
                f"{name} is unique",
                "table",
                "critical",
                "uniqueness",
                f"{column.businessName} se repite",
                f"{name} occurs more than once",
                _UNIQUE_ES,
                _UNIQUE_EN,
                "duplicateValues",
                name,
            )
        )
    if "code_list" in about and not str(column.physicalType).endswith("[]"):
        seed, code = about["code_list"].split(".")
        values = f'select l."{code}" from seeds."{seed}" as l where l."{code}" is not null'
        rules.append(
            Rule(
                f"{contract}.{name}.code_list",
                f"{name} is one of its code list",
                level,
                "critical",
                "conformity",
                f"{column.businessName}: el valor no está en la lista del protocolo",
                f"{name} is none of the protocol's code list",
                "Solo los códigos de una misma lista se pueden sumar entre instituciones",
                "Only codes of one list can be added up across institutions",
                "sql",
                name,
                f'"{name}" is not null and "{name}" not in ({values})',
                mend_es=about.get("mend_es", "Elija un valor de la lista."),
            )
        )
    return rules


# generated by us, not written by hand; values in columns `…_at_source` are
_OURS = re.compile(r"^(source|layer_name|reporting_institution)$|(^|_)(key|id|code|ubigeo|cui|kind|class)$")


def about_persons(contract: str, columns: Sequence[SchemaProperty]) -> list[Rule]:
    """That no text holds personal data.

    A text that held some gives a warning; a row whose own code held some is quarantined, since without it codes would
    be equal.
    """
    given = [
        str(c.name) for c in columns if c.physicalType == "varchar" and "code_list" not in custom(c.customProperties)
    ]
    codes = [name for name in given if name in {"source_record_id", "own_code"}]
    texts = [name for name in given if not _OURS.search(name)]
    reason = ("Había datos personales, que se retiraron", "There were personal data, which were taken out")
    why = (
        "Lo que se publica no nombra a personas ni dice cómo encontrarlas",
        "What is published names no person and tells no way to find one",
    )
    advice = "No escriba nombres, documentos de identidad, correos ni teléfonos de personas."
    kinds: list[tuple[Severity, str, list[str]]] = [
        ("warning", "texts hold no personal data", texts),
        ("critical", "code is no personal data", codes),
    ]
    found = []
    for severity, name, among in kinds:
        if among:
            marked = " or ".join(f"contains(\"{column}\", '{REMOVED}')" for column in among)
            found.append(
                Rule(
                    f"{contract}.table.{as_name(name)}",
                    name,
                    "row",
                    severity,
                    "conformity",
                    *reason,
                    *why,
                    "sql",
                    failing=marked,
                    mend_es=advice,
                )
            )
    return found


def from_quality(contract: str, quality: DataQuality, column: str | None, thresholds: Mapping[str, str]) -> Rule:
    """A rule from a quality entry of the contract. Raises ContractError where the entry cannot be compiled."""
    name = str(quality.name)
    about = custom(quality.customProperties)
    needed = {"reason_es", "why_es", "why_en"} - set(about)
    if quality.severity not in {"critical", "warning"} or quality.dimension not in DIMENSIONS or needed:
        raise ContractError(
            f"{contract}: rule {name!r} needs severity critical or warning, a dimension of {sorted(DIMENSIONS)}, reason_es,"
            " why_es and why_en"
        )
    metric = str(quality.metric) if quality.type == "library" else "sql"
    failing: str | None = None
    level: Level = "table" if about.get("level") == "table" else "row"
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
        failing = _condition(contract, name, _filled(contract, str(quality.query), {**thresholds, "object": "object"}))
    else:
        raise ContractError(f"{contract}: rule {name!r} uses the metric {metric!r}, which is not supported")

    def text(key: str) -> str:
        return _filled(contract, str(about.get(key, "")), thresholds)

    return Rule(
        f"{contract}.{column or 'table'}.{re.sub(r'[^a-z0-9]+', '_', name.lower())}",
        name,
        level,
        quality.severity,
        quality.dimension,
        text("reason_es"),
        _filled(contract, str(quality.description), thresholds),
        text("why_es"),
        text("why_en"),
        metric,
        column,
        failing,
        values,
        text("mend_es"),
    )


def _filled(contract: str, text: str, values: Mapping[str, str]) -> str:
    try:
        return Template(text).substitute(values)
    except (KeyError, ValueError) as error:
        raise ContractError(f"{contract}: no threshold {error} for {text!r}; a $ is written $$") from error


def _condition(contract: str, name: str, query: str) -> str:
    """The WHERE of `select count(*) from ${object} where ...`: what a failing row meets."""
    try:
        parsed = sqlglot.parse_one(query, dialect="duckdb")
    except sqlglot.ParseError as error:
        raise ContractError(f"{contract}: rule {name!r}: {error}") from error
    where = parsed.args.get("where")
    counts = isinstance(parsed, exp.Select) and [e.sql("duckdb").lower() for e in parsed.expressions] == ["count(*)"]
    if not counts or where is None:
        raise ContractError(f"{contract}: rule {name!r} must read: select count(*) from ${{object}} where ...")
    return str(where.this.sql(dialect="duckdb"))
