"""Servers that never finish, and bodies with two readers: every wait is limited, nothing committed is lost."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from resources.downloads import Downloads
from resources.errors import SourceError
from resources.http import HostPolicy, Http
from resources.snapshots import SnapshotStore

Serve = Callable[[socket.socket], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], str]]:
    """A server that answers each connection by a function."""
    listening: list[socket.socket] = []

    def start(answer: Serve) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def run() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    with suppress(OSError):
                        answer(connection)

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/x.csv"

    yield start
    for server in listening:
        server.close()


def drip(head: bytes, piece: bytes) -> Serve:
    """A body that is sent in small pieces without end, so that no single read takes long."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            time.sleep(0.05)

    return answer


def impatient(**limits: float) -> Http:
    """A client that asks once and does not wait for long."""
    policy = HostPolicy(**{"answer_seconds": 0.5, "file_seconds": 0.5} | limits)  # type: ignore[arg-type]
    return Http(connect_timeout=2, read_timeout=3, attempts=1, policies={"127.0.0.1": policy})


HEADS = {
    "until it closes": (b"HTTP/1.0 200 OK\r\n\r\n", b"a"),
    "announced": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"a"),
    "in chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_slow_body_without_end_is_abandoned(serve: Callable[[Serve], str], tmp_path: Path, kind: str) -> None:
    url, client = serve(drip(*HEADS[kind])), impatient()
    began = time.monotonic()
    with pytest.raises(SourceError, match="not whole after"):
        client.get("a.b", url)
    with pytest.raises(SourceError, match="not whole after"):
        Downloads(client).read_file("a.b", url, SnapshotStore(tmp_path).draft(), None)
    assert time.monotonic() - began < 10
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-Long: a", b"HTTP/1.1 200 OK", b""])
def test_slow_headers_without_end_are_abandoned(serve: Callable[[Serve], str], head: bytes) -> None:
    url, began = serve(drip(head, b"a")), time.monotonic()
    with pytest.raises(SourceError, match="no answer from"):
        impatient().get("a.b", url)
    assert time.monotonic() - began < 5


def test_a_server_within_its_time_is_read_again_on_the_same_connection(serve: Callable[[Serve], str]) -> None:
    def answer(connection: socket.socket) -> None:
        for _ in range(2):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.recv(65536)

    url, client = serve(answer), impatient()
    assert [client.get("a.b", url).body for _ in range(2)] == [b"ok", b"ok"]


def test_a_file_without_end_is_abandoned(serve: Callable[[Serve], str], tmp_path: Path) -> None:
    url = serve(drip(b"HTTP/1.0 200 OK\r\n\r\n", b"a" * (2 << 20)))
    with pytest.raises(SourceError, match=r"MiB|bytes|heavy"):
        Downloads(impatient(file_seconds=60, file_bytes=8 << 20)).read_file(
            "a.b", url, SnapshotStore(tmp_path).draft(), None
        )


def test_a_date_that_is_none_is_no_error_of_ours(serve: Callable[[Serve], str]) -> None:
    url = serve(
        lambda c: c.sendall("HTTP/1.1 429 Slow\r\nRetry-After: ²\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
    )
    with pytest.raises(SourceError, match="429"):
        Http(attempts=1).get("a.b", url)


def test_a_draft_that_is_discarded_leaves_what_another_holds_or_committed(tmp_path: Path) -> None:
    """Two drafts bring the same body: whichever comes first, and whether the other is committed before or after."""
    about = {"url": "", "rows": 1, "rows_at_server": None, "licence": "", "disclaimer": "", "allowed_shrink": 0.0}
    for number, order in enumerate(("commit first", "discard first")):
        store = SnapshotStore(tmp_path / str(number))
        one, two = store.draft(), store.draft()
        part = one.add("file", b"the same body")
        two.add("file", b"the same body")
        if order == "commit first":
            store.commit(two, "a.b", None, **about)
            one.discard()
        else:
            one.discard()
            store.commit(two, "a.b", None, **about)
        assert store.read(part) == b"the same body", order
    three = store.draft()
    other = three.add("file", b"another body")
    three.discard()
    assert not store.blob_path(other.sha256).exists()
