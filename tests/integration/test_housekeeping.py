"""What is removed and what is kept."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from pathlib import Path

import pytest

from pipelines.operations.housekeeping import housekeep
from resources.snapshots import SnapshotStore
from restoration.build.replay import replay
from restoration.sources.register import all_layers
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline
from tests.integration.test_damage import flip
from tests.integration.test_survival import everything_holds


def aged(pipeline: Pipeline, days: int) -> None:
    """Every manifest as if it had been received some days earlier."""
    for path in (pipeline.data_dir / "snapshots").rglob("*.json"):
        reported = json.loads(path.read_text())
        reported["fetched_at"] = (
            dt.datetime.fromisoformat(reported["fetched_at"]) - dt.timedelta(days=days)
        ).isoformat()
        path.write_text(json.dumps(reported))


def files_of(folder: Path) -> set[Path]:
    return {p for p in folder.rglob("*") if p.is_file()}


@pytest.mark.endurance
def test_old_snapshots_go_and_what_releases_need_stays(make_pipeline: MakePipeline, own_world: World) -> None:
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    path, text = own_world.files / "ferm.json", (own_world.files / "ferm.json").read_text()
    for number in range(2):
        path.write_text(text.replace("Restaura", f"Restaura {number}", 1))
        pipeline.run(["raw_ferm__initiatives", "stg_ferm__initiatives", "quality_source_status"])
    aged(pipeline, 1000)
    store = SnapshotStore(pipeline.data_dir / "snapshots")
    before = files_of(pipeline.data_dir / "snapshots")
    assert len(list((pipeline.data_dir / "snapshots" / "ferm" / "initiatives").glob("*.json"))) == 3
    assert list(housekeep(pipeline.settings)) == [], "the releases that were kept need all of them"
    releases = sorted(pipeline.settings.warehouse.releases.glob("*.duckdb"), key=lambda p: p.stat().st_mtime)
    whole = releases[0].read_bytes()
    releases[0].write_bytes(whole[:4000])
    said = list(housekeep(pipeline.settings, is_dry_run=False))
    assert [line.split(":")[0].partition(",")[0] for line in said] == [
        "DAMAGED release",
        "no snapshot is removed this time",
    ]
    assert files_of(pipeline.data_dir / "snapshots") == before, "the snapshots of a damaged release are unknown"
    releases[0].unlink()
    said = list(housekeep(pipeline.settings))
    assert len([line for line in said if line.startswith("snapshot ferm")]) == 1, said
    assert files_of(pipeline.data_dir / "snapshots") == before, "a dry run touches nothing"
    list(housekeep(pipeline.settings, is_dry_run=False))
    assert len(list((pipeline.data_dir / "snapshots" / "ferm" / "initiatives").glob("*.json"))) == 2
    everything_holds(pipeline.data_dir)
    assert store.current("ferm.initiatives") is not None
    assert store.previous("ferm.initiatives") is not None
    newest = pipeline.query("select release_id from meta.releases order by published_at desc limit 1")[0][0]
    replay(pipeline.data_dir, pipeline.settings.warehouse, all_layers(), newest)
    assert pipeline.publish(), pipeline.errors()


def test_leftover_files_are_removed_and_damage_is_named_and_repaired_at_the_next_run(
    make_pipeline: MakePipeline, world: World
) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    old, young = pipeline.data_dir / "snapshots" / "blobs" / "a.part", pipeline.data_dir / "lake" / "b.part"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 3 * 86400,) * 2)
    raw = next(iter(sorted((pipeline.data_dir / "lake").rglob("*.parquet"))))
    body = next(iter(sorted((pipeline.data_dir / "snapshots" / "blobs").rglob("*.zst"))))
    flip(raw, 0.3)
    flip(body)
    said = "\n".join(housekeep(pipeline.settings, is_dry_run=False))
    assert str(raw) in said
    assert str(body) in said
    assert not old.exists()
    assert young.exists()
    assert pipeline.publish(), pipeline.errors()
    repaired = list(
        housekeep(pipeline.settings, is_dry_run=False)
    )  # pages cut otherwise leave those of before to nobody
    assert not [line for line in repaired if "DAMAGED" in line]
    assert list(housekeep(pipeline.settings)) == []
    everything_holds(pipeline.data_dir)
