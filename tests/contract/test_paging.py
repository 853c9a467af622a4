"""Ways of paging: each one alone returns every feature once, and page sizes follow the size of the rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import orjson
import polars as pl
import pytest
from starlette.requests import Request
from starlette.responses import Response

from resources import arcgis
from resources.arcgis import ArcGIS
from resources.arcgis_pages import ByIds, ByLastId, ByOffset, ByQuadrants, PagingStrategy
from resources.errors import EmptyAnswer, ServiceFault, ShortAnswer
from resources.http import HostPolicy, Http
from resources.snapshots import Draft, SnapshotStore
from restoration.sources.register import SourceLayer
from sandbox.catalogue import MINAM
from sandbox.servers.app import SandboxServers

ECOSYSTEMS = "minam.ecosystems"
QUERY = "ServicioDegradacion/MapServer/11/query"


def read(
    servers: SandboxServers, layer: SourceLayer, draft: Draft, size: int = 200, connections: int = 4
) -> pl.DataFrame:
    http = Http(
        hosts=servers.base_urls,
        read_timeout=5,
        attempts=2,
        first_pause=0.01,
        policies={MINAM: HostPolicy(connections=connections)},
    )
    return pl.concat(ArcGIS(http, size).read_layer(layer.source, layer.url, layer.layer or "", draft).frames())


def asked(servers: SandboxServers) -> list[dict[str, list[str]]]:
    """Queries for features that were received as GET, in order."""
    pages = [r.partition("?")[2] for r in servers.faults.requests if QUERY in r]
    return [q for q in map(parse_qs, pages) if "outFields" in q]


def refusing(*names: str) -> Callable[[Request, Response], Response]:
    """A server that answers an error, inside HTTP 200, to any query with one of these parameters."""

    def fault(request: Request, answer: Response) -> Response:
        given = {*request.query_params, *(parse_qs(getattr(request, "_body", b"").decode()))}
        if given & set(names):
            return Response(orjson.dumps({"error": {"code": 400, "message": "Invalid or missing input parameters."}}))
        return answer

    return fault


@pytest.mark.parametrize("way", [ByOffset(), ByLastId(), ByIds(), ByQuadrants()], ids=lambda way: way.name)
def test_each_way_alone_brings_every_feature_once(
    servers: SandboxServers,
    layers: dict[str, SourceLayer],
    tmp_path: Path,
    way: PagingStrategy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = SnapshotStore(tmp_path)
    whole, alone = store.draft(), store.draft()
    rows = read(servers, layers[ECOSYSTEMS], whole)
    monkeypatch.setattr(arcgis, "paging_strategies", lambda _: [way])
    assert read(servers, layers[ECOSYSTEMS], alone).sort("OBJECTID").equals(rows.sort("OBJECTID"))
    assert alone.snapshot_id == whole.snapshot_id, (
        "the same features are the same snapshot, whatever pages they were received in"
    )
    assert alone.parameters["paging"] == way.name


@pytest.mark.parametrize(
    ("refused", "way"),
    [
        (("resultOffset",), "last_object_id"),
        (("resultOffset", "resultRecordCount"), "id_list"),
        (("resultOffset", "resultRecordCount", "objectIds"), "quadrants"),
    ],
)
def test_a_server_that_refuses_one_way_is_queried_in_the_next(
    servers: SandboxServers, layers: dict[str, SourceLayer], draft: Draft, refused: tuple[str, ...], way: str
) -> None:
    servers.faults.by_path[QUERY] = refusing(*refused)
    assert read(servers, layers[ECOSYSTEMS], draft)["OBJECTID"].n_unique() == 699
    assert draft.parameters["paging"] == way


def test_a_server_that_refuses_every_way_gives_the_first_error(
    servers: SandboxServers, layers: dict[str, SourceLayer], draft: Draft
) -> None:
    servers.faults.by_path[QUERY] = refusing("outFields")
    with pytest.raises(ServiceFault, match="Invalid or missing input parameters"):
        read(servers, layers[ECOSYSTEMS], draft)


def test_pages_shrink_with_the_weight_of_their_rows(
    servers: SandboxServers, layers: dict[str, SourceLayer], draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.arcgis_pages._WANTED_BYTES", 2_000)
    read(servers, layers[ECOSYSTEMS], draft, size=1_000, connections=1)
    first, *later = [int(q["resultRecordCount"][0]) for q in asked(servers)]
    assert first == 10, "the first page weighs the rows"
    assert later
    assert max(later) < first


def test_never_more_requests_at_once_than_the_host_may_have(
    servers: SandboxServers, layers: dict[str, SourceLayer], draft: Draft
) -> None:
    import asyncio

    now, most = 0, 0

    class Slowly(Response):
        async def __call__(self, scope, receive, send):  # type: ignore[no-untyped-def]
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.05)
            await super().__call__(scope, receive, send)
            now -= 1

    servers.faults.by_path[QUERY] = lambda _, good: Slowly(good.body, media_type="application/json")
    read(servers, layers[ECOSYSTEMS], draft, size=20, connections=3)
    assert most == 3


def test_one_feature_short_in_every_way_is_not_whole(
    servers: SandboxServers, layers: dict[str, SourceLayer], draft: Draft
) -> None:
    def without_7(_: Request, answer: Response) -> Response:
        if b'"features"' not in answer.body:
            return answer
        page = orjson.loads(answer.body)
        page["features"] = [f for f in page["features"] if f["attributes"]["OBJECTID"] != 7]
        return Response(orjson.dumps(page))

    servers.faults.by_path[QUERY] = without_7
    with pytest.raises(ShortAnswer, match="counts 699 rows but sent 698"):
        read(servers, layers[ECOSYSTEMS], draft)


def test_a_server_that_finds_nothing_by_its_own_ids_is_not_believed(
    servers: SandboxServers, layers: dict[str, SourceLayer], draft: Draft
) -> None:
    """Koop does this with ids it makes up: `OBJECTID > n` and lists of ids find nothing, and no error says so."""
    empty = Response(orjson.dumps({"features": [], "spatialReference": {"wkid": 4326}}))
    servers.faults.by_path[QUERY] = lambda _, good: empty if b'"features"' in good.body else good
    with pytest.raises(EmptyAnswer):
        read(servers, layers[ECOSYSTEMS], draft)
