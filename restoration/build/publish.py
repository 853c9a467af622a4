"""Write, audit, publish: a build becomes the file everybody reads, or nothing changes.

Belongs here: the gate, the release's own tables, the swap. Does not: checks (expectations) or file handling (warehouse).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from dbt_like_sql.descriptions import FOLDER
from dbt_like_sql.runner import engine_tables
from resources.errors import PublishRefused
from restoration.build.history import history_tables, keep_history
from restoration.build.session import BuildSession

JOINS = FOLDER / "published_macros.sql"
VIEWS = ("initiatives", "areas", "spending")


@dataclass(frozen=True)
class Release:
    """A published release. `is_new` is false where nothing but the time of checking changed."""

    release_id: str
    path: Path
    is_new: bool
    is_sandbox: bool
    stale_sources: list[str]


def publish(session: BuildSession) -> Release:
    """Bring every table up to date, whatever the run was asked for, and replace the published file with the build.

    Raises PublishRefused while a blocking check fails, NoSnapshot where an essential source was never read; the published file
    is then as it was, byte for byte.
    """
    session.bring_up_to_date()
    if failures := session.blocking_failures():
        raise PublishRefused("blocking checks fail, the published file stays as it is: " + "; ".join(failures))
    con = session.con
    _write_columns(session)
    for view in VIEWS:
        con.execute(f"create or replace view main.{view} as select * from core.{view}")
        con.execute(f"comment on view main.{view} is 'Vista de core.{view} | View of core.{view}'")
    con.execute(JOINS.read_text(encoding="utf-8"))
    release = _write_release(session)
    people = session.decisions.files(con) if session.decisions else {}
    con.execute("drop schema if exists checks")
    con.execute("checkpoint")
    con.close()
    _audit(session.path)
    session.files.publish(session.path, release.release_id, session.base)
    if session.decisions:
        session.decisions.write(people)
    return release


def _exists(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    found = con.execute(
        "select 1 from duckdb_tables() where database_name = current_database() and schema_name || '.' || table_name = ?",
        [table],
    ).fetchone()
    return found is not None


def _write_columns(session: BuildSession) -> None:
    """The data dictionary, from the descriptions that comments and types come from."""
    described = {t: m.about for t, m in session.models.items()} | engine_tables() | history_tables()
    rows = [
        (
            table,
            c.name,
            place,
            c.type,
            c.unit,
            c.es,
            c.en,
            about.description.es,
            about.description.en,
            about.grain,
            about.source,
            c.references,
        )
        for table, about in sorted(described.items())
        for place, c in enumerate(about.columns, start=1)
    ]
    names = [c.name for c in described["meta.columns"].columns]
    session.con.register(
        "described", pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None).to_arrow()
    )
    session.con.execute("delete from meta.columns")
    session.con.execute("insert into meta.columns by name from described")
    session.con.unregister("described")


def _write_release(session: BuildSession) -> Release:
    con, fingerprint = session.con, session.release_fingerprint()
    sandbox, snapshots, stale, since = con.execute(
        "select coalesce(bool_or(is_sandbox), false), count(snapshot_id),"
        " coalesce(list(distinct source order by source) filter (where is_stale), []),"
        " coalesce(list(source || coalesce(' ' || partition, '') || ': '"
        " || coalesce('since ' || strftime(last_good_at, '%Y-%m-%d %H:%M UTC'), 'never read') order by source, partition)"
        " filter (where is_stale), []) from quality.source_status"
    ).fetchone() or (False, 0, [], [])
    last = con.execute(
        "select release_id, fingerprint, greatest(published_at, verified_at) from meta.releases order by published_at desc limit 1"
    ).fetchone()
    now = dt.datetime.now(dt.UTC)
    if last and last[2] and now <= last[2]:  # a clock that went back must not reverse the order of releases
        now = last[2] + dt.timedelta(milliseconds=1)
    if last and last[1] == fingerprint:
        if not _exists(con, "history.row_versions"):  # a file of a version before history
            keep_history(con, session.files.published if session.base else None, now)
        con.execute(
            "update meta.releases set verified_at = ?, stale_sources = ?, stale_since = ? where release_id = ?",
            [now, stale, since, last[0]],
        )
        return Release(
            str(last[0]), session.files.published, is_new=False, is_sandbox=bool(sandbox), stale_sources=list(stale)
        )
    release_id = f"{session.as_of:%Y-%m-%d}-{fingerprint[:8]}"
    con.execute("delete from meta.releases where release_id = ?", [release_id])  # back to an earlier state on one day
    con.execute(
        "insert into meta.releases by name select ? as release_id, ? as published_at, ? as verified_at, ? as is_sandbox,"
        " ? as as_of, ? as fingerprint, ? as snapshot_count, ? as stale_sources, ? as stale_since",
        [release_id, now, now, bool(sandbox), session.as_of, fingerprint, snapshots, stale, since],
    )
    keep_history(con, session.files.published if session.base else None, now)
    return Release(
        release_id, session.files.published, is_new=True, is_sandbox=bool(sandbox), stale_sources=list(stale)
    )


def _audit(path: Path) -> None:
    """The closed file opens without any extension and answers the three names everyone looks for."""
    with duckdb.connect(str(path), read_only=True) as con:
        for view in VIEWS:
            row = con.execute(f"select count(*) from main.{view}").fetchone()
            if not row or row[0] == 0:
                raise PublishRefused(f"{view} would be empty; the published file stays as it is")
