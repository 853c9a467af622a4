"""The instructions of the runbook, carried out, and the night after."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from pipelines.operations.incidents import source_incidents
from resources.errors import Refused
from resources.snapshots import SnapshotStore
from restoration.sources.register import all_layers
from sandbox.world import World
from tests.conftest import MakePipeline
from tests.integration.test_changes import raise_accrued


@pytest.mark.endurance
def test_going_back_to_an_earlier_release_and_the_night_after(make_pipeline: MakePipeline, own_world: World) -> None:
    """Copy `releases/<release>.duckdb` over the published file; readers see it, and the next run goes on from it."""
    first = make_pipeline(own_world, after_a_good_night=True)
    path = own_world.layers / "minam_polygons.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(HA_META=pl.col("HA_META") + 1).write_parquet(path)
    second = make_pipeline(own_world, data_dir=first.data_dir)
    assert second.run(), second.errors()
    releases = [r[0] for r in second.query("select release_id from meta.releases order by published_at")]
    target_ha = second.query("select sum(target_ha) from core.initiatives")
    new = second.published.with_suffix(".duckdb.new")
    shutil.copyfile(second.published.parent / "releases" / f"{releases[0]}.duckdb", new)
    os.replace(new, second.published)
    assert second.query("select release_id from meta.releases") == [(releases[0],)]
    assert second.run(), second.errors()
    assert second.query("select sum(target_ha) from core.initiatives") == target_ha
    assert not list(second.published.parent.glob("*.damaged")), "an earlier release is no damage"


def test_one_fiscal_year_read_again_is_published_by_any_model(make_pipeline: MakePipeline, own_world: World) -> None:
    """Materialize the year of raw_mef__budget_execution, then one mart: publishing updates everything in between."""
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    before = pipeline.query("select sum(accrued_pen) from core.spending where fiscal_year = 2023")[0][0]
    raise_accrued(own_world, 2023, 777)
    pipeline.run(["raw_mef__budget_execution"], fiscal_years=[2023])
    assert pipeline.query("select sum(accrued_pen) from core.spending where fiscal_year = 2023")[0][0] == before
    pipeline.run(["mart_continuum"])
    assert pipeline.last is not None
    assert pipeline.last.success, pipeline.errors()
    assert pipeline.query("select sum(accrued_pen) from core.spending where fiscal_year = 2023")[0][0] == before + 777
    reported = pipeline.query(
        "select fiscal_year, difference from marts.changes_since_last_release where subject = 'spending' and measure = 'accrued_pen'"
    )
    assert reported == [(2023, 777.0)]


def test_a_file_that_the_year_has_not_opened_yet_asks_nothing_of_a_person(tmp_path: Path) -> None:
    store, layers = SnapshotStore(tmp_path), {"mef.budget_execution": all_layers()["mef.budget_execution"]}
    error = Refused("mef.budget_execution", "https://fs.datosabiertos.mef.gob.pe/x.csv", 404)
    store.failed("mef.budget_execution", "2026", error)
    ledger = tmp_path / "mef" / "budget_execution" / "2026" / "ledger.jsonl"
    line = json.loads(ledger.read_text())
    for at, is_permanent in (("2026-01-02T07:00:00.000+00:00", False), ("2026-06-02T07:00:00.000+00:00", True)):
        ledger.write_text(json.dumps(line | {"at": at}) + "\n")
        (incident,) = source_incidents(store, layers).values()
        assert incident.is_permanent is is_permanent, at
        assert ("primeras semanas" in incident.todo) is not is_permanent
