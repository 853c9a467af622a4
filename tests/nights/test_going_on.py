"""Runs that resume after a failure, or that build only a part: what is published is never of an older night."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.keys import PUBLISHED
from pipelines.cli.dagster_home import dagster_home
from pipelines.cli.event_log import instance_of
from pipelines.definitions import build_definitions
from pipelines.jobs import year_range_tags
from pipelines.settings import Settings
from restoration.build.replay import replay
from restoration.exports.release import EXPORTS, MANIFEST, REPORT, SUPERSEDED_NOTE
from restoration.linkage import steps
from restoration.sources.register import all_layers
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline, keys_without_exports

SUBMITTED = """codigo;nombre;institucion;estado;tipo;ecosistema;ubigeo;fecha_inicio;superficie_ha
N-1;Recuperación de bofedales en Acora;Gobierno Regional de Puno;En ejecución;Restauración ecológica;Bofedal;210103;2024-05-01;12.5
N-2;Recuperación de bofedales en Ilave;Gobierno Regional de Puno;En ejecución;Restauración ecológica;Bofedal;210501;2024-05-01;8.25
N-3;Recuperación de bofedales en Pilcuyo;Gobierno Regional de Puno;En ejecución;Restauración ecológica;Bofedal;210503;2024-05-01;4
"""


def nightly() -> dg.JobDefinition:
    """The job as a daemon's worker loads it: from the environment."""
    return build_definitions(Settings.from_env()).resolve_job_def("nightly")


@pytest.fixture
def pipeline(make_pipeline: MakePipeline, world: World, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    night = make_pipeline(world, after_a_good_night=True)
    monkeypatch.setenv("RESTAURACION_DATA_DIR", str(night.data_dir))
    monkeypatch.setenv("RESTAURACION_HOSTS_FILE", str(night.settings.hosts_file))
    monkeypatch.setenv("RESTAURACION_FISCAL_YEAR", "2025")
    folder = night.data_dir / "inbox" / "gore_puno"
    folder.mkdir(parents=True)
    (folder / "bofedales.csv").write_text(SUBMITTED, encoding="utf-8")
    return night


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = dagster_home(tmp_path, {"DAGSTER_HOME": str(tmp_path / "home")})["DAGSTER_HOME"]
    with instance_of(Path(home)) as created:
        yield created


def run(instance: dg.DagsterInstance, **options: object) -> dg.ExecuteJobResult:
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return dg.execute_job(
        dg.reconstructable(nightly),
        instance,
        run_config=quiet,
        tags=year_range_tags(range(2020, 2026)),
        raise_on_error=False,
        **options,
    )  # type: ignore[arg-type]


def test_going_on_from_a_failure_publishes_the_night_and_not_the_one_before(
    pipeline: Pipeline, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = steps.identity.grouped

    def fail_once(*arguments: object) -> object:
        monkeypatch.setattr(steps.identity, "grouped", broken)
        raise RuntimeError("the machine had a bad moment")

    monkeypatch.setattr(steps.identity, "grouped", fail_once)
    keys = keys_without_exports(build_definitions(pipeline.settings))
    first = run(instance, asset_selection=keys)
    assert not first.success
    assert pipeline.query(
        "select count(*) from staging.stg_submissions__features where submission like 'gore_puno%'"
    ) == [(0,)]
    again = run(instance, reexecution_options=dg.ReexecutionOptions.from_failure(first.run_id, instance))
    assert again.success, [e.step_failure_data.error for e in again.filter_events(lambda e: e.is_step_failure)]
    ran = {event.step_key for event in again.filter_events(lambda e: e.is_step_success)}
    assert "stg_submissions__features" not in ran, "its step had gone well and is not run again"
    assert pipeline.query(
        "select count(*) from staging.stg_submissions__features where submission like 'gore_puno%'"
    ) == [(3,)]
    assert pipeline.query("select count(*) from core.areas where layer_name like 'gore_puno%'") == [(3,)]
    reported = [
        e
        for e in again.filter_events(lambda e: e.is_step_materialization)
        if e.asset_key == dg.AssetKey("stg_submissions__features")
    ]
    assert reported, "Dagster is informed that the table was built"
    release = pipeline.query("select release_id from meta.releases order by published_at desc limit 1")[0][0]
    received = replay(pipeline.data_dir, pipeline.settings.warehouse, all_layers(), release)
    assert received.differing_rows == {}


def test_a_run_of_one_mart_publishes_no_table_of_an_older_night(pipeline: Pipeline) -> None:
    """And exports that it did not write say that they are of the release before."""
    pipeline.run(["raw_submissions__areas", "raw_submissions__indicators"])
    before = {m: json.loads(m.read_text())["release_id"] for m in manifests(pipeline)}
    assert len(before) == 9
    pipeline.run(["mart_restoration_by_institution"])
    assert pipeline.last is not None
    assert pipeline.last.success, pipeline.errors()
    assert pipeline.query("select count(*) from core.areas where layer_name like 'gore_puno%'") == [(3,)]
    release = pipeline.query("select release_id from meta.releases order by published_at desc limit 1")[0][0]
    for manifest, earlier in before.items():
        reported = json.loads(manifest.read_text())
        assert (reported["release_id"], reported["superseded_by"]) == (earlier, release)
        assert release in (manifest.parent / SUPERSEDED_NOTE).read_text(encoding="utf-8")
    assert pipeline.run(with_exports=True), pipeline.errors()
    release = pipeline.query("select release_id from meta.releases order by published_at desc limit 1")[0][0]
    for manifest in before:
        reported = json.loads(manifest.read_text())
        assert reported["release_id"] == release
        assert "superseded_by" not in reported
        assert not (manifest.parent / SUPERSEDED_NOTE).exists()


def manifests(pipeline: Pipeline) -> list[Path]:
    return [*sorted((pipeline.data_dir / EXPORTS).glob(f"*/{MANIFEST}")), pipeline.data_dir / REPORT / MANIFEST]


def test_a_night_without_changes_makes_no_asset_look_newly_built(make_pipeline: MakePipeline, world: World) -> None:
    """Data versions are kept; the code version of a step is that of its Python, and all differ."""
    pipeline = make_pipeline(world, after_a_good_night=True)

    def versions() -> dict[str, str]:
        assert pipeline.last is not None
        tags = {e.asset_key: e.materialization.tags or {} for e in pipeline.last.get_asset_materialization_events()}
        return {key.to_user_string(): t["dagster/data_version"] for key, t in tags.items()}

    assert pipeline.run(), pipeline.errors()
    first = versions()
    assert pipeline.run(), pipeline.errors()
    second = versions()
    moving = {"quality_source_status", "quality_site", "submission_answers", PUBLISHED.to_user_string()}
    assert {k: v for k, v in first.items() if k not in moving} == {k: v for k, v in second.items() if k not in moving}
    codes = {
        spec.key: spec.code_version
        for spec in build_definitions(pipeline.settings).resolve_all_asset_specs()
        if spec.code_version
    }
    assert len(set(codes.values())) == len(codes)


def test_reported_changes_are_those_of_this_release_even_where_none_of_its_figures_moved(
    make_pipeline: MakePipeline, own_world: World
) -> None:
    """The previous release reported changes; this one differs only in a layer for which no changes are reported."""
    first = make_pipeline(own_world, after_a_good_night=True)
    path = own_world.layers / "serfor_polygons.parquet"
    frame = pl.read_parquet(path)
    code = frame["CODINI"].drop_nulls()[0]
    frame.with_columns(
        SUPMET=pl.when(pl.col("CODINI") == code).then(pl.col("SUPMET") + 1).otherwise(pl.col("SUPMET"))
    ).write_parquet(path)
    second = make_pipeline(own_world, data_dir=first.data_dir)
    assert second.run(), second.errors()
    assert second.query("select count(*) > 0 from marts.changes_since_last_release") == [(True,)]
    reported = second.query("select * from marts.changes_since_last_release order by all")
    assert second.run(), second.errors()
    assert second.query("select * from marts.changes_since_last_release order by all") == reported, (
        "a quiet night is the same release"
    )
    path = own_world.layers / "watersheds.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(NOMBRE=pl.col("NOMBRE") + " (revisada)").write_parquet(path)
    third = make_pipeline(own_world, data_dir=first.data_dir)
    assert third.run(), third.errors()
    assert third.query("select count(*) from meta.releases") == [(3,)]
    assert third.query("select count(*) from marts.changes_since_last_release") == [(0,)]
    shutil.rmtree(third.data_dir)
