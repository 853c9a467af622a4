"""Bad input: each kind ends in an error or a quarantine reason that a person understands, and nothing is lost."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import orjson
import polars as pl
import pytest
import shapely
from starlette.requests import Request
from starlette.responses import Response

from assets.sources.raw import CHECK
from assets.sources.register import SourceLayer
from sandbox.catalogue import SERVICES
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline, digest, with_layer

RECOVERY = "Seguimiento a la recuperación de áreas degradadas"


def change_feature(world: World, name: str, row: int, **values: object) -> dict[str, object]:
    """Change one feature of a layer; returns it as it was."""
    path = world.layers / f"{name}.parquet"
    rows = pl.read_parquet(path).to_dicts()
    was = dict(rows[row])
    rows[row] |= values
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    return was


def good_row(pipeline_world: World, name: str = "minam_polygons") -> int:
    """A feature alone in its record, with a simple polygon and no dirt."""
    frame = pl.read_parquet(pipeline_world.layers / f"{name}.parquet").with_row_index("row")
    truth = pl.read_parquet(pipeline_world.truth / "areas.parquet").filter(pl.col("registry") == "minam")
    clean = set(truth.filter(pl.col("quarantine_reason").is_null())["source_record_id"])
    for row in frame.iter_rows(named=True):
        alone = frame.filter(pl.col("COD_INIC") == row["COD_INIC"]).height == 1
        if alone and row["geometry"] and row["COD_INIC"] in clean and len(json.loads(row["geometry"])["rings"][0]) > 12:
            return int(row["row"])
    raise AssertionError("no clean feature")


def crosses_itself(ring: list[list[float]], first: int) -> bool:
    """Whether exchanging two neighbouring corners makes the pen cross its own line."""
    turned = [*ring[:first], ring[first + 1], ring[first], *ring[first + 2 :]]
    return not shapely.Polygon(turned).is_valid


def reasons(pipeline: Pipeline, record: str) -> list[str]:
    rows = pipeline.query(
        "select reason_es from quality.quarantine where json_extract_string(record, 'source_record_id') = ?", record
    )
    return [r[0] for r in rows]


def run_twice(make_pipeline: MakePipeline, world: World, damage: object) -> tuple[Pipeline, Pipeline, str]:
    """A good night, damage, new servers for a second one; returns both pipelines and the first file's digest."""
    first = make_pipeline(world, after_a_good_night=True)
    before = digest(first.published)
    services = damage() or SERVICES  # type: ignore[operator]
    second = make_pipeline(world, services=services, data_dir=first.data_dir)
    return first, second, before


def test_a_renamed_layer_keeps_the_last_good_snapshot(make_pipeline: MakePipeline, own_world: World) -> None:
    _, second, _ = run_twice(
        make_pipeline, own_world, lambda: with_layer(SERVICES, RECOVERY, name="Seguimiento a la restauración")
    )
    assert second.run(), "the run goes on with the last good snapshot"
    message = str(second.check_metadata("raw_minam__recovery_areas", CHECK)["failures"])
    assert "no layer matches" in message
    assert "Seguimiento a la restauración" in message, "the error names what the service has"
    assert "mend `layer` in the register" in message
    assert second.query("select stale_sources from meta.releases") == [(["minam.recovery_areas"],)]
    assert second.query("select count(*) from areas")[0][0] > 100


def test_a_renamed_layer_that_was_never_read_stops_only_what_needs_it(
    make_pipeline: MakePipeline, own_world: World
) -> None:
    pipeline = make_pipeline(own_world, services=with_layer(SERVICES, RECOVERY, name="Otra cosa"))
    assert not pipeline.run()
    assert pipeline.last is not None
    made = {e.asset_key.to_user_string() for e in pipeline.last.get_asset_materialization_events()}
    assert "core_spending_monthly" in made
    assert "stg_serfor__features" in made
    assert "stg_minam__features" not in made
    assert "core_initiatives" not in made
    assert not pipeline.published.exists()


def test_duplicate_object_ids_are_refused(make_pipeline: MakePipeline, own_world: World) -> None:
    def damage() -> None:
        frame = pl.read_parquet(own_world.layers / "minam_polygons.parquet")
        change_feature(own_world, "minam_polygons", 5, OBJECTID=frame["OBJECTID"][4])

    _, second, _ = run_twice(make_pipeline, own_world, damage)
    assert second.run()
    message = str(second.check_metadata("raw_minam__recovery_areas", CHECK)["failures"])
    assert "1 object ids occur more than once" in message
    assert second.query(
        "select last_error is not null from quality.source_status where source = 'minam.recovery_areas'"
    ) == [(True,)]


def test_a_csv_cut_in_the_middle_is_refused(make_pipeline: MakePipeline, own_world: World) -> None:
    def damage() -> None:
        path = own_world.files / "2023-Gasto-Devengado.csv"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    first, second, _ = run_twice(make_pipeline, own_world, damage)
    before = first.query("select fiscal_year, sum(accrued_pen) from core.spending group by all order by all")
    assert second.run()
    message = str(second.check_metadata("raw_mef__budget_execution", CHECK)["failures"])
    assert "2023-Gasto-Devengado.csv cannot be read whole" in message
    assert second.query("select fiscal_year, sum(accrued_pen) from core.spending group by all order by all") == before


def test_a_csv_cut_between_two_rows_is_refused(make_pipeline: MakePipeline, own_world: World) -> None:
    def damage() -> None:
        path = own_world.files / "2023-Gasto-Devengado.csv"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:700]))

    _, second, _ = run_twice(make_pipeline, own_world, damage)
    assert second.run()
    assert "raise allowed_shrink in mef.yml" in str(
        second.check_metadata("raw_mef__budget_execution", CHECK)["failures"]
    )


@pytest.mark.parametrize(("code", "what"), [("144", "a lost zero"), ("0999", "an unknown code under a known name")])
def test_a_damaged_programme_code_goes_to_quarantine(
    make_pipeline: MakePipeline, own_world: World, code: str, what: str
) -> None:
    path = own_world.files / "2022-Gasto-Devengado.csv"
    frame = pl.read_csv(path, infer_schema=False).with_row_index("row")
    line = frame.filter(pl.col("PROGRAMA_PPTO") == "0144").row(3, named=True)
    frame.with_columns(
        PROGRAMA_PPTO=pl.when(pl.col("row") == line["row"]).then(pl.lit(code)).otherwise(pl.col("PROGRAMA_PPTO"))
    ).drop("row").write_csv(path, quote_style="always")
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    assert pipeline.run(), pipeline.errors()
    rows = pipeline.query(
        "select reason_es, json_extract_string(record, 'programme_code'), json_extract(record, 'accrued_pen')::decimal(18,2)"
        " from quality.quarantine where source = 'mef'"
    )
    assert len(rows) == 1, what
    assert "código de programa está dañado" in rows[0][0]
    assert rows[0][1] == code
    difference = pipeline.query(
        "select accrued_difference_pen from marts.spending_by_programme where fiscal_year = 2022 and programme_code = '0144'"
    )[0][0]
    assert -difference == rows[0][2], "the sol that is not in the total is the one in quarantine"


def test_a_polygon_that_crosses_itself_is_repaired_and_marked(make_pipeline: MakePipeline, own_world: World) -> None:
    row = good_row(own_world)
    was = change_feature(own_world, "minam_polygons", row)
    ring = json.loads(str(was["geometry"]))["rings"][0]
    first = next(i for i in range(1, len(ring) - 2) if crosses_itself(ring, i))
    ring[first], ring[first + 1] = ring[first + 1], ring[first]
    change_feature(own_world, "minam_polygons", row, geometry=orjson.dumps({"rings": [ring]}).decode())
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    assert pipeline.run(), pipeline.errors()
    rows = pipeline.query(
        "select is_repaired, geometry_ha, source_ha, net_ha from core.areas where source_record_id = ?", was["COD_INIC"]
    )
    assert rows
    assert all(r[0] for r in rows)
    assert all(r[1] > 0 for r in rows)
    assert pipeline.failed_checks()["std_areas:polygon_does_not_cross_itself"] == "WARN"


def test_swapped_axes_go_to_quarantine(make_pipeline: MakePipeline, own_world: World) -> None:
    row = good_row(own_world)
    was = change_feature(own_world, "minam_polygons", row)
    rings = [[[y, x] for x, y in ring] for ring in json.loads(str(was["geometry"]))["rings"]]
    change_feature(own_world, "minam_polygons", row, geometry=orjson.dumps({"rings": rings}).decode())
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    assert pipeline.run(), pipeline.errors()
    found = reasons(pipeline, str(was["COD_INIC"]))
    assert any("coordenadas están invertidas" in reason for reason in found)
    assert pipeline.query("select count(*) from core.areas where source_record_id = ?", was["COD_INIC"]) == [(0,)]


def test_a_ubigeo_that_lost_its_zero_gets_it_back(make_pipeline: MakePipeline, own_world: World) -> None:
    frame = pl.read_parquet(own_world.layers / "minam_polygons.parquet").with_row_index("row")
    counts = frame.group_by("COD_INIC").len().filter(pl.col("len") == 1)["COD_INIC"]
    row = frame.filter(
        pl.col("UBIGEO").str.starts_with("0")
        & (pl.col("UBIGEO").str.len_chars() == 6)
        & pl.col("COD_INIC").is_in(counts.implode())
    ).row(0, named=True)
    change_feature(own_world, "minam_polygons", row["row"], UBIGEO=row["UBIGEO"][1:])
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    assert pipeline.run(), pipeline.errors()
    rows = pipeline.query(
        "select ubigeo, ubigeo_at_source, is_ubigeo_repaired from staging.std_initiatives where source_record_id = ?",
        row["COD_INIC"],
    )
    assert rows == [(row["UBIGEO"], row["UBIGEO"][1:], True)]
    assert pipeline.failed_checks()["std_initiatives:ubigeo_kept_its_leading_zero"] == "WARN"


def test_a_record_without_a_polygon_and_with_an_unknown_ubigeo_cannot_be_placed(
    make_pipeline: MakePipeline, own_world: World
) -> None:
    row = good_row(own_world)
    was = change_feature(own_world, "minam_polygons", row, geometry=None, UBIGEO="999999")
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    assert pipeline.run(), pipeline.errors()
    assert any("no se puede ubicar" in reason for reason in reasons(pipeline, str(was["COD_INIC"])))


def test_an_unknown_status_goes_to_quarantine_with_its_areas(make_pipeline: MakePipeline, own_world: World) -> None:
    row = good_row(own_world)
    was = change_feature(own_world, "minam_polygons", row, ESTADO=7)
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    assert pipeline.run(), pipeline.errors()
    found = reasons(pipeline, str(was["COD_INIC"]))
    assert any("estado no es ninguno" in reason for reason in found)
    assert any("iniciativa de esta área está en cuarentena" in reason for reason in found)


def empty(_: Request, answer: Response) -> Response:
    if b'"features"' not in answer.body:
        return answer
    return Response(b'{"features": [], "spatialReference": {"wkid": 4326}}', media_type="application/json")


def one_short(_: Request, answer: Response) -> Response:
    """One row is missing from every page, whatever way it is asked for."""
    payload = orjson.loads(answer.body)
    if "features" not in payload:
        return answer
    payload["features"] = payload["features"][:-1]
    payload.pop("exceededTransferLimit", None)
    return Response(orjson.dumps(payload), media_type="application/json")


@pytest.mark.parametrize(
    ("fault", "words"),
    [(empty, "the answer holds no rows"), (one_short, "the answer is not whole")],
    ids=["an empty answer", "one row short of the server's own count"],
)
def test_an_answer_that_is_not_whole_is_refused(
    make_pipeline: MakePipeline, own_world: World, fault: object, words: str
) -> None:
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    figures = pipeline.query("select sum(geometry_ha), sum(net_ha), count(*) from areas")
    pipeline.servers.faults.by_path["Restauracion/MapServer/0/query"] = fault  # type: ignore[assignment]
    assert pipeline.run(), pipeline.errors()
    assert words in str(pipeline.check_metadata("raw_serfor__restoration_areas", CHECK)["failures"])
    assert pipeline.failed_checks()[f"raw_serfor__restoration_areas:{CHECK}"] == "ERROR"
    assert pipeline.query("select sum(geometry_ha), sum(net_ha), count(*) from areas") == figures
    assert pipeline.query(
        "select is_stale, last_good_at < last_failed_at from quality.source_status where source = 'serfor.restoration_areas'"
    ) == [(True, True)]
    pipeline.servers.faults.by_path.clear()
    assert pipeline.run(), pipeline.errors()
    assert pipeline.query("select bool_or(is_stale) from quality.source_status") == [(False,)], (
        "it comes back by itself"
    )


def test_an_answer_of_a_shape_nobody_foresaw_concerns_its_source_alone(
    make_pipeline: MakePipeline, own_world: World
) -> None:
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    pipeline.servers.faults.by_path["Restauracion/MapServer?"] = lambda *_: Response(
        b"[1, 2]", media_type="application/json"
    )
    pipeline.servers.faults.by_path["ServicioRecuperacion/MapServer/1?"] = lambda *_: Response(
        b'{"fields": [{"name": 3}]}'
    )
    assert pipeline.run(), pipeline.errors()
    for asset in ("raw_serfor__restoration_areas", "raw_minam__recovery_points"):
        assert "the answer cannot be read" in str(pipeline.check_metadata(asset, CHECK)["failures"])
    assert len(pipeline.query("select stale_sources from meta.releases")[-1][0]) == 2


def test_sources_that_were_never_read_leave_empty_tables_and_a_release(
    make_pipeline: MakePipeline, own_world: World, layers: dict[str, SourceLayer]
) -> None:
    """Every source but the essential ones is silent from the first night on: their tables are empty, and it is said."""
    pipeline = make_pipeline(own_world)
    silent = {layer.source: layer for layer in layers.values() if not layer.is_essential and layer.kind != "inbox"}
    pieces = [urlsplit(layer.url_for("2024") if layer.url_from_year else layer.url).path for layer in silent.values()]
    pieces = [piece for piece in pieces if "Interoperabilidad" not in piece]
    pieces += ["ig_provincia", "ig_departamento", "-Gasto.csv", "-Gasto-Mensual.csv"]
    for piece in pieces:
        pipeline.servers.faults.by_path[piece] = lambda *_: Response(status_code=404)
    assert pipeline.run(), pipeline.errors()
    stale, since = pipeline.query("select stale_sources, stale_since from meta.releases")[0]
    assert set(stale) == set(silent)
    assert all("never read" in text for text in since)
    for table in ("core.protected_areas", "core.gap_contributions"):
        assert pipeline.query(f"select count(*) from {table}") == [(0,)]
    assert pipeline.query("select count(*) from areas")[0][0] > 100
    assert pipeline.query("select count(*) from spending")[0][0] > 100
    pipeline.servers.faults.by_path.clear()
    assert pipeline.run(), pipeline.errors()
    assert pipeline.query("select count(*) > 0 from core.protected_areas") == [(True,)], "it comes when it comes"


def test_a_dead_host_does_not_stop_the_others(make_pipeline: MakePipeline, own_world: World) -> None:
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    pipeline.servers.faults.by_path["Restauracion"] = lambda *_: Response(status_code=503)
    frame = pl.read_parquet(own_world.layers / "minam_polygons.parquet")
    frame.head(int(frame.height * 0.95)).write_parquet(own_world.layers / "minam_polygons.parquet")
    again = make_pipeline(own_world, data_dir=pipeline.data_dir)
    again.servers.faults.by_path["Restauracion"] = lambda *_: Response(status_code=503)
    assert again.run(), again.errors()
    rows = again.query(
        "select source, is_stale from quality.source_status where source in ('minam.recovery_areas', 'serfor.restoration_areas') order by all"
    )
    assert rows == [("minam.recovery_areas", False), ("serfor.restoration_areas", True)]


def test_a_year_file_that_is_a_copy_of_another_year_is_not_taken(make_pipeline: MakePipeline, own_world: World) -> None:
    def damage() -> None:
        (own_world.files / "2024-Gasto-Devengado.csv").write_bytes(
            (own_world.files / "2023-Gasto-Devengado.csv").read_bytes()
        )

    first, second, _ = run_twice(make_pipeline, own_world, damage)
    before = first.query("select fiscal_year, sum(accrued_pen) from core.spending group by all order by all")
    assert second.run(), second.errors()
    assert "byte for byte the file of 2023" in str(
        second.check_metadata("raw_mef__budget_execution", CHECK)["failures"]
    )
    assert second.query("select fiscal_year, sum(accrued_pen) from core.spending group by all order by all") == before
    assert second.query("select partition from quality.source_status where is_stale") == [("2024",)]
