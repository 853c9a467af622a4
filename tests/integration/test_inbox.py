"""Submissions: every format is read, every row is accepted or says what to fix, the sensor waits for complete files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import openpyxl
import polars as pl
import pyogrio
import pytest
import shapely
from starlette.responses import Response

from assets.raw import CHECK
from expectations.contracts import read_contract
from pipelines.definitions import build_definitions
from pipelines.inbox_sensor import inbox_sensor
from resources.esri import read_geometries
from resources.inbox import Inbox, answer_path
from resources.snapshots import SnapshotStore
from restoration.sources.extraction import Extraction
from restoration.sources.register import SourceLayer, all_layers
from restoration.submissions.columns import SHEETS, choices
from restoration.submissions.template import write_template
from sandbox.servers.app import SandboxServers
from sandbox.world import LAST_FISCAL_YEAR, World
from tests.conftest import Pipeline, settings_for

RAW = "raw_submissions__areas"


@pytest.fixture(scope="module")
def pipeline(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A night in which an institution of each kind had left a file, one of them unreadable."""
    folder = tmp_path_factory.mktemp("inbox")
    shutil.copytree(world.folder / "inbox", folder / "data" / "inbox")
    (folder / "data" / "inbox" / "ong_tierra" / "roto.xlsx").write_bytes(b"PK\x03\x04 half a workbook")
    with SandboxServers(world) as servers:
        settings = settings_for(folder / "data", servers.write_hosts(folder / "hosts.json"))
        run = Pipeline(folder / "data", servers, settings)
        assert run.publish(), run.errors()
        yield run


def cells(path: Path, sheet: str) -> list[tuple]:
    workbook = openpyxl.load_workbook(path, read_only=True)
    return [tuple(row) for row in workbook[sheet].iter_rows(values_only=True)]


def by_institution(pipeline: Pipeline) -> dict[str, tuple[int, float]]:
    rows = pipeline.query(
        "select split_part(layer_name, '--', 1), count(distinct initiative_id), sum(geometry_ha) from core.areas"
        " where source = 'submissions' group by all"
    )
    return {name: (count, ha) for name, count, ha in rows}


def test_every_format_arrives(pipeline: Pipeline) -> None:
    """GeoPackage (marine-coastal, IMARPE), workbook (agricultural soil, MIDAGRI), KMZ, CSV, zipped shapefile, GeoJSON."""
    assert {name: count for name, (count, _) in by_institution(pipeline).items()} == {
        "imarpe": 2,
        "midagri": 3,
        "gore_tacna": 1,
        "ong_tierra": 1,
        "comunidad_alto_mayo": 2,
        "agroforestal_sac": 1,
    }


def test_a_marine_initiative_is_kept_although_it_lies_off_the_coast(pipeline: Pipeline) -> None:
    rows = pipeline.query(
        "select i.name, a.geometry_ha, a.net_ha from core.areas a join core.initiatives i using (initiative_id)"
        " where a.source = 'submissions' and i.name like '%macroalgas%'"
    )
    assert len(rows) == 2
    assert all(drawn > 0 and net == pytest.approx(drawn, rel=1e-9) for _, drawn, net in rows)


def test_drawn_hectares_are_those_that_were_declared(pipeline: Pipeline) -> None:
    """The sandbox declares what it drew; a file in UTM must lose nothing on its way to EPSG:4326 and back to hectares."""
    rows = pipeline.query(
        "select layer_name, declared_ha, geometry_ha from core.areas where source = 'submissions' and geometry_ha > 0"
    )
    assert len(rows) == 6
    for name, declared, drawn in rows:
        assert drawn == pytest.approx(float(declared), abs=0.01), name


def test_each_submission_has_an_answer_beside_it(pipeline: Pipeline) -> None:
    for path in Inbox(pipeline.data_dir / "inbox").submissions().values():
        assert answer_path(path).exists(), path


def test_rejected_rows_have_instructions_in_spanish(pipeline: Pipeline) -> None:
    answer = answer_path(pipeline.data_dir / "inbox" / "ong_tierra" / "plantaciones.csv")
    header, *rows = cells(answer, "Por corregir")
    by_row = {row[1]: dict(zip(header, row, strict=True)) for row in rows}
    assert set(by_row) == {3, 4}, "the row's number in the file, header being 1"
    said = " ".join(str(v) for row in by_row.values() for v in row.values())
    assert "estado no es ninguno" in said
    assert "casi listo" not in pipeline.query("select string_agg(status) from core.initiatives")[0][0]
    assert "invertidas" in said or "fuera del Perú" in said
    accepted_header, *accepted = cells(answer, "Aceptadas")
    assert len(accepted) == 1
    assert accepted[0][accepted_header.index("iniciativa")].startswith("INI-")


def test_accepted_and_rejected_rows_are_all_rows(pipeline: Pipeline) -> None:
    for name, path in Inbox(pipeline.data_dir / "inbox").submissions().items():
        rows = pipeline.query("select count(*) from staging.stg_submissions__features where submission = ?", name)[0][0]
        reported = [len(cells(answer_path(path), sheet)) - 1 for sheet in ("Aceptadas", "Por corregir")]
        assert sum(reported) == rows, name


def test_a_file_that_cannot_be_read_gets_an_answer_too_and_stops_nothing(pipeline: Pipeline) -> None:
    summary = dict(cells(answer_path(pipeline.data_dir / "inbox" / "ong_tierra" / "roto.xlsx"), "Resumen"))
    assert "cannot be read whole" in summary["No se pudo leer"] or "roto.xlsx" in summary["No se pudo leer"]
    assert "Vuelva a guardar el archivo" in summary["Qué hacer"]
    assert "roto.xlsx" in str(pipeline.check_metadata(RAW, CHECK)["failures"])


def test_an_answer_that_would_say_the_same_is_not_written_again(pipeline: Pipeline) -> None:
    answers = [answer_path(p) for p in Inbox(pipeline.data_dir / "inbox").submissions().values()]
    before = [path.stat().st_mtime_ns for path in answers]
    assert pipeline.publish(), pipeline.errors()
    assert [path.stat().st_mtime_ns for path in answers] == before
    assert len(Inbox(pipeline.data_dir / "inbox").submissions()) == 7, "an answer is no submission"


def test_a_corrected_file_of_the_same_name_replaces_the_first(pipeline: Pipeline) -> None:
    path = pipeline.data_dir / "inbox" / "ong_tierra" / "plantaciones.csv"
    frame = pl.read_csv(path, separator=";", encoding="windows-1252", infer_schema=False)
    frame = frame.with_columns(estado=pl.lit("En ejecución"))
    swapped = pl.col("longitud").cast(pl.Float64) > pl.col("latitud").cast(pl.Float64)
    frame = frame.with_columns(
        longitud=pl.when(swapped).then("latitud").otherwise("longitud"),
        latitud=pl.when(swapped).then("longitud").otherwise("latitud"),
    )
    path.write_text(frame.write_csv(separator=";"), encoding="utf-8-sig")
    assert pipeline.publish(), pipeline.errors()
    assert by_institution(pipeline)["ong_tierra"][0] == 3
    assert cells(answer_path(path), "Por corregir")[1:] == []


def test_a_file_dropped_for_a_source_serves_while_its_server_fails(pipeline: Pipeline, world: World) -> None:
    """SERFOR's submodule has no public address yet: its files are dropped in the inbox."""
    layer = "serfor.restoration_areas"
    before = pipeline.query("select count(*), sum(geometry_ha) from core.areas where source = 'serfor'")
    folder = pipeline.data_dir / "inbox" / "fuentes" / layer
    folder.mkdir(parents=True)
    _export(world, folder / "sniffs.gpkg")
    pipeline.servers.faults.by_path["Servicios_OGC/Restauracion"] = lambda *_: Response(status_code=503)
    try:
        assert pipeline.publish(), pipeline.errors()
        assert pipeline.query("select is_stale from quality.source_status where source = ?", layer) == [(False,)]
        after = pipeline.query("select count(*), sum(geometry_ha) from core.areas where source = 'serfor'")
        assert after[0][0] == before[0][0]
        assert float(after[0][1]) == pytest.approx(float(before[0][1]), rel=1e-6)
        store = SnapshotStore(pipeline.data_dir / "snapshots")
        assert store.current(layer).parameters["dropped"] == "sniffs.gpkg"  # type: ignore[union-attr]
        shutil.rmtree(folder)
        pipeline.run([f"raw_{layer.replace('.', '__')}"])
        assert store.current(layer) == store.of_server(layer), "removed, the server's last answer is used"
    finally:
        pipeline.servers.faults.by_path.clear()
        shutil.rmtree(folder, ignore_errors=True)


def _export(world: World, path: Path) -> None:
    """The submodule's layer as somebody would export it from their desktop."""
    frame = pl.read_parquet(world.layers / "serfor_polygons.parquet")
    shapes, _ = read_geometries([{"geometry": json.loads(g) if g else None} for g in frame["geometry"]])
    names = [c for c in frame.columns if c != "geometry"]
    pyogrio.raw.write(
        path,
        shapes.to_numpy(),
        [np.array(frame[n].to_list(), dtype=object) for n in names],
        names,
        geometry_type="MultiPolygon",
        crs="EPSG:4326",
        promote_to_multi=True,
    )
    assert shapely.from_wkb(shapes[0]).area > 0


# -- the template -----------------------------------------------------------------------------------


def test_the_template_comes_back_as_it_was_filled_in(tmp_path: Path) -> None:
    """Drop-downs offer the code lists, and the workbook's own columns are those the contracts ask for."""
    path = write_template(tmp_path / "plantilla.xlsx")
    workbook = openpyxl.load_workbook(path)
    lists = {c[0].value: [str(x.value) for x in c[1:] if x.value is not None] for c in workbook["Listas"].iter_cols()}
    for name, contract in SHEETS.items():
        sheet, form = workbook[name], read_contract(contract).form
        assert [c.value for c in sheet[1]] == [field.form_name for field in form]
        for field in form:
            if field.choices:
                assert lists[str(field.form_name)] == choices(field)
        drop_downs = [v for v in sheet.data_validations.dataValidation if v.type == "list"]
        assert len(drop_downs) == sum(bool(f.choices) for f in form) > 0
        assert all(c.comment and c.comment.text for c in sheet[1]), "Spanish help on each column"


# -- the sensor -------------------------------------------------------------------------------------


def look(sensor: dg.SensorDefinition, cursor: str | None) -> dg.SensorResult:
    with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance, cursor=cursor) as context:
        return sensor(context)  # type: ignore[return-value]


@pytest.fixture
def inbox_folder(tmp_path: Path) -> Path:
    """An empty inbox beside a published file."""
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse" / "restauracion.duckdb").touch()
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def test_before_the_first_release_the_sensor_leaves_the_inbox_to_the_nightly_run(inbox_folder: Path) -> None:
    published = inbox_folder.parent / "warehouse" / "restauracion.duckdb"
    published.unlink()
    (inbox_folder / "ong").mkdir()
    (inbox_folder / "ong" / "a.csv").write_text("codigo;nombre\n")
    sensor = inbox_sensor(inbox_folder, all_layers(), [], LAST_FISCAL_YEAR)
    assert "Nothing is published yet" in str(look(sensor, look(sensor, None).cursor).skip_reason)
    published.touch()
    assert look(sensor, look(sensor, None).cursor).run_requests


def test_the_sensor_waits_until_a_file_stays_as_it_is(inbox_folder: Path, layers: dict[str, SourceLayer]) -> None:
    sensor = inbox_sensor(inbox_folder, layers, [dg.AssetKey("published_warehouse")], LAST_FISCAL_YEAR)
    nothing = look(sensor, None)
    assert not nothing.run_requests
    folder = inbox_folder / "ong"
    folder.mkdir()
    (folder / "a.csv").write_text("codigo;nombre\n")
    arrived = look(sensor, nothing.cursor)
    assert not arrived.run_requests, "it may still be growing"
    (folder / "a.csv").write_text("codigo;nombre\n1;uno\n")
    grown = look(sensor, arrived.cursor)
    assert not grown.run_requests
    stayed = look(sensor, grown.cursor)
    assert stayed.run_requests
    selected = {key.to_user_string() for key in stayed.run_requests[0].asset_selection or []}
    assert selected == {RAW, "raw_submissions__indicators", "published_warehouse"}
    assert not look(sensor, stayed.cursor).run_requests, "it was asked for once"
    (folder / f"a.csv{'.respuesta.xlsx'}").write_bytes(b"answer")
    assert not look(sensor, stayed.cursor).run_requests, "an answer is no submission"
    (folder / "retirar").mkdir()
    (folder / "a.csv").rename(folder / "retirar" / "a.csv")
    assert look(sensor, look(sensor, stayed.cursor).cursor).run_requests, "a withdrawal is noticed"


def test_the_sensor_asks_for_a_source_whose_file_was_dropped(inbox_folder: Path) -> None:
    sensor = inbox_sensor(inbox_folder, all_layers(), [], LAST_FISCAL_YEAR)
    folder = inbox_folder / "fuentes" / "serfor.restoration_areas"
    folder.mkdir(parents=True)
    (folder / "sniffs.gpkg").write_bytes(b"x")
    stayed = look(sensor, look(sensor, None).cursor)
    assert stayed.run_requests
    keys = {key.to_user_string() for key in stayed.run_requests[0].asset_selection or []}
    assert "raw_serfor__restoration_areas" in keys


def test_what_a_run_has_read_is_asked_for_by_no_sensor(pipeline: Pipeline) -> None:
    """As the first `make ui` after `make run`: a sensor that remembers nothing itself."""
    assert pipeline.publish(), pipeline.errors()
    folder = pipeline.data_dir / "inbox"
    sensor = inbox_sensor(folder, all_layers(), [], LAST_FISCAL_YEAR)
    assert len(Inbox(folder).states()) > 5
    first = look(sensor, None)
    assert not first.run_requests
    assert not look(sensor, first.cursor).run_requests
    (folder / "agroforestal_sac" / "sistemas.geojson").touch()
    assert look(sensor, look(sensor, first.cursor).cursor).run_requests, "what arrived since is noticed"


def test_a_change_of_one_institution_among_thirty_is_noticed_whichever_it_is(inbox_folder: Path) -> None:
    sensor, inbox = inbox_sensor(inbox_folder, all_layers(), [], LAST_FISCAL_YEAR), Inbox(inbox_folder)
    for number in range(30):
        path = inbox_folder / f"institucion_{number:02d}" / "iniciativas.csv"
        path.parent.mkdir()
        path.write_text("codigo;nombre\n")
    inbox.remember(inbox.states(), [], submissions=True)
    cursor = look(sensor, None).cursor
    keys = []
    for number in (0, 15, 29):
        path = inbox_folder / f"institucion_{number:02d}" / "iniciativas.csv"
        path.write_text(f"codigo;nombre\n{number};uno\n")
        asked = look(sensor, look(sensor, cursor).cursor)
        assert asked.run_requests, number
        keys.append(asked.run_requests[0].run_key)
        assert not look(sensor, asked.cursor).run_requests, "asked for once"
        inbox.remember(inbox.states(), [], submissions=True)
        cursor = look(sensor, asked.cursor).cursor
    assert keys == [None] * 3, "Dagster starts no second run of one key, and an earlier state may come again"


def test_a_run_that_crashed_before_it_had_read_remembers_nothing(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(pipeline.data_dir / "inbox")
    before = inbox.read_states()
    (inbox.folder / "agroforestal_sac" / "sistemas.geojson").touch()
    with monkeypatch.context() as patch:
        patch.setattr(Extraction, "refresh_all", lambda *_: 1 / 0)
        pipeline.run([RAW, "raw_submissions__indicators"])
    assert "ZeroDivisionError" in pipeline.errors()
    assert inbox.read_states() == before != inbox.states()
    pipeline.run([RAW, "raw_submissions__indicators"])
    assert inbox.read_states() == inbox.states()


def test_the_run_that_the_sensor_asks_for_reads_a_file_of_a_year_too(pipeline: Pipeline, world: World) -> None:
    source = "mef.budget_execution"
    folder = Inbox(pipeline.data_dir / "inbox").source_folder(source)
    folder.mkdir(parents=True)
    frame = pl.read_csv(world.files / "2021-Gasto-Devengado.csv", infer_schema=False)
    first = pl.int_range(pl.len()) == 0
    frame = frame.with_columns(META=pl.when(first).then(pl.lit("999")).otherwise("META"))
    frame.write_csv(folder / "envio.csv", quote_style="always")
    definitions = build_definitions(pipeline.settings)
    sensor = definitions.resolve_sensor_def("inbox_arrivals")
    (request,) = look(sensor, look(sensor, None).cursor).run_requests or []
    keys = {key.to_user_string() for key in request.asset_selection or []}
    assert {k for k in keys if k.startswith("raw_")} == {"raw_mef__budget_execution"}
    wanted = [
        k for k in request.asset_selection or [] if definitions.resolve_asset_graph().get(k).group_name != "exports"
    ]
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def(sensor.targets[0].job_name)
        assert job.execute_in_process(
            instance=instance,
            asset_selection=wanted,
            tags=request.tags,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        ).success
    store = SnapshotStore(pipeline.data_dir / "snapshots")
    assert store.current(source, "2021").parameters["dropped"] == "envio.csv"  # type: ignore[union-attr]
    assert not look(sensor, None).run_requests
