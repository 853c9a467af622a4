"""A release rebuilt from its snapshots, with no network, and compared with the file that was published then.

Belongs here: building as of a moment and comparing two files. Does not: the command (pipelines/cli/replay.py).
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from resources.errors import RestorationError
from resources.http import Http
from resources.lake import Lake
from resources.snapshots import SnapshotStore
from resources.warehouse import WarehouseFiles, connect
from restoration.build.publish import publish
from restoration.build.session import BuildSession
from restoration.sources.extraction import Extraction
from restoration.sources.register import SourceLayer

COMPARED = ("staging", "core", "marts", "quality")


class NoSuchRelease(RestorationError):
    """A release that the published file does not know."""

    def __init__(self, release_id: str, known: list[str]) -> None:
        self.release_id, self.known = release_id, known
        super().__init__(f"no release {release_id!r}; the published file knows {known}")


@dataclass(frozen=True)
class Moment:
    """A release: its name, its data date, and the last time its snapshots were checked."""

    release_id: str
    as_of: dt.date
    verified_at: dt.datetime


@dataclass(frozen=True)
class Replayed:
    """The rebuilt file, and rows by table that differ from the kept release (None where it is not kept any more)."""

    path: Path
    release_id: str
    differing_rows: dict[str, int] | None


def replay(data_dir: Path, files: WarehouseFiles, layers: Mapping[str, SourceLayer], release_id: str) -> Replayed:
    """Rebuild a release below `<data>/replays/<release>`. Raises NoSuchRelease or CorruptSnapshot.

    The previous release is rebuilt first: the changes since then are part of a release.
    """
    moments = _moments(files)
    names = [m.release_id for m in moments]
    if release_id not in names:
        raise NoSuchRelease(release_id, names)
    folder = data_dir / "replays" / release_id
    shutil.rmtree(folder, ignore_errors=True)
    created = WarehouseFiles(folder)
    place = names.index(release_id)
    release = None
    for moment in moments[max(0, place - 1) : place + 1]:
        release = _build(data_dir, created, layers, moment, files.published)
    kept = files.releases / f"{release_id}.duckdb"
    return Replayed(created.published, str(release), differences(created.published, kept) if kept.exists() else None)


def _moments(files: WarehouseFiles) -> list[Moment]:
    """Every release that the published file remembers, oldest first."""
    with duckdb.connect(str(files.published), read_only=True) as con:
        rows = con.execute("select release_id, as_of, verified_at from meta.releases order by published_at").fetchall()
    return [Moment(*row) for row in rows]


def _build(
    data_dir: Path, created: WarehouseFiles, layers: Mapping[str, SourceLayer], moment: Moment, history: Path
) -> str:
    store = SnapshotStore(data_dir / "snapshots", until=moment.verified_at.astimezone(dt.UTC).isoformat())
    lake = Lake(data_dir / "lake")
    extraction = Extraction(Http(), store, lake)  # restores raw from stored bodies; no network
    for layer in layers.values():
        for partition in store.partitions(layer.source) if layer.is_partitioned else [None]:
            last_good = store.current(layer.source, partition)
            if last_good:
                extraction.restore(layer, partition, last_good)
    session = BuildSession(created, store, lake, layers, f"replay-{moment.release_id}", moment.as_of)
    try:
        if session.base is None:
            _remember(session.con, history, moment.as_of)
        for table in session.models:
            session.build(table)
        return publish(session).release_id
    finally:
        session.close()


def _remember(con: duckdb.DuckDBPyConnection, history: Path, as_of: dt.date) -> None:
    """Histories of quarantine, ids and decisions before a day: they are in the published file, not in snapshots."""
    con.execute(f"attach '{history}' as book (read_only)")
    con.execute(
        "insert into quality.quarantine_history by name select * replace ("
        " if(h.closed_on >= $as_of, null, h.closed_on) as closed_on, if(h.closed_on >= $as_of, null, h.closed_how) as closed_how"
        ") from book.quality.quarantine_history as h where h.opened_on < $as_of",
        {"as_of": as_of},
    )
    con.execute("create schema if not exists core")
    con.execute(
        "create or replace table core.initiative_ids as select * replace (if(i.until >= $as_of, null, i.until) as until,"
        " if(i.until >= $as_of, null, i.went_by) as went_by) from book.core.initiative_ids as i where i.since < $as_of",
        {"as_of": as_of},
    )
    con.execute(
        "insert into core.link_decisions by name from book.core.link_decisions as d where d.decided_on <= ?", [as_of]
    )
    con.execute("detach book")


def differences(one: Path, other: Path) -> dict[str, int]:
    """Rows by table that only one of two files has; tables that are equal are not named."""
    con = connect()
    try:
        for name, path in (("one", one), ("other", other)):
            con.execute(f"attach '{path}' as {name} (read_only)")
        tables = con.execute(
            "select distinct schema_name, table_name from duckdb_tables()"
            f" where database_name in ('one', 'other') and schema_name in {COMPARED} order by all"
        ).fetchall()
        found = {f"{schema}.{table}": _differing(con, schema, table) for schema, table in tables}
    finally:
        con.close()
    return {table: rows for table, rows in found.items() if rows}


def _differing(con: duckdb.DuckDBPyConnection, schema: str, table: str) -> int:
    def side(catalog: str) -> str | None:
        columns = con.execute(
            "select column_name, data_type from duckdb_columns()"
            " where database_name = ? and schema_name = ? and table_name = ? order by column_name",
            [catalog, schema, table],
        ).fetchall()
        if not columns:
            return None
        shown = ", ".join(f'st_aswkb("{c}")' if t.startswith("GEOMETRY") else f'"{c}"' for c, t in columns)
        return f"select {shown} from {catalog}.{schema}.{table}"

    here, there = side("one"), side("other")
    if here is None or there is None:
        return 1
    try:
        row = con.execute(
            f"select (select count(*) from ({here} except all {there})) + (select count(*) from ({there} except all {here}))"
        ).fetchone()
    except duckdb.BinderException:  # columns differ
        return 1
    return int(row[0]) if row else 0
