"""`python -m pipelines.operations.housekeeping`: what may be removed, by policy; `--apply` removes it. Runs weekly.

Belongs here: retention of snapshots, lake, quality sites, run logs; checksums of everything stored. Does not: releases, which keep
their own number (resources/warehouse.py).

A snapshot is kept while it is current, while a kept release was built from it, or while it is younger than
RESTAURACION_KEEP_SNAPSHOT_DAYS. A raw file is removed with its snapshot. Nothing that a kept release needs is removed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb

from pipelines.settings import Settings
from resources.errors import AnotherRun, CorruptSnapshot
from resources.lake import Lake
from resources.run_lock import RunLock
from resources.snapshots import Manifest, SnapshotStore

_SCRATCH_HOURS = 24
_KEPT_RUNS_DAYS = 90


def housekeep(
    settings: Settings, *, instance: dg.DagsterInstance | None = None, is_dry_run: bool = True
) -> Iterator[str]:
    """Report what the policy removes and, unless `is_dry_run`, remove it. Waits for another run; raises AnotherRun."""
    lock = RunLock(settings.data_dir)
    lock.acquire(settings.lock_wait_seconds, "housekeeping")
    try:
        yield from _checksums(settings, is_dry_run)
        yield from _snapshots(settings, is_dry_run)
        yield from _scratch(settings.data_dir, is_dry_run)
    finally:
        lock.release()
    if instance is not None:
        yield from _runs(instance, is_dry_run)


def _checksums(settings: Settings, is_dry_run: bool) -> Iterator[str]:
    """Every stored body, raw file and release against its checksum."""
    store = SnapshotStore(settings.data_dir / "snapshots")
    damaged = list(store.verify()) if is_dry_run else store.remove_damaged()
    for error in damaged:
        yield f"DAMAGED snapshot body, fetched again at the next run: {error.path}"
    lake = Lake(settings.data_dir / "lake")
    for path in sorted((settings.data_dir / "lake").rglob("*.parquet")):
        if not path.name.endswith(".totals.parquet") and not lake.is_whole(path, every_byte=True):
            if not is_dry_run:
                lake.remove(path)
            yield f"DAMAGED raw file, rebuilt from its snapshot at the next run: {path}"
    for release in sorted(settings.warehouse.releases.glob("*.duckdb")):
        if reason := settings.warehouse.damage(release):
            yield f"DAMAGED release, restore it from a backup if it is needed: {release} ({reason})"


def _needed(settings: Settings) -> tuple[set[str], list[Path]]:
    """Snapshots that the published file and the kept releases were built from, and the files that cannot be read."""
    needed, unread = set(), []
    for path in (settings.warehouse.published, *sorted(settings.warehouse.releases.glob("*.duckdb"))):
        if not path.exists():
            continue
        try:
            with duckdb.connect(str(path), read_only=True) as con:
                rows = con.execute("select distinct snapshot_id from quality.source_status").fetchall()
        except duckdb.Error:
            unread.append(path)
        else:
            needed |= {row[0] for row in rows}
    return needed, unread


def _manifests(store: SnapshotStore) -> Iterator[tuple[Path, Manifest | None, bool]]:
    """Each manifest's file, what it says (None where it is damaged), and whether the snapshot is current."""
    for ledger in sorted(store.folder.rglob("ledger.jsonl")):
        place = ledger.parent.relative_to(store.folder).parts
        source, partition = ".".join(place[:2]), place[2] if len(place) > 2 else None
        by_hand = store.dropped(source, partition)  # with the server's last answer, current again once they are gone
        kept = (store.current(source, partition), store.previous(source, partition), store.of_server(source, partition))
        last_good = {m.snapshot_id for m in (*kept, *by_hand) if m}
        for path in sorted(ledger.parent.glob("*.json")):
            try:
                yield path, store.manifest(source, partition, path.stem), path.stem in last_good
            except CorruptSnapshot:
                yield path, None, False


def _snapshots(settings: Settings, is_dry_run: bool) -> Iterator[str]:
    folder = settings.data_dir / "snapshots"
    store, lake = SnapshotStore(folder), Lake(settings.data_dir / "lake")
    needed, unread = _needed(settings)
    oldest = (dt.datetime.now(dt.UTC) - dt.timedelta(days=settings.keep_snapshot_days)).isoformat()
    kept_bodies, gone = set(), []
    for path, manifest, is_current in _manifests(store):
        if manifest is None:
            unread.append(path)
            if not is_dry_run:
                path.rename(path.with_suffix(".damaged"))
            yield f"DAMAGED manifest, written again when its content is received again: {path}"
        elif is_current or manifest.snapshot_id in needed or manifest.fetched_at >= oldest:
            kept_bodies |= {part.sha256 for part in manifest.parts}
        else:
            gone.append((path, lake.path(manifest.source, manifest.partition, manifest.snapshot_id)))
    if unread:  # nobody knows what they were built from
        yield f"no snapshot is removed this time: {len(unread)} file(s) that may need one cannot be read: {unread[0]}"
        return
    for path, rows in gone:
        if not is_dry_run:
            lake.remove(rows)
            path.unlink()
        yield f"snapshot {path.relative_to(folder)} and its rows"
    orphans = [p for p in (folder / "blobs").glob("*/*.zst") if p.stem not in kept_bodies]
    if orphans:
        size = sum(p.stat().st_size for p in orphans)
        if not is_dry_run:
            for path in orphans:
                path.unlink()
        yield f"{len(orphans)} stored bodies that no kept snapshot has, {size / 1e6:,.1f} MB"


def _scratch(data_dir: Path, is_dry_run: bool) -> Iterator[str]:
    """Half-written files of runs that were killed, and damaged files that were set aside a month ago."""
    now = time.time()
    for pattern, hours in (("*.part", _SCRATCH_HOURS), ("*.damaged", 30 * 24)):
        for path in sorted(data_dir.rglob(pattern)):
            if path.is_file() and now - path.stat().st_mtime > hours * 3600:
                if not is_dry_run:
                    path.unlink()
                yield f"{path.relative_to(data_dir)}"


def _runs(instance: dg.DagsterInstance, is_dry_run: bool) -> Iterator[str]:
    """Records and logs of runs that ended long ago."""
    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=_KEPT_RUNS_DAYS)
    old = instance.get_runs(dg.RunsFilter(created_before=before))
    for run in old if not is_dry_run else ():
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        instance.delete_run(run.run_id)
    if old:
        yield f"{len(old)} records of runs older than {_KEPT_RUNS_DAYS} days"


def main() -> int:
    """Print what may be removed; with --apply remove it."""
    parser = argparse.ArgumentParser(description="Retention and checksums of the data folder.")
    parser.add_argument("--apply", action="store_true", help="remove; without it nothing is touched")
    arguments = parser.parse_args()
    settings = Settings.from_env()
    count = 0
    try:
        for line in housekeep(settings, is_dry_run=not arguments.apply):
            count += 1
            sys.stdout.write(line + "\n")
    except AnotherRun as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write(
        f"{count} thing(s) {'done' if arguments.apply else 'found; nothing was touched, --apply does it'}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
