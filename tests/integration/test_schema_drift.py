"""Columns that are added, removed or renamed: reported, kept, and a problem of one source at most."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from assets.raw import CHECK, COLUMNS_CHECK
from resources.snapshots import SnapshotStore
from sandbox.catalogue import SERVICES, Field, Service
from sandbox.servers.app import SandboxServers
from sandbox.world import World
from tests.conftest import Pipeline, settings_for

LAYER, SOURCE = "minam_polygons", "minam.recovery_areas"
RAW = "raw_minam__recovery_areas"
FIGURES = "select count(*), sum(geometry_ha), sum(net_ha) from core.areas"


def with_field(services: tuple[Service, ...], data: str, field: Field) -> tuple[Service, ...]:
    """The same services; one layer has a field more."""
    return tuple(
        dataclasses.replace(
            s,
            layers=tuple(dataclasses.replace(x, fields=(*x.fields, field)) if x.data == data else x for x in s.layers),
        )
        for s in services
    )


def raw_file(pipeline: Pipeline, source: str, partition: str | None = None) -> Path:
    institution, _, name = source.partition(".")
    manifest = SnapshotStore(pipeline.data_dir / "snapshots").current(source, partition)
    assert manifest
    home = pipeline.data_dir / "lake" / "raw" / institution / name
    return (home / partition if partition else home) / f"{manifest.snapshot_id}.parquet"


@dataclass(frozen=True)
class Drift:
    """Two nights after columns were added and removed; the results of the checks in the first."""

    pipeline: Pipeline
    world: World
    first_failed: dict[str, str]
    first_added: object


@pytest.fixture(scope="module")
def drift(good_night: Pipeline, world: World, tmp_path_factory: pytest.TempPathFactory) -> Drift:
    folder = tmp_path_factory.mktemp("drift")
    shutil.copytree(world.folder, folder / "world")
    shutil.copytree(good_night.data_dir, folder / "data", symlinks=True)
    changed = World(folder / "world")
    layer = changed.layers / f"{LAYER}.parquet"
    pl.read_parquet(layer).with_columns(RESP_TEC=pl.lit("Ing. Quispe")).write_parquet(layer)
    services = with_field(SERVICES, LAYER, Field("RESP_TEC", "String", "Responsable técnico"))
    for name, change in {
        "2022-Gasto-Devengado.csv": lambda wide: wide.insert_column(3, pl.lit("X").alias("COLUMNA_NUEVA")),
        "CIERRE_INVERSIONES.csv": lambda closed: closed.drop("DES_BRECHA"),
        "INVERSIONES_BRECHAS.csv": lambda gaps: gaps.rename({"CONTRIBUCION": "CONTRIB_BRECHA"}),
    }.items():
        path = changed.files / name
        change(pl.read_csv(path, infer_schema=False)).write_csv(path, quote_style="always")
    with SandboxServers(changed, services) as servers:
        settings = settings_for(folder / "data", servers.write_hosts(folder / "hosts.json"))
        pipeline = Pipeline(folder / "data", servers, settings)
        assert pipeline.publish(), pipeline.errors()
        failed, added = pipeline.failed_checks(), pipeline.check_metadata(RAW, COLUMNS_CHECK)["added"]
        assert pipeline.publish(), pipeline.errors()
    return Drift(pipeline, changed, failed, added)


def test_a_first_time_is_no_drift(good_night: Pipeline) -> None:
    drifted = "select count(*) from quality.source_status where len(added_columns) + len(removed_columns) > 0"
    assert good_night.query(drifted) == [(0,)]


def test_a_new_column_of_a_layer_warns_and_is_kept(drift: Drift, good_night: Pipeline) -> None:
    night = drift.pipeline
    assert drift.first_failed[f"{RAW}:{COLUMNS_CHECK}"] == "WARN"
    assert night.failed_checks()[f"{RAW}:{COLUMNS_CHECK}"] == "WARN", "and the night after"
    assert drift.first_added == night.check_metadata(RAW, COLUMNS_CHECK)["added"] == ["RESP_TEC"]
    status = "select added_columns, removed_columns, is_stale from quality.source_status where source = ?"
    assert night.query(status, SOURCE) == [(["RESP_TEC"], [], False)]
    kept = pl.read_parquet(raw_file(night, SOURCE))
    assert kept["RESP_TEC"].unique().to_list() == ["Ing. Quispe"]
    assert night.query(FIGURES) == good_night.query(FIGURES)


def test_a_new_column_of_the_wide_file_warns_and_its_bytes_are_kept(drift: Drift, good_night: Pipeline) -> None:
    """Raw keeps the columns that are declared; the snapshot keeps every byte, and the warning names the new one."""
    night, raw = drift.pipeline, "raw_mef__budget_execution"
    assert night.failed_checks()[f"{raw}:{COLUMNS_CHECK}"] == "WARN"
    assert night.check_metadata(raw, COLUMNS_CHECK)["added"] == ["2022: COLUMNA_NUEVA"]
    money = (
        "select fiscal_year, sum(accrued_pen), sum(modified_pen), count(*) from core.spending group by all order by all"
    )
    assert night.query(money) == good_night.query(money)
    kept = pl.read_parquet(raw_file(night, "mef.budget_execution", "2022"))
    assert "COLUMNA_NUEVA" in kept.columns, "what nobody knows yet is kept"
    assert "META_NOMBRE" not in kept.columns, "what the register leaves out is in the snapshot alone"
    store = SnapshotStore(night.data_dir / "snapshots")
    manifest = store.current("mef.budget_execution", "2022")
    assert manifest
    assert store.read(manifest.parts[0]) == (drift.world.files / "2022-Gasto-Devengado.csv").read_bytes()


def test_an_optional_column_that_goes_warns_and_a_needed_one_stops_its_source_alone(drift: Drift) -> None:
    night = drift.pipeline
    assert night.check_metadata("raw_invierte__closed", COLUMNS_CHECK)["removed"] == ["DES_BRECHA"]
    message = str(night.check_metadata("raw_invierte__gaps", CHECK)["failures"])
    assert "columns ['CONTRIBUCION'] are missing" in message
    assert "CONTRIBUCION may be 'CONTRIB_BRECHA' now" in message
    assert night.query("select source from quality.source_status where is_stale") == [("invierte.gaps",)]
