"""Downloads from servers that break off, lie about ranges, or change the file under way."""

from __future__ import annotations

import base64
import gzip
import hashlib
import logging

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from resources.downloads import Downloads
from resources.errors import TransientSourceError
from resources.http import Http
from resources.snapshots import Draft
from sandbox.catalogue import MEF
from sandbox.servers.app import Fault, SandboxServers
from sandbox.world import World

NAME = "2021-Gasto-Devengado.csv"
URL = f"https://{MEF}/datastorefiles/{NAME}"
TAG = '"v1"'


@pytest.fixture
def body(world: World) -> bytes:
    """Larger than a few chunks of the client."""
    return (world.files / NAME).read_bytes() * 6


class BreaksOff(Response):
    """Announces the whole and closes the connection after a third of it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a part, then nothing."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 3], "more_body": True})
        raise ConnectionResetError


class Server:
    """A file server that breaks off the first time; `honest` says how it treats the Range of the second."""

    def __init__(self, body: bytes, how: str, *, second: bytes | None = None) -> None:
        self.body, self.how, self.second = body, how, second
        self.ranges: list[str | None] = []

    def __call__(self, request: Request, _: Response) -> Response:
        """Answer as `how` says."""
        wanted = request.headers.get("range")
        self.ranges.append(wanted)
        headers = {"ETag": TAG, "Accept-Ranges": "bytes"}
        if len(self.ranges) == 1:
            return BreaksOff(self.body, headers=headers | {"Content-Length": str(len(self.body))})
        now = self.second or self.body
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if self.how == "ignores" or not wanted or self.second:
            return Response(now, headers=headers | ({"ETag": '"v2"'} if self.second else {}))
        if self.how == "sends another part":
            start -= 100
        size = len(now)
        range_header = {"Content-Range": f"bytes {start}-{size - 1}/{size}"} if self.how != "says nothing" else {}
        return Response(now[start:], status_code=206, headers=headers | range_header)


def read(servers: SandboxServers, draft: Draft, fault: Fault, attempts: int = 3) -> bytes:
    servers.faults.by_path[NAME] = fault
    http = Http(hosts=servers.base_urls, read_timeout=5, attempts=attempts, first_pause=0.01)
    part = Downloads(http).read_file("mef.budget_execution", URL, draft, None)
    assert part
    return draft.store.read(part)


def test_an_honest_server_is_asked_for_the_rest_alone(servers: SandboxServers, draft: Draft, body: bytes) -> None:
    server = Server(body, "honest")
    assert read(servers, draft, server) == body
    first, rest = server.ranges
    assert first is None
    assert rest is not None
    assert 0 < int(rest.removeprefix("bytes=").rstrip("-")) <= len(body) // 3


@pytest.mark.parametrize("how", ["ignores", "sends another part", "says nothing"])
def test_a_range_that_is_not_honoured_begins_again(
    servers: SandboxServers, draft: Draft, body: bytes, how: str
) -> None:
    server = Server(body, how)
    assert read(servers, draft, server) == body, "not a byte twice, not a byte less"


def test_a_file_that_changed_in_between_begins_again(servers: SandboxServers, draft: Draft, body: bytes) -> None:
    new = body.replace(b"0144", b"0068")
    assert read(servers, draft, Server(body, "honest", second=new)) == new


def test_a_checksum_that_does_not_fit_is_refused(servers: SandboxServers, draft: Draft, body: bytes) -> None:
    wrong = base64.b64encode(hashlib.md5(b"another").digest()).decode()
    with pytest.raises(TransientSourceError, match="checksum is not the one"):
        read(servers, draft, lambda *_: Response(body, headers={"Content-MD5": wrong}), attempts=2)
    draft.discard()
    assert not [p for p in draft.store.folder.rglob("*") if p.is_file()], "nothing of it is kept"


def test_a_checksum_that_fits_is_held_against_the_bytes(servers: SandboxServers, draft: Draft, body: bytes) -> None:
    right = base64.b64encode(hashlib.md5(body).digest()).decode()
    assert read(servers, draft, lambda *_: Response(body, headers={"Content-MD5": right})) == body


def test_a_compressed_transfer_is_the_file_and_not_its_compression(
    servers: SandboxServers, draft: Draft, body: bytes
) -> None:
    packed = gzip.compress(body)
    assert read(servers, draft, lambda *_: Response(packed, headers={"Content-Encoding": "gzip"})) == body


def test_a_long_transfer_says_how_far_it_is(
    servers: SandboxServers,
    draft: Draft,
    body: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("resources.downloads._REPORT_EVERY", 0.0)
    with caplog.at_level(logging.INFO, "resources.downloads"):
        read(servers, draft, lambda *_: Response(body))
    assert any("MB/s" in r.message and "(100 %)" in r.message for r in caplog.records)
