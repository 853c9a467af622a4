"""Which column is derived from which, read from the SQL itself.

Belongs here: column lineage of one model. Does not: dependencies between models (runner.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from dbt_like_sql.runner import Model


def column_lineage(model: Model, columns_of: Mapping[str, list[str]]) -> dict[str, list[tuple[str, str]]]:
    """For each column the (table, column) pairs it is derived from.

    `columns_of` gives the columns of every table the model may read. A column derived from no other has none.
    """
    read = tuple((table, tuple(columns_of.get(table, []))) for table in sorted(model.reads))
    return _lineage(model.sql, read, tuple(column.name for column in model.about.columns))


@lru_cache(maxsize=256)  # 20 ms a model, and a process that builds twice needs the same again
def _lineage(
    sql: str, read: tuple[tuple[str, tuple[str, ...]], ...], columns: tuple[str, ...]
) -> dict[str, list[tuple[str, str]]]:
    schema: dict[str, Any] = {}
    for table, its_columns in read:
        layer, name = table.split(".")
        schema.setdefault(layer, {})[name] = dict.fromkeys(its_columns, "varchar")
    parsed = parse_one(sql, dialect="duckdb")
    query = qualify(parsed, schema=schema, dialect="duckdb", validate_qualify_columns=False, identify=False)
    nodes = lineage(None, query, schema, scope=build_scope(query), dialect="duckdb", trim_selects=False, copy=False)
    found: dict[str, list[tuple[str, str]]] = {}
    for column in columns:
        pairs = set()
        for leaf in nodes[column].walk():
            if isinstance(leaf.expression, exp.Table) and leaf.expression.db:
                pairs.add((f"{leaf.expression.db}.{leaf.expression.name}", leaf.name.split(".")[-1].strip('"')))
        found[column] = sorted(pairs)
    return found
