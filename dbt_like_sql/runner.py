"""Runs models: a .sql file with a .yml beside it, or a .yml alone where code gives the SELECT, becomes one table.

Belongs here: reading models and their dependencies from the SQL itself, and building one table.
Does not: what a model means, when it runs, whether its rows are good; column lineage (lineage.py). No templates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp

from dbt_like_sql.descriptions import FOLDER, LAYERS, Description, descriptions
from dbt_like_sql.tables import comment
from expectations.contracts import read_contract

COUNTS = {"quality.rule_counts", "quality.dimension_counts"}  # filled when a contract on deliveries is enforced
INPUTS = ("raw", "seeds", "previous")  # what a model may read that no model builds; previous is the previous release
# tables that change every night and cause no new release
NIGHT_TABLES = frozenset({"quality.source_status", "quality.source_shape", "quality.scorecard"})


class ModelError(Exception):
    """A model that cannot be read or does not give what its .yml says."""


@dataclass(frozen=True)
class Model:
    """One table of the warehouse. A step builds it from its SQL, or from what its .yml says it reads."""

    layer: str
    name: str
    sql: str
    about: Description

    @property
    def is_step(self) -> bool:
        """Whether code builds it."""
        return self.about.made_by == "step"

    @property
    def table(self) -> str:
        """Qualified name, `layer.name`."""
        return f"{self.layer}.{self.name}"

    @cached_property
    def query(self) -> exp.Query:
        """The parsed SELECT."""
        try:
            parsed = sqlglot.parse_one(self.sql, dialect="duckdb")
        except sqlglot.ParseError as error:
            raise ModelError(f"{self.table}: the SQL cannot be read: {error}") from error
        if not isinstance(parsed, exp.Query):
            raise ModelError(f"{self.table}: a model is one SELECT")
        return parsed

    @cached_property
    def reads(self) -> frozenset[str]:
        """Qualified names of every table the SQL reads; common table expressions are not among them."""
        if not self.sql:
            return frozenset(self.about.reads)
        tables = {f"{t.db}.{t.name}" for t in self.query.find_all(exp.Table) if t.db}
        if strange := {t for t in tables if t.split(".")[0] not in (*LAYERS, *INPUTS, "accepted")}:
            raise ModelError(f"{self.table}: reads {sorted(strange)}, which no layer holds")
        return frozenset(tables)

    @cached_property
    def needs(self) -> set[str]:
        """What it or a rule of its contract reads; `accepted.x` is `staging.x` without its quarantined rows."""
        compared = read_contract(self.about.contract).reads if self.about.contract else frozenset()
        return {t.replace("accepted.", "staging.", 1) for t in self.reads | compared} - {self.table}

    @property
    def depends_on(self) -> set[str]:
        """Models that have to be built before it."""
        return {t for t in self.needs if t.split(".")[0] not in INPUTS}

    @property
    def is_counted(self) -> bool:
        """Whether its contract counts in a scorecard: it holds deliveries."""
        return bool(self.about.contract) and read_contract(str(self.about.contract)).judges_deliveries

    @property
    def reads_counts(self) -> bool:
        """Whether it reads the counts of the contracts, and so is built after every table that is counted."""
        return bool(self.reads & COUNTS)

    @property
    def reads_previous(self) -> bool:
        """Whether it compares with the previous release, and so is built after all tables of a release."""
        return any(table.startswith("previous.") for table in self.reads)

    @property
    def inputs(self) -> set[str]:
        """Raw tables, seeds and tables of the previous release that have to be readable."""
        return {t for t in self.needs if t.split(".")[0] in INPUTS}

    @property
    def variables(self) -> set[str]:
        """Session variables the SQL reads."""
        if not self.sql:
            return set()
        return {
            str(f.expressions[0].this) for f in self.query.find_all(exp.Anonymous) if f.name.lower() == "getvariable"
        }

    def fingerprint(self, upstream: Mapping[str, str]) -> str:
        """Changes when the SQL, the described columns or anything upstream (by name) changes."""
        content = [self.sql, self.about.model_dump_json(), json.dumps(dict(sorted(upstream.items())))]
        return hashlib.sha256("\0".join(content).encode()).hexdigest()[:16]


@cache
def load_models(folder: Path = FOLDER) -> dict[str, Model]:
    """All models by qualified name, in an order in which they can be built.

    Raises ModelError for a .sql without .yml, an unknown table or a cycle.
    """
    models: dict[str, Model] = {}
    for table, about in descriptions(folder).items():
        layer, name = table.split(".")
        path = folder / layer / f"{name}.sql"
        if about.made_by == "step":
            models[table] = Model(layer, name, path.read_text(encoding="utf-8") if path.exists() else "", about)
        elif about.made_by == "sql":
            if not path.exists():
                raise ModelError(f"{name}.yml describes a model, but {path.name} is missing")
            models[table] = Model(layer, name, path.read_text(encoding="utf-8"), about)
    for layer in LAYERS:
        if lonely := [p.name for p in (folder / layer).glob("*.sql") if not p.with_suffix(".yml").exists()]:
            raise ModelError(f"{layer}: {lonely} have no .yml beside them")
    engine = engine_tables(folder)
    graph = {table: sorted(upstream(model, models) - set(engine)) for table, model in sorted(models.items())}
    if unknown := {f"{t} reads {d}" for t, deps in graph.items() for d in deps if d not in models}:
        raise ModelError(f"unknown tables: {sorted(unknown)}")
    return {table: models[table] for table in TopologicalSorter(graph).static_order()}


def upstream(model: Model, models: Mapping[str, Model]) -> set[str]:
    """Tables that have to be built before a model.

    What it reads, every table whose contract is counted if it reads those counts, every table of the release if it compares
    releases.
    """
    judged = {t for t, m in models.items() if m.is_counted} if model.reads_counts else set()
    compared = release_tables(models) if model.reads_previous else set()
    return (model.depends_on | judged | compared) - {model.table}


def release_tables(models: Mapping[str, Model]) -> set[str]:
    """Models whose change causes a new release: not those of every night, nor those that compare two releases."""
    return {t for t, m in models.items() if t not in NIGHT_TABLES and not m.reads_previous}


def engine_tables(folder: Path = FOLDER) -> dict[str, Description]:
    """Tables that the engine fills (checks, quarantine, releases), by qualified name."""
    return {table: about for table, about in descriptions(folder).items() if about.made_by == "engine"}


def build(con: duckdb.DuckDBPyConnection, model: Model, select: str | None = None) -> int:
    """Build the table of a model from its SELECT, typed, ordered and commented as its .yml says; returns its rows.

    Raises ModelError when the SELECT does not give exactly the described columns.
    """
    select = select or model.sql
    try:
        given = [row[0] for row in con.execute(f"describe {select}").fetchall()]
        described = [c.name for c in model.about.columns]
        if set(given) != set(described):
            missing, extra = sorted(set(described) - set(given)), sorted(set(given) - set(described))
            raise ModelError(
                f"{model.table}: the SQL lacks {missing} and has undescribed {extra}; correct {model.name}.yml"
            )
        typed = ",\n  ".join(f'cast("{c.name}" as {c.type}) as "{c.name}"' for c in model.about.columns)
        con.execute(f"create schema if not exists {model.layer}")
        con.execute(f"create or replace table {model.table} as select\n  {typed}\nfrom (\n{select}\n)")
    except duckdb.Error as error:
        raise ModelError(f"{model.table}: {error}") from error
    comment(con, model.table, model.about)
    row = con.execute(f"select count(*) from {model.table}").fetchone()
    return int(row[0]) if row else 0
