"""Write, audit, publish: readers are never disturbed, failed runs change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from resources.errors import PublishRefused
from resources.warehouse import WarehouseFiles
from sandbox.world import World
from tests.conftest import MakePipeline, digest

HOLDER = """
import sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
ask = lambda: con.execute("select sum(net_ha), count(*) from areas").fetchone()
print(ask(), flush=True)
sys.stdin.readline()
print(ask(), flush=True)
"""


def drop_rows(world: World, name: str, keep: float) -> None:
    path = world.layers / f"{name}.parquet"
    frame = pl.read_parquet(path)
    frame.head(int(frame.height * keep)).write_parquet(path)


def test_a_reader_keeps_the_old_answer_through_a_whole_run(make_pipeline: MakePipeline, own_world: World) -> None:
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    reader = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(pipeline.published)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdin
    assert reader.stdout
    before = reader.stdout.readline()
    assert "(" in before
    drop_rows(own_world, "minam_polygons", 0.95)
    again = make_pipeline(own_world, data_dir=pipeline.data_dir)  # new servers, which read the changed layer
    assert again.publish(), again.errors()
    reader.stdin.write("\n")
    reader.stdin.flush()
    assert reader.stdout.readline() == before
    assert reader.wait(timeout=20) == 0
    assert str(again.query("select sum(net_ha), count(*) from areas")[0]) + "\n" != before


def test_a_failing_blocking_check_leaves_the_file_byte_for_byte(make_pipeline: MakePipeline, own_world: World) -> None:
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    before = digest(pipeline.published)
    path = own_world.files / "2024-Gasto-Devengado.csv"  # every amount of a year ten times too large
    frame = pl.read_csv(path, infer_schema=False)
    frame.with_columns(pl.col("MONTO_PIM") + "0").write_csv(path, quote_style="always")
    assert not pipeline.run()
    assert pipeline.failed_checks()["quality_reconciliation:no_total_is_far_from_the_official_one"] == "ERROR"
    assert digest(pipeline.published) == before
    assert not list((pipeline.data_dir / "warehouse" / "builds").iterdir()), "a refused build is removed"


def test_nothing_new_recomputes_nothing(make_pipeline: MakePipeline, world: World) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    first = pipeline.query("select release_id, fingerprint, published_at, verified_at from meta.releases")
    assert pipeline.run(), pipeline.errors()
    second = pipeline.query("select release_id, fingerprint, published_at, verified_at from meta.releases")
    assert [r[:3] for r in first] == [r[:3] for r in second]
    assert second[0][3] > first[0][3]
    assert pipeline.last is not None
    reused = {
        e.asset_key.to_user_string(): e.materialization.metadata["is_reused"].value
        for e in pipeline.last.get_asset_materialization_events()
        if "is_reused" in e.materialization.metadata
    }
    assert [name for name, is_reused in reused.items() if not is_reused] == ["quality_source_status"]
    assert (
        pipeline.query("select count(*) from quality.source_status where last_changed_at < last_checked_at")[0][0] == 51
    )


def test_one_mart_from_the_ui_ends_published(make_pipeline: MakePipeline, world: World) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    with pipeline.rewritten() as con:  # as if an older release had other figures
        con.execute("update marts.progress_to_targets set net_ha = 0")
        con.execute("update meta.model_states set fingerprint = 'older' where table_name = 'marts.progress_to_targets'")
    pipeline.run(["mart_progress_to_targets"])
    assert pipeline.last is not None
    assert pipeline.last.success, pipeline.errors()
    assert pipeline.query("select min(net_ha) > 0 from marts.progress_to_targets where is_latest") == [(True,)]
    release = pipeline.query("select release_id from meta.releases order by verified_at desc limit 1")[0][0]
    assert (pipeline.data_dir / "quality" / "latest").resolve().name == release, "each release has its site"


def test_a_fiscal_year_can_be_read_again_alone(make_pipeline: MakePipeline, world: World) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    asked = len([r for r in pipeline.servers.faults.requests if "2023-Gasto" in r])
    pipeline.run(["raw_mef__budget_execution"], fiscal_years=[2023])
    assert pipeline.last is not None
    assert pipeline.last.success
    requests = [r for r in pipeline.servers.faults.requests if "Gasto-Devengado" in r]
    assert len([r for r in requests if "2023-Gasto" in r]) == asked + 1
    event = pipeline.last.get_asset_materialization_events()[0]
    assert event.partition == "2023"


def test_a_build_with_a_write_ahead_log_is_refused(tmp_path: Path) -> None:
    files = WarehouseFiles(tmp_path)
    build = files.start_build("run")
    build.write_bytes(b"x")
    Path(f"{build}.wal").write_bytes(b"x")
    with pytest.raises(PublishRefused, match="write-ahead log"):
        files.publish(build, "r", None)


def test_of_two_runs_from_one_base_the_second_is_refused(tmp_path: Path) -> None:
    files = WarehouseFiles(tmp_path)
    base = files.state()
    first, second = files.start_build("a"), files.start_build("b")
    first.write_bytes(b"first")
    second.write_bytes(b"second")
    files.publish(first, "r1", base)
    with pytest.raises(PublishRefused, match="another run published"):
        files.publish(second, "r2", base)
    assert files.published.read_bytes() == b"first"


def test_only_the_last_releases_are_kept(tmp_path: Path) -> None:
    files = WarehouseFiles(tmp_path)
    for number in range(10):
        build = files.start_build(f"run{number}")
        build.write_bytes(str(number).encode())
        files.publish(build, f"r{number}", files.state())
        os.utime(files.releases / f"r{number}.duckdb", (number, number))
    kept = sorted(p.stem for p in files.releases.iterdir())
    assert "r9" in kept
    assert len(kept) == 7
