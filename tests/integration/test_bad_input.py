"""Bad input: each kind ends in an error or a quarantine reason that a person understands, and nothing is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlsplit

import orjson
import polars as pl
import pytest
import shapely
from starlette.requests import Request
from starlette.responses import Response

from assets.raw import CHECK
from restoration.sources.register import SourceLayer
from sandbox.catalogue import SERVICES
from sandbox.servers.app import SandboxServers
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline, settings_for, with_layer

RECOVERY = "Seguimiento a la recuperación de áreas degradadas"


def change_feature(world: World, name: str, row: int, **values: object) -> dict[str, object]:
    """Change one feature of a layer; returns it as it was."""
    path = world.layers / f"{name}.parquet"
    rows = pl.read_parquet(path).to_dicts()
    was = dict(rows[row])
    rows[row] |= values
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    return was


def good_rows(world: World) -> Iterator[int]:
    """Features of MINAM alone in their record, with a simple polygon and no dirt."""
    frame = pl.read_parquet(world.layers / "minam_polygons.parquet").with_row_index("row")
    truth = pl.read_parquet(world.truth / "areas.parquet").filter(pl.col("registry") == "minam")
    clean = set(truth.filter(pl.col("quarantine_reason").is_null())["source_record_id"])
    for row in frame.iter_rows(named=True):
        alone = frame.filter(pl.col("COD_INIC") == row["COD_INIC"]).height == 1
        if alone and row["geometry"] and row["COD_INIC"] in clean and len(json.loads(row["geometry"])["rings"][0]) > 12:
            yield int(row["row"])


def crosses_itself(ring: list[list[float]], first: int) -> bool:
    """Whether exchanging two neighbouring corners makes the ring cross itself."""
    turned = [*ring[:first], ring[first + 1], ring[first], *ring[first + 2 :]]
    return not shapely.Polygon(turned).is_valid


def reasons(pipeline: Pipeline, record: str) -> list[str]:
    rows = pipeline.query(
        "select reason_es from quality.quarantine where json_extract_string(record, 'source_record_id') = ?", record
    )
    return [r[0] for r in rows]


def test_a_renamed_layer_keeps_the_last_good_snapshot(make_pipeline: MakePipeline, own_world: World) -> None:
    services = with_layer(SERVICES, RECOVERY, name="Seguimiento a la restauración")
    second = make_pipeline(own_world, services=services, after_a_good_night=True)
    assert second.publish(), "the run goes on with the last good snapshot"
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
    created = {e.asset_key.to_user_string() for e in pipeline.last.get_asset_materialization_events()}
    assert "core_spending_monthly" in created
    assert "stg_serfor__features" in created
    assert "stg_minam__features" not in created
    assert "core_initiatives" not in created
    assert not pipeline.published.exists()


def test_duplicate_object_ids_are_refused(make_pipeline: MakePipeline, own_world: World) -> None:
    frame = pl.read_parquet(own_world.layers / "minam_polygons.parquet")
    change_feature(own_world, "minam_polygons", 5, OBJECTID=frame["OBJECTID"][4])
    second = make_pipeline(own_world, after_a_good_night=True)
    assert second.publish()
    message = str(second.check_metadata("raw_minam__recovery_areas", CHECK)["failures"])
    assert "1 object ids occur more than once" in message
    assert second.query(
        "select last_error is not null from quality.source_status where source = 'minam.recovery_areas'"
    ) == [(True,)]


@dataclass(frozen=True)
class BadNight:
    """A night over a world with faults that do not touch each other: each damaged feature of MINAM as it was."""

    pipeline: Pipeline
    crossing: dict[str, object]
    swapped: dict[str, object]
    zero_lost: dict[str, object]
    nowhere: dict[str, object]
    status: dict[str, object]


@pytest.fixture(scope="module")
def bad(good_night: Pipeline, world: World, tmp_path_factory: pytest.TempPathFactory) -> BadNight:
    folder = tmp_path_factory.mktemp("bad")
    shutil.copytree(world.folder, folder / "world")
    shutil.copytree(good_night.data_dir, folder / "data", symlinks=True)
    damaged, layer = World(folder / "world"), "minam_polygons"
    crossing, swapped, nowhere, status = rows = list(islice(good_rows(world), 4))
    frame = pl.read_parquet(damaged.layers / f"{layer}.parquet").with_row_index("row")
    alone = frame.group_by("COD_INIC").len().filter(pl.col("len") == 1)["COD_INIC"]
    zero_lost = frame.filter(
        pl.col("UBIGEO").str.starts_with("0")
        & (pl.col("UBIGEO").str.len_chars() == 6)
        & pl.col("COD_INIC").is_in(alone.implode())
        & ~pl.col("row").is_in(rows)
    ).row(0, named=True)
    ring = json.loads(frame["geometry"][crossing])["rings"][0]
    first = next(i for i in range(1, len(ring) - 2) if crosses_itself(ring, i))
    ring[first], ring[first + 1] = ring[first + 1], ring[first]
    turned = [[[y, x] for x, y in ring] for ring in json.loads(frame["geometry"][swapped])["rings"]]
    budget = damaged.files / "2022-Gasto-Devengado.csv"
    lines = pl.read_csv(budget, infer_schema=False).with_row_index("row")
    of_144 = lines.filter(pl.col("PROGRAMA_PPTO") == "0144", pl.col("MONTO_DEVENGADO_ANUAL").cast(pl.Float64) > 0)
    small = of_144.sort(pl.col("MONTO_PIM").cast(pl.Float64))["row"]  # or the totals would be too far off to publish
    codes = {small[0]: "144", small[1]: "0999"}  # a lost zero; an unknown code under a known name
    lines.with_columns(
        PROGRAMA_PPTO=pl.col("row").replace_strict(codes, default=pl.col("PROGRAMA_PPTO"), return_dtype=pl.String)
    ).drop("row").write_csv(budget, quote_style="always")
    shorter = damaged.files / "2023-Gasto-Devengado.csv"
    shorter.write_bytes(b"".join(shorter.read_bytes().splitlines(keepends=True)[:700]))
    was = {
        "crossing": change_feature(damaged, layer, crossing, geometry=orjson.dumps({"rings": [ring]}).decode()),
        "swapped": change_feature(damaged, layer, swapped, geometry=orjson.dumps({"rings": turned}).decode()),
        "zero_lost": change_feature(damaged, layer, zero_lost["row"], UBIGEO=zero_lost["UBIGEO"][1:]),
        "nowhere": change_feature(damaged, layer, nowhere, geometry=None, UBIGEO="999999"),
        "status": change_feature(damaged, layer, status, ESTADO=7),
    }
    with SandboxServers(damaged) as servers:
        servers.faults.by_path |= {
            "Restauracion": lambda *_: Response(status_code=503),
            "ServicioRecuperacion/MapServer/1?": lambda *_: Response(b'{"fields": [{"name": 3}]}'),
            "Inventario_Forestal/MapServer?": lambda *_: Response(b"[1, 2]", media_type="application/json"),
        }
        settings = settings_for(folder / "data", servers.write_hosts(folder / "hosts.json"))
        pipeline = Pipeline(folder / "data", servers, settings)
        assert pipeline.run(), pipeline.errors()
    return BadNight(pipeline, **was)


def test_a_csv_cut_between_two_rows_is_refused(bad: BadNight) -> None:
    assert "raise allowed_shrink in mef.yml" in str(
        bad.pipeline.check_metadata("raw_mef__budget_execution", CHECK)["failures"]
    )


def test_damaged_programme_codes_go_to_quarantine(bad: BadNight) -> None:
    rows = bad.pipeline.query(
        "select json_extract_string(record, 'programme_code'), reason_es, json_extract(record, 'accrued_pen')::decimal(18,2)"
        " from quality.quarantine where source = 'mef' order by all"
    )
    assert [code for code, *_ in rows] == ["0999", "144"]
    assert all("código de programa está dañado" in reason for _, reason, _ in rows)
    difference = bad.pipeline.query(
        "select accrued_difference_pen from marts.spending_by_programme where fiscal_year = 2022 and programme_code = '0144'"
    )[0][0]
    assert -difference == sum(accrued for *_, accrued in rows), "the soles that are not in the total are in quarantine"


def test_a_polygon_that_crosses_itself_is_repaired_and_marked(bad: BadNight) -> None:
    rows = bad.pipeline.query(
        "select is_repaired, geometry_ha, net_ha from core.areas where source_record_id = ?", bad.crossing["COD_INIC"]
    )
    assert rows
    assert all(is_repaired and drawn > 0 for is_repaired, drawn, _ in rows)
    assert bad.pipeline.failed_checks()["std_areas:polygon_does_not_cross_itself"] == "WARN"


def test_swapped_axes_go_to_quarantine(bad: BadNight) -> None:
    record = str(bad.swapped["COD_INIC"])
    assert any("coordenadas están invertidas" in reason for reason in reasons(bad.pipeline, record))
    assert bad.pipeline.query("select count(*) from core.areas where source_record_id = ?", record) == [(0,)]


def test_a_ubigeo_that_lost_its_zero_gets_it_back(bad: BadNight) -> None:
    whole = str(bad.zero_lost["UBIGEO"])
    rows = bad.pipeline.query(
        "select ubigeo, ubigeo_at_source, is_ubigeo_repaired from staging.std_initiatives where source_record_id = ?",
        bad.zero_lost["COD_INIC"],
    )
    assert rows == [(whole, whole[1:], True)]
    assert bad.pipeline.failed_checks()["std_initiatives:ubigeo_kept_its_leading_zero"] == "WARN"


def test_a_record_without_a_polygon_and_with_an_unknown_ubigeo_cannot_be_placed(bad: BadNight) -> None:
    assert any("no se puede ubicar" in reason for reason in reasons(bad.pipeline, str(bad.nowhere["COD_INIC"])))


def test_an_unknown_status_goes_to_quarantine_with_its_areas(bad: BadNight) -> None:
    found = reasons(bad.pipeline, str(bad.status["COD_INIC"]))
    assert any("estado no es ninguno" in reason for reason in found)
    assert any("iniciativa de esta área está en cuarentena" in reason for reason in found)


def test_an_answer_of_a_shape_nobody_foresaw_concerns_its_source_alone(bad: BadNight) -> None:
    for asset in ("raw_serfor__fragile_ecosystems", "raw_minam__recovery_points"):
        assert "the answer cannot be read" in str(bad.pipeline.check_metadata(asset, CHECK)["failures"])


def test_what_fails_does_not_stop_the_others(bad: BadNight) -> None:
    """Of five sources with a fault four keep their snapshot; MINAM's areas, where only rows were bad, are read."""
    stale = bad.pipeline.query("select stale_sources from meta.releases order by published_at")[-1][0]
    assert set(stale) == {
        "mef.budget_execution",
        "minam.recovery_points",
        "serfor.fragile_ecosystems",
        "serfor.restoration_areas",
    }


def one_short(_: Request, answer: Response) -> Response:
    """One row is missing from every page, whatever way it is asked for."""
    payload = orjson.loads(answer.body)
    if "features" not in payload:
        return answer
    payload["features"] = payload["features"][:-1]
    payload.pop("exceededTransferLimit", None)
    return Response(orjson.dumps(payload), media_type="application/json")


def test_an_answer_that_is_not_whole_is_refused(make_pipeline: MakePipeline, own_world: World) -> None:
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    figures = pipeline.query("select sum(geometry_ha), sum(net_ha), count(*) from areas")
    pipeline.servers.faults.by_path["Restauracion/MapServer/0/query"] = one_short
    assert pipeline.publish(), pipeline.errors()
    assert "the answer is not whole" in str(pipeline.check_metadata("raw_serfor__restoration_areas", CHECK)["failures"])
    assert pipeline.failed_checks()[f"raw_serfor__restoration_areas:{CHECK}"] == "ERROR"
    assert pipeline.query("select sum(geometry_ha), sum(net_ha), count(*) from areas") == figures
    assert pipeline.query(
        "select is_stale, last_good_at < last_failed_at from quality.source_status where source = 'serfor.restoration_areas'"
    ) == [(True, True)]
    pipeline.servers.faults.by_path.clear()
    assert pipeline.publish(), pipeline.errors()
    assert pipeline.query("select bool_or(is_stale) from quality.source_status") == [(False,)], (
        "it comes back by itself"
    )


def test_sources_that_were_never_read_leave_empty_tables_and_a_release(
    make_pipeline: MakePipeline, own_world: World, layers: dict[str, SourceLayer]
) -> None:
    """Every source but the essential ones fails from the first night on: their tables are empty and reported."""
    pipeline = make_pipeline(own_world)
    silent = {layer.source: layer for layer in layers.values() if not layer.is_essential and layer.kind != "inbox"}
    pieces = [urlsplit(layer.url_for("2024") if layer.url_from_year else layer.url).path for layer in silent.values()]
    pieces = [piece for piece in pieces if "Interoperabilidad" not in piece]
    pieces += ["ig_provincia", "ig_departamento", "-Gasto.csv", "-Gasto-Mensual.csv"]
    for piece in pieces:
        pipeline.servers.faults.by_path[piece] = lambda *_: Response(status_code=404)
    assert pipeline.publish(), pipeline.errors()
    stale, since = pipeline.query("select stale_sources, stale_since from meta.releases")[0]
    assert set(stale) == set(silent)
    assert all("never read" in text for text in since)
    for table in ("core.protected_areas", "core.gap_contributions"):
        assert pipeline.query(f"select count(*) from {table}") == [(0,)]
    assert pipeline.query("select count(*) from areas")[0][0] > 100
    assert pipeline.query("select count(*) from spending")[0][0] > 100
    pipeline.servers.faults.by_path.clear()
    assert pipeline.publish(), pipeline.errors()
    assert pipeline.query("select count(*) > 0 from core.protected_areas") == [(True,)], (
        "it is read once the source answers"
    )
