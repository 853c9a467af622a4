"""Row history: rows that a release no longer has are kept with their validity period, and macros return any past day.

Belongs here: the schema `history` of the published file. Does not: whole files of old releases (warehouse.py) or why a figure
moved (marts.changes_since_last_release).
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb

from dbt_like_sql.descriptions import Column, Description, Text
from dbt_like_sql.runner import load_models
from dbt_like_sql.tables import ensure

SUBJECTS = {  # table -> name of its macro, SQL that identifies a row
    "core.initiatives": ("initiatives", "t.initiative_id"),
    "core.areas": ("areas", "t.area_id"),
    "core.spending": ("spending", "t.spending_id || '|' || t.fiscal_year"),
    "marts.progress_to_targets": ("progress", "t.target_id || '|' || t.progress_year"),
}
VOLATILE_COLUMNS = {
    "snapshot_id",
    "source_row",
    "first_source_row",
    "layer_name",
    "turn",
    "data_as_of",
}  # may differ although nothing new was reported
_HELD = [
    Column(
        name="valid_from", type="timestamp", es="Publicación desde la que valió", en="Release it held from", unit="UTC"
    ),
    Column(
        name="valid_to",
        type="timestamp",
        es="Publicación desde la que ya no",
        en="Release it no longer held from",
        unit="UTC",
    ),
]
_VERSIONS = Description(
    description=Text(es="Desde cuándo vale cada fila de hoy", en="Since when each row of today holds"),
    grain="una fila publicada | a published row",
    made_by="engine",
    columns=[
        Column(name="table_name", type="varchar", es="Tabla", en="Table"),
        Column(name="row_key", type="varchar", es="Clave de la fila", en="Key of the row"),
        Column(name="row_hash", type="ubigint", es="Huella de lo que dice", en="Digest of what it says"),
        Column(
            name="valid_from",
            type="timestamp",
            es="Publicación desde la que vale",
            en="Release it holds from",
            unit="UTC",
        ),
    ],
)


def history_tables() -> dict[str, Description]:
    """Tables of the schema `history`, described from the tables they are the past of."""
    models = load_models()
    past = {}
    for table, (name, _) in SUBJECTS.items():
        about = models[table].about
        past[f"history.{name}"] = Description(
            description=Text(es=f"Filas de {table} que ya no valen", en=f"Rows of {table} that hold no more"),
            grain=about.grain,
            source=about.source,
            made_by="engine",
            columns=[*about.columns, *_HELD],
        )
    return past | {"history.row_versions": _VERSIONS}


def keep_history(con: duckdb.DuckDBPyConnection, base: Path | None, published_at: dt.datetime) -> None:
    """Close what this release changed, with the row as `base`, the release before, had it; open what is new."""
    moment = published_at.astimezone(dt.UTC).replace(tzinfo=None)
    for table, about in history_tables().items():
        ensure(con, table, about)
    if base:
        con.execute(f"attach '{base}' as before (read_only)")
    for table in SUBJECTS:
        _keep(con, table, moment, has_before=base is not None)
    if base:
        con.execute("detach before")
    _macros(con)


def _keep(con: duckdb.DuckDBPyConnection, table: str, moment: dt.datetime, *, has_before: bool) -> None:
    name, key = SUBJECTS[table]
    said = ", ".join(
        f't."{c.name}"' if "geometry" not in c.type else f'st_aswkb(t."{c.name}")'
        for c in load_models()[table].about.columns
        if c.name not in VOLATILE_COLUMNS
    )
    con.execute(
        f"create or replace temp table said_now as select {key} as row_key, hash({said}) as row_hash from {table} as t"
    )
    con.execute(
        "create or replace temp table ended as select v.row_key, v.valid_from from history.row_versions as v"
        " where v.table_name = ? and not exists (from said_now n where n.row_key = v.row_key and n.row_hash = v.row_hash)",
        [table],
    )
    if has_before and con.execute("select 1 from ended limit 1").fetchone():  # a file of before history ends nothing
        con.execute(
            f"insert into history.{name} by name select t.*, e.valid_from, ?::timestamp as valid_to"
            f" from before.{table} as t inner join ended as e on e.row_key = {key}",
            [moment],
        )
    con.execute(
        "delete from history.row_versions as v where v.table_name = ? and v.row_key in (select row_key from ended)",
        [table],
    )
    con.execute(
        "insert into history.row_versions select ? as table_name, n.row_key, n.row_hash, ?::timestamp as valid_from from said_now as n"
        " where n.row_key not in (select v.row_key from history.row_versions as v where v.table_name = ?) order by n.row_key",
        [table, moment, table],
    )
    con.execute("drop table said_now")
    con.execute("drop table ended")


def _macros(con: duckdb.DuckDBPyConnection) -> None:
    """`initiatives_as_of('2026-10-01')`: as published at the end of that day in Lima, which is five hours behind UTC all year."""
    for table, (name, key) in SUBJECTS.items():
        columns = ", ".join(f't."{c.name}"' for c in load_models()[table].about.columns)
        con.execute(
            f"""
            create or replace macro main.{name}_as_of(day) as table
            select {columns} from {table} as t
            inner join history.row_versions as v on v.table_name = '{table}' and v.row_key = {key}
            where v.valid_from < day::date::timestamp + interval 29 hours
            union all
            select {columns} from history.{name} as t
            where t.valid_from < day::date::timestamp + interval 29 hours and t.valid_to >= day::date::timestamp + interval 29 hours
            """
        )
