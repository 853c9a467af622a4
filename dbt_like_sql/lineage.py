"""Which column is made from which, read from the SQL itself.

Belongs here: column lineage of one model. Does not: dependencies between models (runner.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlglot import exp
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from dbt_like_sql.runner import Model


def column_lineage(model: Model, columns_of: Mapping[str, list[str]]) -> dict[str, list[tuple[str, str]]]:
    """For each column the (table, column) pairs it is made from.

    `columns_of` gives the columns of every table the model may read. A column made from no other has none.
    """
    schema: dict[str, Any] = {}
    for table in model.reads:
        layer, name = table.split(".")
        schema.setdefault(layer, {})[name] = dict.fromkeys(columns_of.get(table, []), "varchar")
    query = qualify(model.query.copy(), schema=schema, dialect="duckdb", validate_qualify_columns=False, identify=False)
    nodes = lineage(None, query, schema, scope=build_scope(query), dialect="duckdb", trim_selects=False, copy=False)
    found: dict[str, list[tuple[str, str]]] = {}
    for column in model.about.columns:
        pairs = set()
        for leaf in nodes[column.name].walk():
            if isinstance(leaf.expression, exp.Table) and leaf.expression.db:
                pairs.add((f"{leaf.expression.db}.{leaf.expression.name}", leaf.name.split(".")[-1].strip('"')))
        found[column.name] = sorted(pairs)
    return found
