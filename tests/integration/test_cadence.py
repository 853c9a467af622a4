"""Which source is queried tonight, and which is overdue."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import dagster as dg
import pytest
from starlette.responses import Response

from pipelines.definitions import build_definitions
from pipelines.jobs import refresh_config, year_range_tags
from resources.snapshots import SnapshotStore
from restoration.sources.cadence import is_due
from restoration.sources.register import all_layers
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline, keys_without_exports

BY_YEAR = [layer.source for layer in all_layers().values() if layer.is_by_fiscal_year]


def night(pipeline: Pipeline, years: list[int]) -> dg.ExecuteInProcessResult:
    """A run as the weekday's schedule asks for it."""
    definitions = build_definitions(pipeline.settings)
    job = definitions.resolve_job_def("nightly")
    config = refresh_config("due", BY_YEAR) | {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(
            instance=instance,
            tags=year_range_tags(years),
            run_config=config,
            raise_on_error=False,
            asset_selection=keys_without_exports(definitions),
        )


def older(pipeline: Pipeline, days: int) -> None:
    """As if every answer had been received some days earlier."""
    for ledger in (pipeline.data_dir / "snapshots").rglob("ledger.jsonl"):
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
        for line in lines:
            line["at"] = (dt.datetime.fromisoformat(line["at"]) - dt.timedelta(days=days)).isoformat()
        ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))


def asked(pipeline: Pipeline) -> set[str]:
    """Sources whose ledger has a line of the last hour."""
    store, since = (
        SnapshotStore(pipeline.data_dir / "snapshots"),
        (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat(),
    )
    return {
        layer.source
        for layer in all_layers().values()
        for part in store.partitions(layer.source) or [None]
        if any(a.at > since for a in store.attempts(layer.source, part))
    }


def test_a_weekday_asks_daily_sources_and_those_that_are_due(make_pipeline: MakePipeline, world: World) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    older(pipeline, 2)
    daily = {layer.source for layer in all_layers().values() if layer.cadence == "daily"}
    assert night(pipeline, [2025]).success
    assert asked(pipeline) - {"submissions.initiatives", "submissions.indicators"} == daily
    store = SnapshotStore(pipeline.data_dir / "snapshots")
    recent = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).isoformat()
    years = [
        y for y in store.partitions("mef.budget_execution") if store.attempts("mef.budget_execution", y)[-1].at > recent
    ]
    assert years == ["2025"]
    assert pipeline.query("select count(*) from quality.source_status where is_stale") == [(0,)]
    older(pipeline, 5)
    assert night(pipeline, [2025]).success
    assert asked(pipeline) >= {
        layer.source for layer in all_layers().values() if not layer.is_by_fiscal_year and layer.kind != "inbox"
    }


def test_a_source_that_failed_is_queried_again_the_next_night(make_pipeline: MakePipeline, world: World) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    store, layer = SnapshotStore(pipeline.data_dir / "snapshots"), all_layers()["sernanp.national_areas"]
    now = dt.datetime.now(dt.UTC)
    assert not is_due(store, layer, None, now)
    pipeline.servers.faults.by_path["sernanp"] = lambda request, response: Response(status_code=503)
    assert pipeline.publish(), pipeline.errors()
    assert is_due(store, layer, None, now)


def test_a_source_that_is_silent_for_weeks_is_overdue(make_pipeline: MakePipeline, world: World) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    older(pipeline, 40)
    pipeline.servers.faults.by_path["ferm"] = lambda request, response: Response(status_code=503)
    assert pipeline.publish(), pipeline.errors()
    failed = pipeline.failed_checks()
    assert failed["raw_ferm__initiatives:last_good_answer_is_not_overdue"] == "WARN"
    assert not [name for name in failed if "overdue" in name and "ferm" not in name]


def test_the_launchpad_refuses_a_word_it_does_not_know(
    make_pipeline: MakePipeline, world: World, tmp_path: Path
) -> None:
    pipeline = make_pipeline(world)
    job = build_definitions(pipeline.settings).resolve_job_def("nightly")
    config = {"ops": {"source_layers": {"config": {"refresh": "everything"}}}}
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(ValueError, match="write all or due"):
        job.execute_in_process(instance=instance, tags=year_range_tags([2025]), run_config=config)
