"""Tables as their descriptions say: created if missing, completed if an earlier version created them, commented.

Belongs here: columns and comments. Does not: rows (runner.py writes those of models, the engine its own).
"""

from __future__ import annotations

import duckdb

from dbt_like_sql.descriptions import Description


def ensure(con: duckdb.DuckDBPyConnection, table: str, about: Description) -> None:
    """Create the table of a description that no model builds, or add the columns that an earlier version lacks."""
    layer, name = table.split(".")
    there = {
        row[0]
        for row in con.execute(
            "select column_name from duckdb_columns()"
            " where database_name = current_database() and schema_name = ? and table_name = ?",
            [layer, name],
        ).fetchall()
    }
    lacking = [c for c in about.columns if c.name not in there]
    if not there:
        con.execute(f"create schema if not exists {layer}")
        con.execute(f"create table {table} ({', '.join(f'{c.name} {c.type}' for c in about.columns)})")
    else:
        for column in lacking:
            con.execute(f"alter table {table} add column {column.name} {column.type}")
    if lacking:
        comment(con, table, about)


def comment(con: duckdb.DuckDBPyConnection, table: str, about: Description) -> None:
    """Write the descriptions into the file as comments."""

    def quoted(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    comments = [f"comment on table {table} is {quoted(f'{about.description.es} | {about.description.en}')}"]
    comments += [f'comment on column {table}."{c.name}" is {quoted(c.comment)}' for c in about.columns]
    con.execute(";\n".join(["begin", *comments, "commit"]))  # alone each waits for the disk: 2.7 s a thousand, 0.5 s so
