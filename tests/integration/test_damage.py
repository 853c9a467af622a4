"""Damage, clocks and many readers: a failing disk, a wrong clock and twenty analysts, on the whole pipeline."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
import time_machine
from starlette.responses import Response

from resources.errors import CorruptWarehouse
from resources.lake import Lake
from resources.snapshots import SnapshotStore
from resources.warehouse import WarehouseFiles
from sandbox.world import World
from tests.conftest import MakePipeline, digest
from tests.integration.test_survival import contents, everything_holds

# -- damage -------------------------------------------------------------------------------------------


def flip(path: Path, place: float = 0.5) -> None:
    """Flip some bytes of a file, as a failing disk does."""
    body = bytearray(path.read_bytes())
    middle = int(len(body) * place)
    for i in range(middle, min(middle + 64, len(body))):
        body[i] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(bytes(body))


def test_a_damaged_published_file_is_named_and_replaced_by_the_last_release(
    make_pipeline: MakePipeline, world: World
) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    before = contents(pipeline.published)
    flip(pipeline.published)
    files = WarehouseFiles(pipeline.data_dir / "warehouse")
    assert files.damage(pipeline.published) == "its checksum is that of no release"
    assert pipeline.publish(), pipeline.errors()
    assert files.damage(pipeline.published) is None
    assert contents(pipeline.published) == before
    assert pipeline.published.with_suffix(".damaged").exists()


def test_with_no_release_left_a_damaged_file_stops_the_run(make_pipeline: MakePipeline, world: World) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    flip(pipeline.published)
    for release in (pipeline.data_dir / "warehouse" / "releases").glob("*.duckdb"):
        flip(release)
    assert not pipeline.publish()
    assert "put back a backup" in pipeline.errors()
    with pytest.raises(CorruptWarehouse):
        WarehouseFiles(pipeline.data_dir / "warehouse").repair()


def test_a_half_written_lake_file_is_rebuilt_from_its_snapshot(make_pipeline: MakePipeline, world: World) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    halves = sorted((pipeline.data_dir / "lake").rglob("*.parquet"))[::5]
    whole = {path: digest(path) for path in halves}
    for path in halves:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert not Lake.is_whole(path)
    assert pipeline.publish(), pipeline.errors()
    assert {path: digest(path) for path in halves} == whole


def test_a_damaged_snapshot_is_fetched_again_and_meanwhile_its_rows_are_kept(
    make_pipeline: MakePipeline, world: World
) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    before = contents(pipeline.published)
    store = SnapshotStore(pipeline.data_dir / "snapshots")
    blobs = sorted((pipeline.data_dir / "snapshots" / "blobs").rglob("*.zst"))[::3]
    for blob in blobs:
        flip(blob)
    damaged = store.remove_damaged()
    assert {error.sha256 for error in damaged} == {blob.stem for blob in blobs}
    assert pipeline.publish(), pipeline.errors()
    everything_holds(pipeline.data_dir)
    assert contents(pipeline.published) == before


def test_with_snapshot_and_lake_damaged_and_the_server_down_the_previous_snapshot_is_used(
    make_pipeline: MakePipeline, own_world: World
) -> None:
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    source = "ferm.initiatives"
    store = SnapshotStore(pipeline.data_dir / "snapshots")
    first = store.current(source)
    assert first is not None
    path = own_world.files / "ferm.json"
    path.write_text(path.read_text().replace("Restaura", "Recupera", 1))
    pipeline.run(["raw_ferm__initiatives"])
    second = store.current(source)
    assert second is not None
    assert second.snapshot_id != first.snapshot_id
    Lake(pipeline.data_dir / "lake").path(source, None, second.snapshot_id).unlink()
    flip(store.blob_path(second.parts[0].sha256))
    pipeline.servers.faults.by_path["ferm"] = lambda request, response: Response(status_code=503)
    assert pipeline.publish(), pipeline.errors()
    last_good = store.current(source)
    assert last_good is not None
    assert last_good.snapshot_id == first.snapshot_id
    assert "corrupt" in [attempt.outcome for attempt in store.attempts(source)]
    pipeline.servers.faults.by_path.clear()
    pipeline.run(["raw_ferm__initiatives"])
    assert store.current(source).snapshot_id == second.snapshot_id  # type: ignore[union-attr]


def test_torn_lines_of_ledgers_are_passed_over_and_damaged_manifests_written_again(
    make_pipeline: MakePipeline, world: World
) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    ledgers = sorted((pipeline.data_dir / "snapshots").rglob("ledger.jsonl"))
    for ledger in ledgers:
        with ledger.open("a") as file:
            file.write('{"at": "2026-11-2')
    torn = [path for ledger in ledgers[::3] for path in ledger.parent.glob("*.json")]
    whole = [json.loads(path.read_text())["parts"] for path in torn]
    for path in torn:
        path.write_bytes(path.read_bytes()[:200])
    assert pipeline.publish(), pipeline.errors()
    for ledger in ledgers:
        last = json.loads(ledger.read_text().splitlines()[-1])
        assert last["outcome"] == ("new" if ledger in ledgers[::3] else "unchanged"), ledger
    assert [len(json.loads(path.read_text())["parts"]) for path in torn] == [len(parts) for parts in whole]
    assert pipeline.query("select count(*) from quality.source_status where is_stale") == [(0,)]


# -- clocks and readers -------------------------------------------------------------------------------


@pytest.mark.endurance
def test_a_clock_that_goes_back_a_year_does_not_reverse_the_order_of_releases(
    make_pipeline: MakePipeline, own_world: World
) -> None:
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    ((before, first),) = pipeline.query("select release_id, published_at from meta.releases")
    path = own_world.files / "ferm.json"
    path.write_text(path.read_text().replace("Restaura", "Recupera", 1))
    with time_machine.travel(dt.datetime(2025, 12, 31, 23, 59, 58, tzinfo=dt.UTC)):
        assert pipeline.publish(), pipeline.errors()
    releases = pipeline.query("select release_id, published_at from meta.releases order by published_at")
    assert releases[0][0] == before
    assert len(releases) == 2
    assert releases[1][1] > first
    assert pipeline.publish(), pipeline.errors()
    assert pipeline.query("select count(*) from meta.releases") == [(2,)] or pipeline.query(
        "select count(*) from meta.releases"
    ) == [(3,)]


def test_a_run_across_midnight_and_new_year_has_one_day(make_pipeline: MakePipeline, own_world: World) -> None:
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    path = own_world.files / "ferm.json"
    path.write_text(path.read_text().replace("Restaura", "Recupera", 1))
    with time_machine.travel(dt.datetime(2027, 1, 1, 4, 59, 57, tzinfo=dt.UTC)):  # three seconds to midnight in Lima
        assert pipeline.publish(), pipeline.errors()
    release, as_of, published = pipeline.query(
        "select release_id, as_of, published_at from meta.releases order by published_at"
    )[-1]
    assert published.astimezone(dt.UTC).date() == dt.date(2027, 1, 1)
    assert as_of in {dt.date(2026, 12, 31), dt.date(2027, 1, 1)}
    assert release.startswith(f"{as_of}-")
    assert pipeline.query("select count(distinct data_as_of) from marts.progress_to_targets") == [(1,)]


ANALYST = """
import sys, threading, time
from pathlib import Path
import duckdb
path, stop, count = sys.argv[1], Path(sys.argv[2]), [0] * 4
def ask(number):
    while not stop.exists():
        with duckdb.connect(path, read_only=True) as con:
            people, allocated, net = con.execute(
                "select (select count(*) from initiatives), (select sum(net_ha) from core.area_allocations), (select sum(net_ha) from areas)"
            ).fetchone()
        assert people > 0 and abs(allocated - net) < 1e-3, (people, allocated, net)
        count[number] += 1
        time.sleep(1)
def report(failed):
    print(failed.exc_value, flush=True)
    stop.touch()
threading.excepthook = report
crowd = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
[person.start() for person in crowd]
[person.join() for person in crowd]
print("asked", min(count))
"""


@pytest.mark.endurance
def test_twenty_analysts_query_through_ten_releases(
    make_pipeline: MakePipeline, own_world: World, tmp_path: Path
) -> None:
    """Five processes of four, each opening the file anew for every query; the first of the releases is a run's."""
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    files = pipeline.settings.warehouse
    stop = tmp_path / "stop"
    command = [sys.executable, "-c", ANALYST, str(pipeline.published), str(stop)]
    crowd = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(5)]
    try:
        path = own_world.files / "ferm.json"
        path.write_text(path.read_text().replace("Restaura", "Restaura otra vez", 1))
        assert pipeline.publish(), pipeline.errors()
        # and nine that are built in no time: what readers may trip over is the exchange of the file
        for number in range(9):
            base, build = files.state(), files.start_build(f"crowd-{number}")
            with duckdb.connect(str(build)) as con:
                con.execute(
                    "insert into meta.releases select * replace (release_id || ? as release_id) from meta.releases"
                    " order by published_at desc limit 1",
                    [f"-{number}"],
                )
            files.publish(build, f"crowd-{number}", base)
            time.sleep(1.5)
    finally:
        stop.touch()
        said = [person.communicate(timeout=60) for person in crowd]
    assert pipeline.query("select count(*) > 10 from meta.releases") == [(True,)]
    assert [err for _, err in said] == [""] * 5
    assert all(int(out.removeprefix("asked ")) >= 5 for out, _ in said), said
