"""TLS is verified unless a setting disables it explicitly; tokens are sent to their own host and nowhere else."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from pipelines.definitions import build_definitions
from resources.arcgis import ArcGIS
from resources.data_folder import DataFolder
from resources.errors import CertificateProblem, RedirectRefused, TokenRequired
from resources.http import HostPolicy, Http
from resources.lake import Lake
from resources.snapshots import SnapshotStore
from restoration.sources.extraction import Extraction
from restoration.sources.register import SourceLayer
from sandbox.catalogue import SERFOR, SERVICES
from sandbox.servers.app import Faults, SandboxApp, SandboxServers
from sandbox.world import World
from tests.conftest import MakePipeline
from tests.tls import TlsServer

TOKEN = "s3cr3t-t0k3n"
VARIABLE = "RESTAURACION_TOKEN_SERFOR"
RESTRICTED = "serfor.restoration_areas"


@pytest.fixture
def layer(layers: dict[str, SourceLayer]) -> SourceLayer:
    return layers[RESTRICTED]


class Serfor:
    """SERFOR's services, whatever port they are asked on."""

    def __init__(self, world: World) -> None:
        self.faults = Faults()
        self._app = SandboxApp(world, {}, SERVICES, self.faults)

    async def __call__(self, scope, receive, send):  # type: ignore[no-untyped-def]
        self._app.host_by_port = {scope["server"][1]: SERFOR}
        await self._app(scope, receive, send)


def test_an_unknown_authority_is_refused_with_the_remedy(world: World, layer: SourceLayer, tmp_path: Path) -> None:
    with TlsServer(Serfor(world)) as url:
        http = Http(hosts={SERFOR: url}, attempts=1)
        with pytest.raises(CertificateProblem, match="ca_file") as caught:
            ArcGIS(http).read_layer(layer.source, layer.url, layer.layer or "", SnapshotStore(tmp_path).draft())
    assert SERFOR in str(caught.value)
    assert "RESTAURACION_INSECURE_HOSTS" in str(caught.value)


def test_an_extra_authority_of_the_host_is_enough(world: World, layer: SourceLayer, tmp_path: Path) -> None:
    server = TlsServer(Serfor(world))
    ca_file = server.write_ca(tmp_path / "ca.pem")
    with server as url:
        http = Http(hosts={SERFOR: url}, attempts=1, policies={SERFOR: HostPolicy(ca_file=ca_file)})
        draft = SnapshotStore(tmp_path).draft()
        assert ArcGIS(http).read_layer(layer.source, layer.url, layer.layer or "", draft).rows == 137
    assert draft.tls_verified


def test_an_opt_out_is_logged_and_marks_what_was_received_by_it(
    world: World, layer: SourceLayer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with TlsServer(Serfor(world)) as url, caplog.at_level(logging.WARNING):
        http = Http(hosts={SERFOR: url}, attempts=1, insecure_hosts=frozenset({SERFOR}))
        store = SnapshotStore(tmp_path / "snapshots")
        received = Extraction(http, store, Lake(tmp_path / "lake")).refresh(layer)
    assert received.error is None
    assert f"TLS IS NOT VERIFIED for {SERFOR}" in caplog.text
    assert received.manifest is not None
    assert received.manifest.tls_verified is False


def ask_for_token(request: Request, answer):  # type: ignore[no-untyped-def]
    """A layer that answers only to those who show the token."""
    if request.headers.get("authorization") == f"Bearer {TOKEN}":
        return answer
    return JSONResponse({"error": {"code": 499, "message": "Token Required", "details": []}})


def test_a_token_opens_the_layer_and_is_written_nowhere(
    make_pipeline: MakePipeline,
    own_world: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Through the whole pipeline: not in any file of the data folder, not in the log, not in what the UI shows."""
    pipeline = make_pipeline(own_world)
    pipeline.servers.faults.by_path["Servicios_OGC/Restauracion"] = ask_for_token
    assert not pipeline.run(["raw_serfor__restoration_areas"])
    message = str(pipeline.check_metadata("raw_serfor__restoration_areas", "snapshot_is_fresh_and_whole")["failures"])
    assert VARIABLE in message
    monkeypatch.setenv(VARIABLE, TOKEN)
    pipeline.settings = dataclasses.replace(pipeline.settings, token_variables=(VARIABLE,))
    with caplog.at_level(logging.DEBUG):
        pipeline.run(["raw_serfor__restoration_areas"])
    assert not pipeline.failed_checks()
    written = [p for p in pipeline.data_dir.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
    assert not written
    assert pipeline.last is not None
    events = "\n".join(str(event) for event in pipeline.last.all_events)
    out = capfd.readouterr()
    assert TOKEN not in caplog.text + events + out.out + out.err
    resources = build_definitions(pipeline.settings).get_repository_def().get_top_level_resources()
    assert TOKEN not in repr(resources)
    assert all(TOKEN not in request for request in pipeline.servers.faults.requests), "not in an address either"


def test_the_data_folder_reads_the_token_only_when_it_opens_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, TOKEN)
    folder = DataFolder(data_dir=str(tmp_path), token_variables={SERFOR: VARIABLE})
    assert TOKEN not in repr(folder)
    assert TOKEN not in folder.model_dump_json()
    http = folder.http()
    assert http.tokens == {SERFOR: TOKEN}
    assert TOKEN not in repr(http)


def test_a_token_does_not_follow_a_redirect_to_another_host(world: World, tmp_path: Path) -> None:
    met: list[str | None] = []

    async def elsewhere(request: Request) -> JSONResponse:
        met.append(request.headers.get("authorization"))
        return JSONResponse({"layers": []})

    async def away(request: Request) -> RedirectResponse:
        met.append(request.headers.get("authorization"))
        return RedirectResponse(f"{other}/there")

    there = TlsServer(Starlette(routes=[Route("/there", elsewhere)]))
    here = TlsServer(Starlette(routes=[Route("/here", away)]))
    with there as other, here as url:
        terms: dict[str, Any] = {
            "hosts": {SERFOR: url.replace("localhost", "127.0.0.1")},
            "attempts": 1,
            "tokens": {SERFOR: TOKEN},
            "insecure_hosts": frozenset({SERFOR}),
        }
        with pytest.raises(RedirectRefused, match="no register names"):
            Http(**terms).get("serfor.x", f"https://{SERFOR}/here")
        assert met == [f"Bearer {TOKEN}"]
        with pytest.raises(RedirectRefused, match="no register names"):  # another port is another server
            Http(**terms, policies={urlsplit(other).hostname or "": HostPolicy()}).get(
                "serfor.x", f"https://{SERFOR}/here"
            )
        known = Http(**terms, policies={urlsplit(other).netloc: HostPolicy()})
        known.get("serfor.x", f"https://{SERFOR}/here")
    assert met == [f"Bearer {TOKEN}"] * 3 + [None]


def test_refused_redirects_leave_the_connections_to_others() -> None:
    """A host may have so many requests at once; a refusal that kept its connection would make the next one wait for ever."""
    leads_away = True

    async def answer(request: Request) -> RedirectResponse | JSONResponse:
        return RedirectResponse("https://evil.example/") if leads_away else JSONResponse({})

    with TlsServer(Starlette(routes=[Route("/here", answer, methods=["GET", "POST"])])) as url:
        http = Http(
            hosts={SERFOR: url.replace("localhost", "127.0.0.1")}, attempts=1, insecure_hosts=frozenset({SERFOR})
        )
        kept = []  # as long as somebody looks at an error, its answer lives
        for number in range(2 * http.policy(f"https://{SERFOR}/here").connections + 1):
            with pytest.raises(RedirectRefused) as refused:
                http.open("serfor.x", f"https://{SERFOR}/here", stream=True, body=b"{}" if number % 2 else None)
            kept.append(refused)
        leads_away = False
        assert http.get("serfor.x", f"https://{SERFOR}/here").body == b"{}"


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "http://127.0.0.1:1/x",
        "https://evil.example/",
        "gopher://a/",
        "http://[",
    ],
)
def test_no_answer_leads_to_a_host_that_no_register_names(target: str) -> None:
    async def away(request: Request) -> RedirectResponse:
        return RedirectResponse(target)

    with TlsServer(Starlette(routes=[Route("/here", away)])) as url:
        http = Http(
            hosts={SERFOR: url.replace("localhost", "127.0.0.1")}, attempts=1, insecure_hosts=frozenset({SERFOR})
        )
        with pytest.raises(RedirectRefused):
            http.get("serfor.x", f"https://{SERFOR}/here")


def test_without_a_token_the_error_names_the_variable(world: World, layer: SourceLayer, tmp_path: Path) -> None:
    with SandboxServers(world) as servers:
        servers.faults.by_path["Servicios_OGC/Restauracion"] = ask_for_token
        with pytest.raises(TokenRequired, match=VARIABLE):
            ArcGIS(Http(hosts=servers.base_urls)).read_layer(
                layer.source, layer.url, layer.layer or "", SnapshotStore(tmp_path).draft()
            )
