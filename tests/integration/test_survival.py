"""Failures on an unattended machine: killed runs, full disks, missing permissions, parallel runs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.runner import engine_tables
from resources.run_lock import LOCK, RunLock
from resources.snapshots import SnapshotStore
from resources.warehouse import WarehouseFiles
from restoration.exports.release import MANIFEST
from sandbox.servers.app import SandboxServers
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline, digest

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("KILLS", "2"))  # 20 on 2026-11-24 (docs/reliability.md); two here, for time
NIGHT = [sys.executable, "-m", "pipelines.cli.run"]
OF_THE_NIGHT = {"source_status", "source_shape", "scorecard"}


def environment(data: Path, hosts: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RESTAURACION_", "DAGSTER_HOME"))}
    return kept | {
        "RESTAURACION_DATA_DIR": str(data),
        "RESTAURACION_HOSTS_FILE": str(hosts),
        "RESTAURACION_FISCAL_YEAR": "2025",
        "RESTAURACION_MIN_FREE_MB": "0",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        **more,
    }


def contents(path: Path) -> str:
    """A digest of every table that data makes, whatever the time of day: the same rows in the same order, or another digest.

    Tables that the engine fills table by table have an order of enforcement: of these the rows count alone.
    """
    reported = hashlib.sha256()
    with duckdb.connect(str(path), read_only=True) as con:
        tables = con.execute(
            "select schema_name, table_name from duckdb_tables() where schema_name in ('staging', 'accepted', 'core', 'marts', 'quality') order by all"
        ).fetchall()
        for schema, table in tables:
            if table in OF_THE_NIGHT:
                continue
            columns = [
                c[0]
                for c in con.execute(
                    "select column_name from duckdb_columns() where schema_name = ? and table_name = ? and data_type not like 'TIMESTAMP%' order by column_index",
                    [schema, table],
                ).fetchall()
            ]
            named = ", ".join(f'"{c}"' for c in columns)
            order = f"hash({named})" if f"{schema}.{table}" in engine_tables() else "rowid"
            ((found,),) = con.execute(
                f"select md5(string_agg(cast(hash({named}) as varchar), '' order by {order})) from {schema}.\"{table}\""
            ).fetchall()
            reported.update(f"{schema}.{table} {found}\n".encode())
    return reported.hexdigest()


def everything_holds(data: Path) -> None:
    """The published file opens and is one release; snapshots match their checksums; ledgers are correct."""
    files = WarehouseFiles(data / "warehouse")
    if files.published.exists():
        assert files.damage(files.published) is None
        with duckdb.connect(str(files.published), read_only=True) as con:
            assert con.execute("select count(*) > 0 from initiatives").fetchone() == (True,)
    store = SnapshotStore(data / "snapshots")
    assert list(store.verify()) == []
    for ledger in (data / "snapshots").rglob("ledger.jsonl"):
        place = ledger.parent.relative_to(data / "snapshots").parts
        source, partition = ".".join(place[:2]), place[2] if len(place) > 2 else None
        if current := store.current(source, partition):
            assert store.has_bodies(current), ledger
    for manifest in (data / "exports").glob(f"[!.]*/{MANIFEST}"):
        reported = json.loads(manifest.read_text())
        for name, about in reported["files"].items():
            assert digest(manifest.parent / name) == about["sha256"], name


# -- kills --------------------------------------------------------------------------------------------


@pytest.mark.endurance
def test_a_run_killed_at_any_moment_leaves_a_whole_file_and_the_next_one_ends_like_an_undisturbed_one(
    good_night: Pipeline, world: World, tmp_path: Path
) -> None:
    chance = random.Random(int(os.environ.get("KILL_SEED", "7")))
    expected = contents(good_night.published)
    lake = {p.relative_to(good_night.data_dir): digest(p) for p in (good_night.data_dir / "lake").rglob("*.parquet")}
    with SandboxServers(world) as servers:
        hosts = servers.write_hosts(tmp_path / "hosts.json")
        whole = None
        for number in range(KILLS):
            data = tmp_path / "data"
            env = environment(data, hosts)
            if whole is None and KILLS <= 2:
                whole = 12.0  # about what it takes here; a run that is quicker than the signal is no harm
            if whole is None:  # how long a run takes here, to spread the moments over it
                started = time.monotonic()
                subprocess.run(
                    NIGHT, env=environment(tmp_path / "first", hosts), cwd=ROOT, check=True, capture_output=True
                )
                whole = time.monotonic() - started
            if number % 2:  # half of them over a published release, whose bytes must not change
                shutil.copytree(good_night.data_dir, data, symlinks=True)
                shutil.rmtree(data / "dagster", ignore_errors=True)
                for parquet in (data / "lake").rglob("*.parquet"):  # so that there is work to disturb
                    parquet.unlink()
            before = digest(data / "warehouse" / "restauracion.duckdb") if number % 2 else None
            run = subprocess.Popen(
                NIGHT, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            time.sleep(chance.uniform(0.15, 0.98) * whole)
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            everything_holds(data)
            if (
                before and digest(data / "warehouse" / "restauracion.duckdb") != before
            ):  # it was quicker than the signal
                assert contents(data / "warehouse" / "restauracion.duckdb") == expected
            done = subprocess.run(NIGHT, env=env, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
            everything_holds(data)
            assert contents(data / "warehouse" / "restauracion.duckdb") == expected
            assert {p.relative_to(data): digest(p) for p in (data / "lake").rglob("*.parquet")} == lake
            assert list((data / "warehouse" / "builds").iterdir()) == []
            shutil.rmtree(data)


# -- space, rights, other runs-------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path, size: str, data: Path | None = None) -> Iterator[Path]:
    """A file system of its own that fills up; needs root."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        if data:
            shutil.copytree(data, folder / "data", symlinks=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def size_of(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param("snapshot", marks=pytest.mark.endurance),
        "build",
        pytest.param("publish", marks=pytest.mark.endurance),
    ],
)
def test_a_disk_that_fills_up_stops_the_run_and_spares_what_is_there(
    good_night: Pipeline, world: World, tmp_path: Path, stage: str
) -> None:
    base = tmp_path / "base"
    shutil.copytree(good_night.data_dir, base, symlinks=True)
    for name in ("dagster", "exports", "report", "quality"):
        shutil.rmtree(base / name, ignore_errors=True)
    warehouse = (base / "warehouse" / "restauracion.duckdb").stat().st_size
    if stage == "snapshot":
        shutil.rmtree(base / "snapshots" / "minam")
        shutil.rmtree(base / "lake" / "raw" / "minam")
        room = 200_000
    else:  # a copy of the file fits; not its growth, or not the kept release beside it
        room = int(warehouse * (0.7 if stage == "build" else 1.35))
    used = size_of(base) + 4096 * sum(1 for _ in base.rglob("*"))
    with SandboxServers(world) as servers, small_disk(tmp_path / "disk", str(used + room + 400_000), base) as disk:
        data, published = disk / "data", disk / "data" / "warehouse" / "restauracion.duckdb"
        if stage != "snapshot":
            with duckdb.connect(str(published)) as con:  # something to do for every model
                con.execute("update meta.model_states set fingerprint = 'other'")
            (data / "warehouse" / "published.sha256").unlink()
        before = digest(published)
        env = environment(data, servers.write_hosts(tmp_path / "hosts.json"), DAGSTER_HOME=str(tmp_path / "dagster"))
        done = subprocess.run(NIGHT, env=env, cwd=ROOT, capture_output=True, text=True)
        said = done.stdout + done.stderr
        assert done.returncode == 1, said[-3000:]
        assert "space" in said.lower() or "could not write" in said.lower(), said[-3000:]
        assert digest(published) == before
        assert list(SnapshotStore(data / "snapshots").verify()) == []
        if stage != "snapshot":  # what comes after is the same for the three
            return
        subprocess.run(["mount", "-o", "remount,size=3g", str(disk)], check=True)
        done = subprocess.run(NIGHT, env=env, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        everything_holds(data)
        assert contents(published) == contents(good_night.published)


def test_too_little_room_is_said_before_anything_begins(make_pipeline: MakePipeline, world: World) -> None:
    pipeline = make_pipeline(world)
    object.__setattr__(pipeline.settings, "min_free_mb", 10**9)
    assert not pipeline.publish()
    assert "nothing was begun" in pipeline.errors()
    assert not (pipeline.data_dir / "snapshots").exists()


def test_a_folder_that_cannot_be_written_is_named(good_night: Pipeline, world: World, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2g", good_night.data_dir) as disk, SandboxServers(world) as servers:
        published = disk / "data" / "warehouse" / "restauracion.duckdb"
        before = digest(published)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        env = environment(
            disk / "data", servers.write_hosts(tmp_path / "hosts.json"), DAGSTER_HOME=str(tmp_path / "dagster")
        )
        done = subprocess.run(NIGHT, env=env, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1
        assert "cannot be written" in done.stdout
        assert digest(published) == before
        with duckdb.connect(str(published), read_only=True) as con:  # analysts go on
            assert con.execute("select count(*) > 0 from initiatives").fetchone() == (True,)


@pytest.mark.endurance
def test_of_two_runs_at_once_the_second_waits_and_says_so(good_night: Pipeline, world: World, tmp_path: Path) -> None:
    shutil.copytree(good_night.data_dir, tmp_path / "data", symlinks=True)
    with SandboxServers(world) as servers:
        env = environment(tmp_path / "data", servers.write_hosts(tmp_path / "hosts.json"))
        runs = [
            subprocess.Popen(
                NIGHT,
                env=env | {"DAGSTER_HOME": str(tmp_path / f"d{n}")},
                cwd=ROOT,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for n in (1, 2)
        ]
        said = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert sum("another run" in out + err and "waiting" in out + err for out, err in said) == 1, said
    everything_holds(tmp_path / "data")


def test_a_run_that_waited_too_long_ends(make_pipeline: MakePipeline, world: World) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    object.__setattr__(pipeline.settings, "lock_wait_seconds", 0.2)
    lock = RunLock(pipeline.data_dir)
    lock.acquire(0, "a test")
    assert not pipeline.publish()
    assert "steps aside" in pipeline.errors()
    assert "a test, process" in pipeline.errors()
    lock.release()
    assert (pipeline.data_dir / LOCK).exists()
    assert pipeline.publish(), pipeline.errors()
