"""Clients against servers that fail, over real HTTP."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import orjson
import polars as pl
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from resources import arcgis, wfs
from resources.arcgis import ArcGIS
from resources.downloads import Downloads
from resources.errors import (
    EmptyAnswer,
    LayerAmbiguous,
    LayerChanged,
    LayerNotFound,
    Refused,
    ServiceFault,
    SourceError,
    TokenRequired,
    TransientSourceError,
    UnexpectedFormat,
    WrongReference,
)
from resources.fetch_result import FetchResult
from resources.http import Http
from resources.snapshots import SnapshotStore
from restoration.sources.register import SourceLayer
from sandbox.catalogue import SERVICES
from sandbox.servers.app import SandboxServers
from sandbox.world import World

RECOVERY = "minam.recovery_areas"
PAGES = "ServicioRecuperacion/MapServer/2/query?outFields"


def read(http: Http, store: SnapshotStore, layer: SourceLayer, page_size: int = 1_000) -> pl.DataFrame:
    part = "2024" if layer.is_in_parts else None
    return whole(ArcGIS(http, page_size).read_layer(layer.source, layer.url, layer.layer or "", store.draft(), part))


def whole(fetched: FetchResult) -> pl.DataFrame:
    frame = pl.concat(fetched.frames())
    assert frame.height == fetched.rows
    return frame


def pages_only(fault: Callable[[Request, Response], Response]) -> Callable[[Request, Response], Response]:
    """The fault on answers with features, whatever way they are asked for; counts and lists of ids stay good."""

    def changed(request: Request, good: Response) -> Response:
        return fault(request, good) if b'"features"' in good.body else good

    return changed


def first_time_only(servers: SandboxServers, piece: str, bad: Response) -> None:
    """The first answer is bad, the next ones are good."""

    def fault(_: Request, good: Response) -> Response:
        servers.faults.by_path.pop(piece, None)
        return bad

    servers.faults.by_path[piece] = fault


def test_pages_of_every_size_give_the_same_rows(
    http: Http, store: SnapshotStore, layers: dict[str, SourceLayer]
) -> None:
    rows = read(http, store, layers[RECOVERY])
    for size in (7, 100, rows.height, rows.height - 1):
        assert read(http, store, layers[RECOVERY], size).equals(rows)


def test_a_server_without_paging_is_read_by_object_id(
    servers: SandboxServers, store: SnapshotStore, http: Http, layers: dict[str, SourceLayer], world: World
) -> None:
    services = tuple(
        dataclasses.replace(
            s, max_record_count=50, layers=tuple(dataclasses.replace(x, supports_pagination=False) for x in s.layers)
        )
        for s in SERVICES
    )
    rows = read(http, store, layers[RECOVERY])
    with SandboxServers(world, services) as old:
        assert read(Http(hosts=old.base_urls, first_pause=0.01), store, layers[RECOVERY]).equals(rows)
        assert any("OBJECTID+%3E" in r for r in old.faults.requests)


def test_the_snapshot_can_be_read_again_without_a_server(
    http: Http, store: SnapshotStore, layers: dict[str, SourceLayer]
) -> None:
    layer, draft = layers[RECOVERY], store.draft()
    rows = whole(ArcGIS(http, 100).read_layer(layer.source, layer.url, layer.layer or "", draft))
    assert pl.concat(arcgis.read_stored(layer.source, store, draft.parts)).equals(rows)


def test_every_year_is_found_by_name(http: Http, layers: dict[str, SourceLayer]) -> None:
    layer = layers["minam.degradation"]
    years = ArcGIS(http).parts(layer.source, layer.url, layer.layer or "")
    assert years == [str(year) for year in range(2014, 2025)]
    found = ArcGIS(http).find_layer(layer.source, layer.url, layer.layer or "", "2016")
    assert found.name == "Degradación 2016"


def test_a_name_that_fits_two_layers_is_refused(http: Http, layers: dict[str, SourceLayer]) -> None:
    with pytest.raises(LayerAmbiguous, match="make `layer` in the register narrower"):
        ArcGIS(http).find_layer("minam.degradation", layers["minam.degradation"].url, "Degradación 202.")


def test_a_group_layer_is_no_layer(http: Http, layers: dict[str, SourceLayer]) -> None:
    with pytest.raises(LayerNotFound):
        ArcGIS(http).find_layer(RECOVERY, layers[RECOVERY].url, "Recuperación de ecosistemas")


@pytest.mark.parametrize(
    "bad",
    [
        PlainTextResponse("busy", status_code=503),
        PlainTextResponse("slow down", status_code=429, headers={"Retry-After": "0"}),
        Response(b'{"features": [{"attributes": {"OBJ', media_type="application/json"),
        Response(b"", media_type="application/json"),
        Response(
            b'{"error": {"code": 500, "message": "Error performing query operation"}}', media_type="application/json"
        ),
    ],
    ids=["503", "429 with Retry-After", "truncated JSON", "empty body", "error 500 inside 200"],
)
def test_what_a_retry_may_fix_is_retried(
    servers: SandboxServers, http: Http, store: SnapshotStore, layers: dict[str, SourceLayer], bad: Response
) -> None:
    first_time_only(servers, PAGES, bad)
    assert read(http, store, layers[RECOVERY]).height > 100


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (PlainTextResponse("no", status_code=403), Refused, "HTTP 403"),
        (PlainTextResponse("gone", status_code=404), Refused, "check the url"),
        (HTMLResponse("<html><title>Iniciar sesión</title></html>"), UnexpectedFormat, "expected JSON, got a web page"),
        (Response(b'{"error": {"code": 499, "message": "Token Required"}}'), TokenRequired, "restricted"),
        (Response(b'{"message": "hello"}'), UnexpectedFormat, "expected features"),
        (
            Response(
                b'{"features": [{"attributes": {"OBJECTID": 1}}], "spatialReference": {"wkid": 102100, "latestWkid": 3857}}'
            ),
            WrongReference,
            "asked for EPSG:4326",
        ),
    ],
)
def test_what_no_retry_fixes_is_final_and_requested_once(
    servers: SandboxServers,
    http: Http,
    store: SnapshotStore,
    layers: dict[str, SourceLayer],
    bad: Response,
    error: type[SourceError],
    words: str,
) -> None:
    servers.faults.by_path[PAGES] = lambda *_: bad
    with pytest.raises(error, match=words):
        read(http, store, layers[RECOVERY])
    assert len([r for r in servers.faults.requests if PAGES in r]) == 1


@pytest.mark.parametrize(
    ("bad", "error", "words"),
    [
        (Response(b'{"error": {"code": 400, "message": "Invalid query"}}'), ServiceFault, "error 400: Invalid query"),
        (
            Response(b'{"features": [], "spatialReference": {"wkid": 4326}}'),
            EmptyAnswer,
            "never replaces a good snapshot",
        ),
    ],
)
def test_what_another_form_of_query_may_fix_is_queried_in_every_form(
    servers: SandboxServers,
    http: Http,
    store: SnapshotStore,
    layers: dict[str, SourceLayer],
    bad: Response,
    error: type[SourceError],
    words: str,
) -> None:
    servers.faults.by_path["ServicioRecuperacion/MapServer/2/query"] = pages_only(lambda *_: bad)
    with pytest.raises(error, match=words):
        read(http, store, layers[RECOVERY])
    asked = [r for r in servers.faults.requests if "ServicioRecuperacion/MapServer/2/query" in r]
    assert any("resultOffset" in r for r in asked)
    assert any("OBJECTID+%3E" in r for r in asked)
    assert any(r.endswith("query?") for r in asked), "by POST"


def test_a_server_that_stays_down_is_abandoned_after_all_tries(
    servers: SandboxServers, http: Http, store: SnapshotStore, layers: dict[str, SourceLayer]
) -> None:
    servers.faults.by_path["ServicioRecuperacion"] = lambda *_: PlainTextResponse("down", status_code=500)
    with pytest.raises(TransientSourceError, match="HTTP 500"):
        read(http, store, layers[RECOVERY])
    assert len([r for r in servers.faults.requests if "ServicioRecuperacion" in r]) == 3


def test_no_server_at_all(store: SnapshotStore, layers: dict[str, SourceLayer], quick_http: Http) -> None:
    quick_http.hosts["geoservidorperu.minam.gob.pe"] = "http://127.0.0.1:9"
    with pytest.raises(TransientSourceError, match=r"no answer from geoservidorperu\.minam\.gob\.pe: .*refused"):
        read(quick_http, store, layers[RECOVERY])


def test_a_layer_that_changes_while_it_is_read_is_read_again_and_then_refused(
    servers: SandboxServers, http: Http, store: SnapshotStore, layers: dict[str, SourceLayer]
) -> None:
    counts = iter(range(1_000, 2_000))
    servers.faults.by_path["returnCountOnly"] = lambda *_: Response(orjson.dumps({"count": next(counts)}))
    with pytest.raises(LayerChanged, match="changed while it was read"):
        read(http, store, layers[RECOVERY])


def test_districts_come_whole_and_longitude_first(
    http: Http, store: SnapshotStore, layers: dict[str, SourceLayer]
) -> None:
    layer, draft = layers["inei.districts"], store.draft()
    fetched = wfs.Wfs(http).read_type(layer.source, layer.url, layer.layer or "", "ubigeo", draft)
    rows = whole(fetched)
    assert fetched.rows_at_server == rows.height == 1_891
    assert rows["ubigeo"].n_unique() == 1_891
    assert len(draft.parts) == 2, "the server gives 1,000 a page"
    assert pl.concat(wfs.read_stored(layer.source, store, draft.parts)).equals(rows)


def test_swapped_axes_of_a_wfs_are_corrected(
    servers: SandboxServers, http: Http, store: SnapshotStore, layers: dict[str, SourceLayer]
) -> None:
    layer = layers["inei.districts"]
    right = whole(wfs.Wfs(http).read_type(layer.source, layer.url, layer.layer or "", "ubigeo", store.draft()))

    def swap(_: Request, answer: Response) -> Response:
        payload = orjson.loads(answer.body)
        for feature in payload["features"]:
            feature["geometry"]["coordinates"] = _turned(feature["geometry"]["coordinates"])
        return Response(orjson.dumps(payload), media_type="application/json")

    servers.faults.by_path["startIndex"] = swap
    turned = whole(wfs.Wfs(http).read_type(layer.source, layer.url, layer.layer or "", "ubigeo", store.draft()))
    assert turned.equals(right)


def _turned(value: list) -> list:
    return value[::-1] if isinstance(value[0], int | float) else [_turned(v) for v in value]


def test_an_exception_report_is_an_error_even_with_status_200(
    servers: SandboxServers, http: Http, store: SnapshotStore, layers: dict[str, SourceLayer]
) -> None:
    report = b'<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/1.1"><ows:Exception><ows:ExceptionText>no such type</ows:ExceptionText></ows:Exception></ows:ExceptionReport>'
    servers.faults.by_path["startIndex"] = lambda *_: Response(report, media_type="text/xml")
    layer = layers["inei.districts"]
    with pytest.raises(ServiceFault, match="no such type"):
        wfs.Wfs(http).read_type(layer.source, layer.url, layer.layer or "", "ubigeo", store.draft())


def test_a_file_is_read_once_and_then_only_asked_for(
    http: Http, store: SnapshotStore, layers: dict[str, SourceLayer]
) -> None:
    layer = layers["mef.budget_execution"]
    draft = store.draft()
    url = layer.url_for("2021")
    part = Downloads(http).read_file(layer.source, url, draft, None)
    assert part
    terms = {"rows_at_server": None, "licence": "", "disclaimer": "", "allowed_shrink": 0.1}
    manifest, _ = store.commit(draft, layer.source, "2021", url=url, rows=1, **terms)  # type: ignore[arg-type]
    assert manifest.etag
    assert manifest.last_modified == "Wed, 31 Dec 2025 12:00:00 GMT"
    assert manifest.is_sandbox
    assert Downloads(http).read_file(layer.source, url, store.draft(), manifest) is None


def test_a_file_shorter_than_announced_is_transient(
    servers: SandboxServers, http: Http, store: SnapshotStore, layers: dict[str, SourceLayer]
) -> None:
    class Cut(Response):
        async def __call__(self, scope, receive, send):  # type: ignore[no-untyped-def]
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5000")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise ConnectionResetError

    servers.faults.by_path["2021-Gasto"] = lambda *_: Cut()
    layer = layers["mef.budget_execution"]
    with pytest.raises(TransientSourceError):
        Downloads(http).read_file(layer.source, layer.url_for("2021"), store.draft(), None)


def test_a_web_page_in_place_of_a_file_is_refused(
    servers: SandboxServers, http: Http, store: SnapshotStore, layers: dict[str, SourceLayer]
) -> None:
    servers.faults.by_path["2021-Gasto"] = lambda *_: HTMLResponse("<!DOCTYPE html><title>Incapsula</title>")
    layer = layers["mef.budget_execution"]
    with pytest.raises(UnexpectedFormat, match="expected a data file, got a web page"):
        Downloads(http).read_file(layer.source, layer.url_for("2021"), store.draft(), None)


def test_a_retry_waits_as_long_as_the_server_says(
    servers: SandboxServers, layers: dict[str, SourceLayer], store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waits.append)
    first_time_only(servers, PAGES, PlainTextResponse("", status_code=429, headers={"Retry-After": "7"}))
    read(Http(hosts=servers.base_urls), store, layers[RECOVERY])
    assert waits == [7.0]
