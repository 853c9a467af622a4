"""The WFS client against servers that count badly, page badly or write GML alone."""

from __future__ import annotations

from pathlib import Path

import orjson
import polars as pl
import pyogrio
import pytest
import shapely
from starlette.requests import Request
from starlette.responses import Response

from resources import wfs
from resources.errors import DuplicateObjectIds, LayerChanged, ShortAnswer, UnsafeXml
from resources.fetch_result import FetchResult
from resources.http import Http
from resources.snapshots import Draft, SnapshotStore
from resources.wfs import Capabilities
from restoration.sources.register import SourceLayer
from sandbox.servers.app import Fault, SandboxServers
from sandbox.world import World

HITS = '<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs/2.0" numberMatched="{}" numberReturned="0"/>'


@pytest.fixture
def layer(layers: dict[str, SourceLayer]) -> SourceLayer:
    return layers["inei.districts"]


def read(servers: SandboxServers, layer: SourceLayer, draft: Draft) -> FetchResult:
    http = Http(hosts=servers.base_urls, read_timeout=5, attempts=2, first_pause=0.01)
    return wfs.Wfs(http).read_type(layer.source, layer.url, layer.layer or "", "ubigeo", draft)


def xml(text: str) -> Response:
    return Response(text, media_type="text/xml")


def always_the_first_page() -> Fault:
    """A server that ignores startIndex."""
    first: list[Response] = []

    def fault(_: Request, answer: Response) -> Response:
        first.append(answer)
        return first[0]

    return fault


def test_a_count_that_is_a_cap_ends_no_reading(
    servers: SandboxServers, layer: SourceLayer, draft: Draft, world: World
) -> None:
    """MapServer says 500 where it returns 500 per request, however many there are."""
    servers.faults.by_path["resultType=hits"] = lambda *_: xml(HITS.format(500))
    fetched = read(servers, layer, draft)
    assert fetched.rows == pl.read_parquet(world.layers / "districts.parquet").height
    assert fetched.rows_at_server is None


def test_an_unknown_count_is_read_until_a_page_is_empty(
    servers: SandboxServers, layer: SourceLayer, draft: Draft, world: World
) -> None:
    servers.faults.by_path["resultType=hits"] = lambda *_: xml(HITS.format("unknown"))
    assert read(servers, layer, draft).rows == pl.read_parquet(world.layers / "districts.parquet").height


def test_fewer_rows_than_counted_are_not_whole(servers: SandboxServers, layer: SourceLayer, draft: Draft) -> None:
    servers.faults.by_path["resultType=hits"] = lambda *_: xml(HITS.format(2_000))
    with pytest.raises(ShortAnswer, match="counts 2000 rows but sent 1891"):
        read(servers, layer, draft)


def test_a_type_that_grows_while_it_is_read_is_refused(
    servers: SandboxServers, layer: SourceLayer, draft: Draft
) -> None:
    counts = iter(range(1_891, 2_000))
    servers.faults.by_path["resultType=hits"] = lambda *_: xml(HITS.format(next(counts)))
    with pytest.raises(LayerChanged):
        read(servers, layer, draft)


def test_a_server_that_ignores_the_start_is_noticed(servers: SandboxServers, layer: SourceLayer, draft: Draft) -> None:
    servers.faults.by_path["startIndex"] = always_the_first_page()
    with pytest.raises(DuplicateObjectIds):
        read(servers, layer, draft)


def test_a_small_type_of_such_a_server_comes_whole(
    servers: SandboxServers, layers: dict[str, SourceLayer], draft: Draft
) -> None:
    """Everything was received with the first page; the second one repeats it and is ignored."""
    servers.faults.by_path["startIndex"] = always_the_first_page()
    fetched = read(servers, layers["inei.departments"], draft)
    assert fetched.rows == 25
    assert pl.concat(fetched.frames()).height == 25


def test_gml_gives_the_same_features_as_geojson(
    servers: SandboxServers, layer: SourceLayer, draft: Draft, tmp_path: Path
) -> None:
    right = pl.concat(read(servers, layer, draft).frames()).sort("ubigeo")

    def without_json(_: Request, answer: Response) -> Response:
        return xml(bytes(answer.body).replace(b"<ows:Value>application/json</ows:Value>", b"").decode())

    def as_gml(_: Request, answer: Response) -> Response:
        path = tmp_path / "page.gml"
        path.unlink(missing_ok=True)
        if not orjson.loads(answer.body)["features"]:
            return xml('<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs/2.0" numberReturned="0"/>')
        meta, table = pyogrio.read_arrow(bytes(answer.body))
        pyogrio.write_arrow(
            table,
            path,
            driver="GML",
            geometry_name=meta["geometry_name"] or "wkb_geometry",
            geometry_type="MultiPolygon",
            crs="EPSG:4326",
            dataset_options={"FORMAT": "GML3.2"},
        )
        return Response(path.read_bytes(), media_type="application/gml+xml; version=3.2")

    servers.faults.by_path |= {"GetCapabilities": without_json, "startIndex": as_gml}
    other = SnapshotStore(tmp_path / "gml").draft()
    received = pl.concat(read(servers, layer, other).frames(), how="diagonal").sort("ubigeo")
    assert "gml" in other.parameters["outputFormat"]
    assert received["ubigeo"].equals(right["ubigeo"])
    assert received["distrito"].equals(right["distrito"])
    one, two = (shapely.from_wkb(f["geometry"].to_numpy()) for f in (received, right))
    assert shapely.hausdorff_distance(one, two).max() < 1e-6


@pytest.mark.parametrize(
    ("document", "able"),
    [
        ("<WFS_Capabilities/>", Capabilities(1_000, True, "application/json")),
        (
            (
                '<c xmlns:o="o"><o:Constraint name="CountDefault"><o:DefaultValue>50</o:DefaultValue></o:Constraint>'
                '<o:Constraint name="ImplementsResultPaging"><o:DefaultValue>FALSE</o:DefaultValue></o:Constraint>'
                '<o:Parameter name="outputFormat"><o:Value>text/xml; subtype=gml/3.1.1</o:Value></o:Parameter></c>'
            ),
            Capabilities(50, False, "text/xml; subtype=gml/3.1.1"),
        ),
    ],
    ids=["says nothing", "pages of 50, no paging, GML"],
)
def test_capabilities(servers: SandboxServers, layer: SourceLayer, document: str, able: Capabilities) -> None:
    servers.faults.by_path["GetCapabilities"] = lambda *_: xml(document)
    assert wfs.Wfs(Http(hosts=servers.base_urls)).capabilities(layer.source, layer.url) == able


def test_entities_are_never_expanded(servers: SandboxServers, layer: SourceLayer, draft: Draft) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "a">]><x>&a;</x>'
    servers.faults.by_path["startIndex"] = lambda *_: xml(bomb)
    with pytest.raises(UnsafeXml):
        read(servers, layer, draft)
