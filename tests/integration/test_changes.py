"""Sources change: what changed is reported, what did not is not recomputed, and any release can be rebuilt."""

from __future__ import annotations

import dataclasses
import shutil
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from resources.errors import CorruptSnapshot
from restoration.build.replay import NoSuchRelease, differences, replay
from restoration.sources.register import all_layers
from sandbox.catalogue import SERVICES
from sandbox.servers.app import SandboxServers
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline, digest, settings_for


def raise_accrued(world: World, year: int, amount: int) -> None:
    """Add to the December of one line of a year's file, and to its sum."""
    path = world.files / f"{year}-Gasto-Devengado.csv"
    frame = pl.read_csv(path, infer_schema=False).with_row_index("row")
    line = frame.filter(pl.col("PROGRAMA_PPTO") == "0144").row(0, named=True)
    changed = [
        pl.when(pl.col("row") == line["row"])
        .then(pl.lit(str(Decimal(line[column]) + amount)))
        .otherwise(pl.col(column))
        .alias(column)
        for column in ("MONTO_DEVENGADO_DICIEMBRE", "MONTO_DEVENGADO_ANUAL")
    ]
    frame.with_columns(changed).drop("row").write_csv(path, quote_style="always")


def test_a_closed_year_that_was_revised_is_reported(make_pipeline: MakePipeline, own_world: World) -> None:
    first = make_pipeline(own_world, after_a_good_night=True)
    assert first.query("select count(*) from marts.changes_since_last_release where change_kind = 'revised'") == [(0,)]
    raise_accrued(own_world, 2022, 125_000)
    second = make_pipeline(own_world, data_dir=first.data_dir)
    assert second.publish(), second.errors()
    rows = second.query(
        "select record_key, measure, fiscal_year, is_closed_year, change_kind, difference, unit"
        " from marts.changes_since_last_release where subject = 'spending'"
    )
    assert len(rows) == 1
    key, measure, year, is_closed, kind, difference, unit = rows[0]
    assert "0144" in key
    assert (year, is_closed, kind) == (2022, True, "revised")
    assert "accrued" in measure
    assert difference == 125_000
    assert unit == "S/"
    others = second.query("select count(*) from marts.changes_since_last_release where subject != 'spending'")
    assert others == [(0,)], "nothing else moved"
    reconciled = second.query(
        "select count(*) from quality.reconciliation where status != 'equal' and fiscal_year = 2022"
    )
    assert reconciled[0][0] > 0, "the revised year no longer equals the official total, and the report says so"


def test_a_removed_record_and_a_new_one_are_reported(make_pipeline: MakePipeline, own_world: World) -> None:
    first = make_pipeline(own_world, after_a_good_night=True)
    path = own_world.layers / "minam_polygons.parquet"
    frame = pl.read_parquet(path)
    alone = set(frame.group_by("COD_INIC").len().filter(pl.col("len") == 1)["COD_INIC"].to_list()) & {
        r[0]
        for r in first.query(
            "select source_record_id from core.initiative_sources where source = 'minam'"
            " and initiative_id in (select initiative_id from core.initiatives where source_count = 1)"
        )
    }
    gone = sorted(alone)[0]
    frame.filter(pl.col("COD_INIC") != gone).write_parquet(path)
    second = make_pipeline(own_world, data_dir=first.data_dir)
    assert second.publish(), second.errors()
    kinds = second.query(
        "select change_kind, count(distinct record_key) from marts.changes_since_last_release"
        " where subject = 'initiatives' group by all"
    )
    assert dict(kinds).get("removed") == 1
    frame.write_parquet(path)
    third = make_pipeline(own_world, data_dir=first.data_dir)
    assert third.publish(), third.errors()
    kinds = third.query(
        "select change_kind, count(distinct record_key) from marts.changes_since_last_release"
        " where subject = 'initiatives' group by all"
    )
    assert dict(kinds).get("added") == 1


def test_unchanged_bytes_are_no_new_snapshot_and_nothing_is_recomputed(
    make_pipeline: MakePipeline, own_world: World
) -> None:
    first = make_pipeline(own_world, after_a_good_night=True)
    lake = {p: p.stat().st_mtime_ns for p in (first.data_dir / "lake").rglob("*.parquet")}
    blobs = set((first.data_dir / "snapshots").rglob("*.zst"))
    # the same features in other pages: another server's limits, another layer order
    services = tuple(dataclasses.replace(s, max_record_count=min(s.max_record_count, 90)) for s in SERVICES)
    second = make_pipeline(own_world, services=services, data_dir=first.data_dir)
    assert second.run(), second.errors()
    assert second.last is not None
    raw = [
        e.materialization
        for e in second.last.get_asset_materialization_events()
        if e.asset_key is not None and e.asset_key.to_user_string().startswith("raw_")
    ]
    assert raw
    assert not [m.asset_key for m in raw if m.metadata.get("is_new") and m.metadata["is_new"].value]
    models = [
        e.materialization
        for e in second.last.get_asset_materialization_events()
        if e.asset_key is not None and "is_reused" in e.materialization.metadata
    ]
    computed = {m.asset_key.to_user_string() for m in models if m.asset_key and not m.metadata["is_reused"].value}
    assert len(models) > 40
    assert computed <= {"quality_source_status", "marts_changes_since_last_release"}
    assert {p: p.stat().st_mtime_ns for p in (first.data_dir / "lake").rglob("*.parquet")} == lake
    assert set((first.data_dir / "snapshots").rglob("*.zst")) == blobs
    releases = second.query("select count(*) from meta.releases")
    assert releases == [(1,)], "the release is the same, only looked at again"


@pytest.fixture(scope="module")
def moved(good_night: Pipeline, world: World, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The good night, and one after a revised year and fewer polygons; their servers have stopped."""
    folder = tmp_path_factory.mktemp("moved")
    shutil.copytree(good_night.data_dir, folder / "data", symlinks=True)
    shutil.copytree(world.folder, folder / "world")
    changed = World(folder / "world")
    raise_accrued(changed, 2021, 7)
    frame = pl.read_parquet(changed.layers / "minam_polygons.parquet")
    frame.head(int(frame.height * 0.95)).write_parquet(changed.layers / "minam_polygons.parquet")
    with SandboxServers(changed) as servers:
        settings = settings_for(folder / "data", servers.write_hosts(folder / "hosts.json"))
        pipeline = Pipeline(folder / "data", servers, settings)
        assert pipeline.publish(), pipeline.errors()
    return pipeline


@pytest.fixture
def two_releases(moved: Pipeline, tmp_path: Path) -> Pipeline:
    """A copy that a test may damage."""
    shutil.copytree(moved.data_dir, tmp_path / "data", symlinks=True)
    hosts = moved.servers.write_hosts(tmp_path / "hosts.json")
    return Pipeline(tmp_path / "data", moved.servers, settings_for(tmp_path / "data", hosts))


@pytest.mark.endurance
def test_any_release_is_rebuilt_from_its_snapshots_with_no_network(two_releases: Pipeline, tmp_path: Path) -> None:
    pipeline = two_releases
    published = digest(pipeline.published)
    releases = [r[0] for r in pipeline.query("select release_id from meta.releases order by published_at")]
    assert len(releases) == 2
    lake = pipeline.data_dir / "lake"
    for path in lake.rglob("*.parquet"):
        path.unlink()  # raw is rebuilt from the stored bodies
    for release in releases:
        received = replay(pipeline.data_dir, pipeline.settings.warehouse, all_layers(), release)
        assert received.differing_rows == {}
        assert received.path != pipeline.published
    first, second = (pipeline.settings.warehouse.releases / f"{r}.duckdb" for r in releases)
    assert differences(first, second), "the two releases differ, so that equality says something"
    assert digest(pipeline.published) == published, "the published file is not touched"


def test_a_release_that_nobody_knows_is_refused(two_releases: Pipeline) -> None:
    with pytest.raises(NoSuchRelease, match="the published file knows"):
        replay(two_releases.data_dir, two_releases.settings.warehouse, all_layers(), "1999-01-01-00000000")


def test_a_stored_body_that_was_tampered_with_is_noticed(two_releases: Pipeline) -> None:
    release = two_releases.query("select release_id from meta.releases order by published_at limit 1")[0][0]
    for path in (two_releases.data_dir / "lake").rglob("*.parquet"):
        path.unlink()
    body = next(p for p in sorted((two_releases.data_dir / "snapshots").rglob("*.zst")))
    body.write_bytes(body.read_bytes()[:-8] + b"tampered")
    with pytest.raises(CorruptSnapshot, match="delete the file and fetch again"):
        replay(two_releases.data_dir, two_releases.settings.warehouse, all_layers(), release)
