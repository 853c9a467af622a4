"""What must hold after every night, whatever happened at the sources. Tests, `make nights` and the benchmark share it.

Belongs here: promises judged against a truth computed another way: the hidden truth, shapely, the bytes of the standing snapshots,
a build from nothing, the files of the releases before. Does not: running nights (night.py), figures and reasons that moved (moved.py).
"""

from __future__ import annotations

import io
import json
import os
import runpy
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import shapely
import time_machine
from pyproj import Transformer

from dbt_like_sql.runner import load_models
from expectations.contracts import read_contract
from resources.lake import Lake
from resources.snapshots import SnapshotStore
from resources.warehouse import KEPT_RELEASES, WarehouseFiles
from restoration.build.history import SUBJECTS, VOLATILE_COLUMNS
from restoration.build.publish import publish
from restoration.build.replay import differences
from restoration.build.session import BuildSession
from restoration.exports.release import EXPORTS, MANIFEST, REPORT
from restoration.linkage.decisions import DecisionStore
from restoration.quality_site.pages import LATEST
from sandbox.days.calendar import date_of, night_of
from tests.nights.moved import changes_are_reported
from tests.nights.night import Night, initiative_keys

ROOT = Path(__file__).parents[2]
Promise = Callable[[Night, "Memory"], Iterator[str]]


@dataclass
class Memory:
    """What the nights before leave for the promises of those that come."""

    published_on: dict[int, dict[str, tuple]] = field(default_factory=dict)  # day -> subject -> digest of its rows
    initiative_of: dict[str, str] = field(default_factory=dict)  # record -> id
    truth_of: dict[str, str] = field(default_factory=dict)  # record -> true initiative
    open_entries: set[tuple] = field(default_factory=set)
    stale: dict[tuple[str, str | None], bool] = field(default_factory=dict)
    last_good: dict[tuple[str, str | None], int] = field(default_factory=dict)  # source, partition -> day
    stored_bytes: int = 0
    reported_changes: list[tuple] = field(default_factory=list)


def broken_promises(night: Night, memory: Memory) -> list[str]:
    """Every promise that does not hold after a night; the memory goes on to the next."""
    if not night.is_published:
        return [f"day {night.day}: nothing was published: {night.errors}"]
    broken = [f"a step failed: {night.errors}"] if night.errors else []
    for promise in PROMISES:
        broken += [f"{promise.__name__}: {reported}" for reported in promise(night, memory)]
    return [f"day {night.day}: {reported}" for reported in broken]


# -- the file ------------------------------------------------------------------------------------------


def the_file_is_one_complete_release(night: Night, memory: Memory) -> Iterator[str]:
    """It opens without extensions, is byte for byte what was published, and holds every table."""
    if damage := night.files.damage(night.published):
        yield damage
    there = {f"{s}.{t}" for s, t in night.rows("select schema_name, table_name from duckdb_tables()")}
    if missing := sorted(set(load_models()) - there):
        yield f"tables are missing: {missing}"
    as_of, verified = night.rows("select as_of, verified_at from meta.releases order by published_at desc limit 1")[0]
    if verified.date() != date_of(night.day):
        yield f"verified on {verified:%Y-%m-%d}, the night is of {date_of(night.day)}"
    if night.is_new and as_of != date_of(night.day):
        yield f"the release is of {as_of}"


def a_build_from_nothing_is_the_same(night: Night, memory: Memory) -> Iterator[str]:
    """Every model, in all columns, as if no table of the night before had been there to be reused."""
    folder = night.data_dir.parent / "again"
    shutil.rmtree(folder, ignore_errors=True)
    files, linkage = WarehouseFiles(folder / "warehouse"), folder / "linkage"
    if night.before:
        shutil.copytree(night.before / "warehouse", files.folder, copy_function=os.link)
        if (night.before / "linkage").exists():
            shutil.copytree(night.before / "linkage", linkage)
    with time_machine.travel(night_of(night.day), tick=True):
        store, lake = SnapshotStore(night.data_dir / "snapshots"), Lake(night.data_dir / "lake")
        session = BuildSession(files, store, lake, night.layers, "again", date_of(night.day), DecisionStore(linkage))
        try:
            session.con.execute("delete from meta.model_states")
            publish(session)
        finally:
            session.close()
    for table, rows in differences(night.published, files.published).items():
        yield f"{table} differs in {rows} rows"
    shutil.rmtree(folder)


def every_earlier_day_is_given_back(night: Night, memory: Memory) -> Iterator[str]:
    """`<subject>_as_of(day)` is what was published on that day."""
    with duckdb.connect(str(night.published), read_only=True) as con:
        for day, then in memory.published_on.items():
            for table, (name, _) in SUBJECTS.items():
                if _digest(con, table, f"{name}_as_of('{date_of(day)}')") != then[table]:
                    yield f"{name}_as_of('{date_of(day)}') is not what was published then"
        memory.published_on[night.day] = {table: _digest(con, table, table) for table in SUBJECTS}


def _digest(con: duckdb.DuckDBPyConnection, table: str, rows: str) -> tuple:
    columns = [c for c in load_models()[table].about.columns if c.name not in VOLATILE_COLUMNS]
    said = ", ".join(f'st_aswkb("{c.name}")' if "geometry" in c.type else f'"{c.name}"' for c in columns)
    return (
        con.execute(f"select count(*), bit_xor(hash({said})), sum(hash({said})::hugeint) from {rows}").fetchone() or ()
    )


# -- hectares and soles --------------------------------------------------------------------------------


def net_hectares_are_the_union(night: Night, memory: Memory) -> Iterator[str]:
    """Against shapely and pyproj."""
    rows = night.rows(
        "select st_aswkb(geometry), net_ha from core.areas where geometry_kind = 'polygon' and not is_witness"
    )
    forth = Transformer.from_crs(4326, 6933, always_xy=True)
    shapes = shapely.from_wkb([bytes(shape) for shape, _ in rows])
    flat = shapely.transform(shapes, lambda x, y: forth.transform(x, y), interleaved=False)
    union, net = float(shapely.union_all(flat).area / 10_000), sum(ha for _, ha in rows)
    if abs(union - net) > 1e-5:
        yield f"net {net:.6f} ha, union {union:.6f} ha"


def every_sol_is_linked_or_unlinked_once(night: Night, memory: Memory) -> Iterator[str]:
    """What is tied to initiatives and what is not add up to what was spent, to the cent."""
    for year, programme, spent, linked, unlinked in night.rows(
        """
        select s.fiscal_year, s.programme_code, s.accrued, coalesce(l.accrued, 0), u.unlinked
        from (select fiscal_year, programme_code, sum(accrued_pen) as accrued from core.spending group by all) as s
        left join (select fiscal_year, programme_code, sum(accrued_pen) as accrued from core.initiative_spending group by all) as l
            using (fiscal_year, programme_code)
        left join (select fiscal_year, programme_code, sum(unlinked_pen) as unlinked from marts.spending_linkage group by all) as u
            using (fiscal_year, programme_code)
        """
    ):
        if unlinked is None or spent != linked + unlinked:
            yield f"{programme} {year}: spent {spent}, linked {linked}, unlinked {unlinked}"


def programme_totals_are_those_of_the_file(night: Night, memory: Memory) -> Iterator[str]:
    """Our sums equal those of the stored bytes read by Polars, and the official totals of files of the same night."""
    store, source = SnapshotStore(night.data_dir / "snapshots"), "mef.budget_execution"
    ours = {
        (y, p): (pim, accrued)
        for y, p, pim, accrued in night.rows(
            "select fiscal_year, programme_code, sum(modified_pen), sum(accrued_pen) from core.spending group by all"
        )
    }
    read: dict[int, str] = {}
    for year in store.partitions(source):
        manifest = store.current(source, year)
        if manifest is None:
            continue
        read[int(year)] = manifest.fetched_at[:10]
        lines = pl.read_csv(io.BytesIO(store.read(manifest.parts[0])), infer_schema=False)
        for code in ("0068", "0072", "0089", "0121", "0130", "0144"):
            mine = lines.filter(pl.col("PROGRAMA_PPTO") == code)
            truth = tuple(sum(map(Decimal, mine[c])) for c in ("MONTO_PIM", "MONTO_DEVENGADO_ANUAL"))
            if ours.get((int(year), code)) != truth:
                yield f"{code} {year}: ours {ours.get((int(year), code))}, the file {truth}"
    for scope, witness in (("consulta_amigable", "mef.consulta_amigable"), ("long_file", "mef.monthly_execution")):
        unequal = night.rows(
            "select distinct fiscal_year from quality.reconciliation where scope = ? and status != 'equal'", scope
        )
        for (year,) in unequal:
            other = store.current(witness, str(year))
            if other and other.fetched_at[:10] == read.get(year):
                yield f"{scope} {year} differs although both files were read on {read[year]}"


# -- names and reasons ---------------------------------------------------------------------------------


def ids_persist_unless_the_truth_moved(night: Night, memory: Memory) -> Iterator[str]:
    """A record changes its initiative only to be with records of the same true initiative, or to leave those of another."""
    now = dict(night.rows("select record_key, initiative_id from core.initiative_sources"))
    truth = initiative_keys(night.world)
    for record, before in memory.initiative_of.items():
        after = now.get(record)
        if after is None or after == before or record not in truth:
            continue
        joined = {truth[r] for r, i in now.items() if i == after and r != record and r in truth}
        left = {
            memory.truth_of[r]
            for r, i in memory.initiative_of.items()
            if i == before and r != record and r in memory.truth_of
        }
        if truth[record] not in joined and left <= {truth[record]}:
            yield f"{record} went from {before} to {after} although nothing that is true moved"
    memory.initiative_of, memory.truth_of = now, truth


def what_moved_is_reported_and_nothing_else(night: Night, memory: Memory) -> Iterator[str]:
    """`marts.changes_since_last_release` beside the two files."""
    reported = sorted(night.rows("select * from marts.changes_since_last_release"), key=repr)
    if night.is_new:
        yield from changes_are_reported(night)
    elif reported != memory.reported_changes:
        yield "the release is the same, but other changes are reported"
    memory.reported_changes = reported


# -- quality -------------------------------------------------------------------------------------------


def quarantine_entries_open_and_close_with_their_causes(night: Night, memory: Memory) -> Iterator[str]:
    """What is held has an open entry, what is not has none; a row that is gone was withdrawn, one that is there was corrected."""
    key = "table_name, rule_id, entry_key"
    held = set(night.rows(f"select distinct {key} from quality.quarantine"))
    still_open = set(night.rows(f"select {key} from quality.quarantine_history where closed_on is null"))
    for entry in sorted(held ^ still_open):
        yield f"{entry} is {'held without an open entry' if entry in held else 'open although nothing is held'}"
    closed = {
        tuple(r[:3]): r[3]
        for r in night.rows(
            f"select {key}, arg_max(closed_how, closed_on) from quality.quarantine_history where closed_on = ? group by all",
            date_of(night.day),
        )
    }
    for table, rule, entry in sorted(memory.open_entries - still_open):
        contract = read_contract(load_models()[table].about.contract or "")
        there = night.rows(f"select 1 from {table} where coalesce({contract.identity}, '') = ? limit 1", entry)
        expected = {"mended"} if there else {"withdrawn"}
        if (how := closed.get((table, rule, entry))) not in expected:
            yield f"{(table, rule, entry)} closed as {how}, expected {sorted(expected)}"
    memory.open_entries = still_open


def stale_sources_are_named_with_the_right_day(night: Night, memory: Memory) -> Iterator[str]:
    """A source is stale if its server was bad when it was asked; its last good day is that of the last night it answered."""
    moved = set(
        night.world.about.get("renamed_fields", {})
    ) and "serfor.restoration_areas" not in night.world.about.get("register", {})
    for source, partition, url, is_stale, last_good in night.rows(
        "select source, partition, url, is_stale, last_good_at from quality.source_status where source not like 'submissions%'"
    ):
        key, path = (source, partition), "/".join(url.split("?")[0].split("/")[3:])
        was_asked = any(path in request for request in night.requests)
        if was_asked:
            fails = any(path in request for request in night.spoiled)
            fails |= bool(moved) and source == "serfor.restoration_areas"
            fails |= (
                source.startswith("mef.") and partition is not None and not _is_published(night, source, int(partition))
            )
            memory.stale[key] = fails
            if not fails:
                memory.last_good[key] = night.day
        if is_stale != memory.stale.get(key, False):
            yield f"{source} {partition or ''} is{'' if is_stale else ' not'} stale (asked {was_asked}, spoiled {night.spoiled[:3]})"
        good = memory.last_good.get(key)
        if (last_good.date() if last_good else None) != (date_of(good) if good is not None else None):
            yield f"{source} {partition or ''}: last good {last_good}, it answered on {date_of(good) if good is not None else None}"


def _is_published(night: Night, source: str, year: int) -> bool:
    """Whether MEF has the year's file by now."""
    name = {
        "mef.budget_execution": "{}-Gasto-Devengado*",
        "mef.monthly_execution": "{}-Gasto*",
        "mef.consulta_amigable": "consulta_{}*",
    }
    return any(night.world.files.glob(name[source].format(year)))


# -- beside the file -----------------------------------------------------------------------------------


def everything_beside_the_file_is_of_this_release(night: Night, memory: Memory) -> Iterator[str]:
    """Report, exports, quality site, and the analysts' notebook, which is run."""
    release = night.rows("select release_id from meta.releases order by published_at desc limit 1")[0][0]
    for folder in [*sorted((night.data_dir / EXPORTS).glob("[!.]*")), night.data_dir / REPORT]:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["release_id"] != release or "superseded_by" in manifest:
            yield f"{folder.name} is of {manifest['release_id']}, published is {release}"
    if (site := (night.data_dir / "quality" / LATEST).resolve().name) != release:
        yield f"the quality site is of {site}"
    os.environ["RESTAURACION_DATA_DIR"] = str(night.data_dir)
    try:
        _, reported = runpy.run_path(str(ROOT / "docs" / "cuaderno.py"))["app"].run()
        if reported["release"][0] != release:
            yield f"the notebook shows {reported['release'][0]}"
        reported["con"].close()
    finally:
        del os.environ["RESTAURACION_DATA_DIR"]


def nothing_is_left_behind(night: Night, memory: Memory) -> Iterator[str]:
    """No builds, scratch files or half folders; as many releases as are kept."""
    left = [p for p in night.data_dir.rglob("*") if p.name.endswith((".part", ".wal", ".old", ".tmp", ".damaged"))]
    left += list((night.data_dir / "warehouse" / "builds").glob("*"))
    left += list((night.data_dir / EXPORTS).glob(".*"))
    if left:
        yield f"{[str(p.relative_to(night.data_dir)) for p in left]}"
    if (kept := len(list(night.files.releases.glob("*")))) > KEPT_RELEASES:
        yield f"{kept} releases are kept"


def storage_grows_with_change_alone(night: Night, memory: Memory) -> Iterator[str]:
    """A night without news stores nothing but lines in ledgers, and the published file is as compact as a new one."""
    stored = sum(p.stat().st_size for p in (night.data_dir / "snapshots" / "blobs").rglob("*.zst"))
    stored += sum(p.stat().st_size for p in (night.data_dir / "lake").rglob("*.parquet"))
    today = night_of(night.day).date().isoformat()
    news = [
        p
        for p in (night.data_dir / "snapshots").rglob("*.json")
        if json.loads(p.read_text())["fetched_at"].startswith(today)
    ]
    if not news and stored > memory.stored_bytes:
        yield f"{stored - memory.stored_bytes} bytes more without a new snapshot"
    memory.stored_bytes = stored
    with duckdb.connect(str(night.published), read_only=True) as con:
        total, free = con.execute("select total_blocks, free_blocks from pragma_database_size()").fetchone() or (1, 0)
    if free > 0.5 * total:
        yield f"{free} of {total} blocks of the published file are empty"


PROMISES: tuple[Promise, ...] = (
    the_file_is_one_complete_release,
    a_build_from_nothing_is_the_same,
    net_hectares_are_the_union,
    every_sol_is_linked_or_unlinked_once,
    programme_totals_are_those_of_the_file,
    what_moved_is_reported_and_nothing_else,
    ids_persist_unless_the_truth_moved,
    every_earlier_day_is_given_back,
    everything_beside_the_file_is_of_this_release,
    quarantine_entries_open_and_close_with_their_causes,
    nothing_is_left_behind,
    stale_sources_are_named_with_the_right_day,
    storage_grows_with_change_alone,
)
