"""Columns that come, go or change their name: told, kept, and never more than one source's trouble."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl

from assets.sources.raw import CHECK, COLUMNS_CHECK
from resources.snapshots import SnapshotStore
from sandbox.catalogue import SERVICES, Field, Service
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline

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


def test_a_new_column_of_a_layer_warns_and_is_kept(make_pipeline: MakePipeline, own_world: World) -> None:
    first = make_pipeline(own_world, after_a_good_night=True)
    drift = "select count(*) from quality.source_status where len(added_columns) + len(removed_columns) > 0"
    assert first.query(drift) == [(0,)], "a first time is no drift"
    figures = first.query(FIGURES)
    path = own_world.layers / f"{LAYER}.parquet"
    pl.read_parquet(path).with_columns(RESP_TEC=pl.lit("Ing. Quispe")).write_parquet(path)
    services = with_field(SERVICES, LAYER, Field("RESP_TEC", "String", "Responsable técnico"))
    second = make_pipeline(own_world, services=services, data_dir=first.data_dir)
    for night in ("the night it comes", "the night after"):
        assert second.run(), second.errors()
        assert second.failed_checks()[f"{RAW}:{COLUMNS_CHECK}"] == "WARN", night
        assert second.check_metadata(RAW, COLUMNS_CHECK)["added"] == ["RESP_TEC"]
        assert second.query(
            "select added_columns, removed_columns, is_stale from quality.source_status where source = ?", SOURCE
        ) == [(["RESP_TEC"], [], False)]
    kept = pl.read_parquet(raw_file(second, SOURCE))
    assert kept["RESP_TEC"].unique().to_list() == ["Ing. Quispe"]
    assert second.query(FIGURES) == figures


def test_a_new_column_of_the_wide_file_warns_and_its_bytes_are_kept(
    make_pipeline: MakePipeline, own_world: World
) -> None:
    """Raw keeps the columns that are declared; the snapshot keeps every byte, and the warning names the new one."""
    first = make_pipeline(own_world, after_a_good_night=True)
    money = (
        "select fiscal_year, sum(accrued_pen), sum(modified_pen), count(*) from core.spending group by all order by all"
    )
    before = first.query(money)
    path = own_world.files / "2022-Gasto-Devengado.csv"
    frame = pl.read_csv(path, infer_schema=False)
    frame.insert_column(3, pl.lit("X").alias("COLUMNA_NUEVA")).write_csv(path, quote_style="always")
    second = make_pipeline(own_world, data_dir=first.data_dir)
    assert second.run(), second.errors()
    raw = "raw_mef__budget_execution"
    assert second.failed_checks()[f"{raw}:{COLUMNS_CHECK}"] == "WARN"
    assert second.check_metadata(raw, COLUMNS_CHECK)["added"] == ["2022: COLUMNA_NUEVA"]
    assert second.query(money) == before
    kept = pl.read_parquet(raw_file(second, "mef.budget_execution", "2022"))
    assert "COLUMNA_NUEVA" in kept.columns, "what nobody knows yet is kept"
    assert "META_NOMBRE" not in kept.columns, "what the register leaves out is in the snapshot alone"
    store = SnapshotStore(second.data_dir / "snapshots")
    manifest = store.current("mef.budget_execution", "2022")
    assert manifest
    assert store.read(manifest.parts[0]) == path.read_bytes()


def test_an_optional_column_that_goes_warns_and_a_needed_one_stops_its_source_alone(
    make_pipeline: MakePipeline, own_world: World
) -> None:
    first = make_pipeline(own_world, after_a_good_night=True)
    closed = own_world.files / "CIERRE_INVERSIONES.csv"
    frame = pl.read_csv(closed, infer_schema=False)
    frame.drop("DES_BRECHA").write_csv(closed, quote_style="always")
    gaps = own_world.files / "INVERSIONES_BRECHAS.csv"
    pl.read_csv(gaps, infer_schema=False).rename({"CONTRIBUCION": "CONTRIB_BRECHA"}).write_csv(
        gaps, quote_style="always"
    )
    second = make_pipeline(own_world, data_dir=first.data_dir)
    assert second.run(), second.errors()
    assert second.check_metadata("raw_invierte__closed", COLUMNS_CHECK)["removed"] == ["DES_BRECHA"]
    message = str(second.check_metadata("raw_invierte__gaps", CHECK)["failures"])
    assert "columns ['CONTRIBUCION'] are missing" in message
    assert "CONTRIBUCION may be 'CONTRIB_BRECHA' now" in message
    assert second.query("select source from quality.source_status where is_stale") == [("invierte.gaps",)]
