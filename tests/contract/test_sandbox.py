"""The sandbox itself: a true partition, deterministic worlds, servers that answer like the real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import requests
import shapely

from dbt_like_sql.seeds import read_seed
from sandbox.catalogue import FILES_PATH, INEI, MEF, MINAM, SERFOR, WFS_PATH, WFS_TYPE
from sandbox.geography import make_ground
from sandbox.servers.app import SandboxServers
from sandbox.world import World, world_at

RECOVERY = "/arcgis/rest/services/ServicioRecuperacion/MapServer"


@pytest.fixture(scope="module")
def servers(world: World) -> Iterator[SandboxServers]:
    with SandboxServers(world) as running:
        yield running


def ask(servers: SandboxServers, **parameters: object) -> dict:
    url = servers.base_urls[MINAM] + RECOVERY + "/2/query"
    answer = requests.get(url, params={"f": "json", "where": "1=1"} | parameters, timeout=10)  # type: ignore[arg-type]
    assert answer.status_code == 200
    return answer.json()


def test_districts_are_a_partition_of_the_country() -> None:
    ground = make_ground(1, 0.1)
    shapes = shapely.from_wkb(ground.districts["geometry"].to_numpy())
    assert len(shapes) == 1_891
    assert shapely.is_valid(shapes).all()
    union = shapely.union_all(shapes)
    assert union.area == pytest.approx(shapely.area(shapes).sum(), rel=1e-12), "no overlap"
    assert union.area == pytest.approx(ground.outline.area, rel=1e-7), "no gap"
    assert ground.districts["ubigeo"].str.slice(0, 4).n_unique() == 196
    assert ground.districts["ubigeo"].str.slice(0, 2).n_unique() == 25
    assert 125e6 < ground.districts["area_ha"].sum() < 132e6


def test_every_ecosystem_and_every_intervened_cover_occurs() -> None:
    ground = make_ground(1, 1)
    assert set(ground.ecosystems["ecosystem_code"]) == set(read_seed("ecosystems")["ecosystem_code"])


def test_degraded_hectares_of_2022_are_the_published_ones() -> None:
    assert make_ground(1, 1).degradation[2022]["area_ha"].sum() == pytest.approx(19.3e6, rel=0.01)


def test_the_same_seed_makes_the_same_world_and_another_seed_another(tmp_path: Path) -> None:
    def digests(world: World) -> dict[str, str]:
        return {
            str(p.relative_to(world.folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(world.folder.rglob("*"))
            if p.is_file() and p.name != "world.json"
        }

    one, two = world_at(tmp_path / "a", 7, 0.05), world_at(tmp_path / "b", 7, 0.05)
    assert digests(one) == digests(two)
    other = digests(world_at(tmp_path / "a", 8, 0.05))
    assert other["layers/minam_polygons.parquet"] != digests(one)["layers/minam_polygons.parquet"]


def test_each_initiative_is_known_to_one_to_three_registries(world: World) -> None:
    records = pl.read_parquet(world.truth / "records.parquet")
    initiatives = pl.read_parquet(world.truth / "initiatives.parquet")
    known = records.group_by("initiative_key").agg(pl.col("registry").n_unique())
    with_cui = dict(initiatives.select("initiative_key", pl.col("cui").is_not_null()).iter_rows())
    counts = [n + with_cui[key] for key, n in known.iter_rows()]
    assert known.height == initiatives.height
    assert min(counts) == 1
    assert max(counts) == 3
    assert initiatives["kind"].n_unique() == 6


def test_the_wide_files_have_the_real_columns(world: World) -> None:
    expected = read_seed("mef_wide_columns")["column_name"].to_list()
    paths = sorted(world.files.glob("*Gasto-Devengado*"))
    assert len(paths) == 6
    for path in paths:
        assert path.read_bytes().startswith(b'\xef\xbb\xbf"ANO_EJE"')
        assert pl.read_csv(path, infer_schema=False, n_rows=1).columns == expected
    assert len(expected) == 73
    investments = pl.read_csv(world.files / "DETALLE_INVERSIONES.csv", infer_schema=False)
    assert investments.columns == read_seed("invierte_detalle_columns")["column_name"].to_list()
    assert investments.width == 68
    assert investments["NOMBRE_INVERSION"].str.contains("\n").any(), "embedded newlines"


def test_errors_come_inside_http_200(servers: SandboxServers) -> None:
    assert ask(servers, where="NO_SUCH_FIELD = 1")["error"]["code"] == 400
    assert ask(servers, outFields="NO_SUCH_FIELD")["error"]["code"] == 400


def test_where_count_ids_and_object_ids(servers: SandboxServers) -> None:
    count = ask(servers, where="ESTADO = 2", returnCountOnly="true")["count"]
    ids = ask(servers, where="ESTADO = 2", returnIdsOnly="true")["objectIds"]
    assert count == len(ids)
    some = ",".join(map(str, ids[:3]))
    by_post = requests.post(
        servers.base_urls[MINAM] + RECOVERY + "/2/query",
        data={"f": "json", "objectIds": some, "outFields": "*"},
        timeout=10,
    ).json()
    assert [f["attributes"]["OBJECTID"] for f in by_post["features"]] == ids[:3]


def test_the_page_cap_holds_and_is_said(servers: SandboxServers) -> None:
    page = ask(servers, resultRecordCount=5, orderByFields="OBJECTID DESC", outFields="OBJECTID")
    assert page["exceededTransferLimit"] is True
    oids = [f["attributes"]["OBJECTID"] for f in page["features"]]
    assert oids == sorted(oids, reverse=True)
    assert len(oids) == 5


def test_geojson_has_its_flag_in_properties(servers: SandboxServers) -> None:
    page = ask(servers, f="geojson", resultRecordCount=2, outFields="*")
    assert page["properties"] == {"exceededTransferLimit": True}
    assert page["features"][0]["geometry"]["type"] == "MultiPolygon"


def test_a_layer_stored_in_utm_is_sent_in_what_is_asked(servers: SandboxServers) -> None:
    url = servers.base_urls[SERFOR] + "/geoservicios/rest/services/Servicios_OGC/Restauracion/MapServer/0/query"
    stored = requests.get(url, params={"f": "json", "where": "1=1", "resultRecordCount": 1}, timeout=10).json()
    asked = requests.get(
        url, params={"f": "json", "where": "1=1", "resultRecordCount": 1, "outSR": 4326}, timeout=10
    ).json()
    assert stored["spatialReference"]["wkid"] == 32718
    assert stored["features"][0]["geometry"]["rings"][0][0][0] > 1_000
    assert -82 < asked["features"][0]["geometry"]["rings"][0][0][0] < -68


def test_domains_and_dates_are_described(servers: SandboxServers) -> None:
    url = servers.base_urls[MINAM] + RECOVERY + "/2"
    fields = {f["name"]: f for f in requests.get(url, params={"f": "json"}, timeout=10).json()["fields"]}
    assert {v["code"] for v in fields["ESTADO"]["domain"]["codedValues"]} == {1, 2, 3}
    assert fields["FEC_INI"]["type"] == "esriFieldTypeDate"


def test_the_file_host_speaks_range_and_etag(servers: SandboxServers) -> None:
    url = f"{servers.base_urls[MEF]}{FILES_PATH}/2020-Gasto-Devengado.csv"
    whole = requests.get(url, timeout=10)
    part = requests.get(url, headers={"Range": "bytes=3-9"}, timeout=10)
    assert part.status_code == 206
    assert part.content == whole.content[3:10]
    assert requests.get(url, headers={"If-None-Match": whole.headers["ETag"]}, timeout=10).status_code == 304
    assert whole.headers["X-Sandbox"]


def test_the_wfs_swaps_axes_with_the_form_of_srs_name(servers: SandboxServers) -> None:
    asked = {
        "service": "WFS",
        "version": "2.0.0",
        "request": "GetFeature",
        "typeNames": WFS_TYPE,
        "count": 1,
        "outputFormat": "application/json",
    }
    url = servers.base_urls[INEI] + WFS_PATH
    short = requests.get(url, params=asked | {"srsName": "EPSG:4326"}, timeout=10).json()
    urn = requests.get(url, params=asked | {"srsName": "urn:ogc:def:crs:EPSG::4326"}, timeout=10).json()
    first = lambda page: page["features"][0]["geometry"]["coordinates"][0][0]  # noqa: E731
    assert first(short) == first(urn)[::-1]
    assert requests.get(url, params=asked | {"startIndex": 5}, timeout=10).status_code == 400, (
        "no paging without sortBy"
    )
