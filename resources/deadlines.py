"""Time limits over complete answers.

A socket time-out applies to a single read, so a server that sends a few bytes at a time never reaches it.

Belongs here: shutting down a connection when its time is over, for headers and bodies. Does not: the limits (http.py).
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.poolmanager import PoolManager

_CHUNK = 1 << 20


@contextmanager
def deadline(connection: Callable[[], int], seconds: float) -> Iterator[None]:
    """Shut down the connection of this descriptor after so many seconds. Raises TimeoutError then, in any case."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError, ValueError), socket.socket(fileno=os.dup(connection())) as copied:
            copied.shutdown(socket.SHUT_RDWR)

    watch = threading.Timer(seconds, cut)
    watch.daemon = True
    watch.start()
    try:
        yield
    except Exception:
        if not late.is_set():
            raise
    finally:
        watch.cancel()
        if late.is_set():
            raise TimeoutError(f"the answer was not whole after {seconds:.0f} s") from None


def pieces(response: requests.Response, seconds: float) -> Iterator[bytes]:
    """A body in chunks as received. Raises TimeoutError when it takes longer than this in total."""
    with deadline(lambda: response.raw.fileno(), seconds):
        yield from response.iter_content(_CHUNK)


def limit_headers(pools: PoolManager, seconds: float) -> None:
    """Give up an answer whose headers are incomplete after so many seconds; urllib3 then raises ReadTimeoutError."""

    class Limited:
        sock: socket.socket

        def getresponse(self) -> Any:
            with deadline(lambda: self.sock.fileno(), seconds):
                return super().getresponse()  # type: ignore[misc]

    def limited(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        connection = type(pool.ConnectionCls.__name__, (Limited, pool.ConnectionCls), {})
        return type(pool.__name__, (pool,), {"ConnectionCls": connection})

    pools.pool_classes_by_scheme = {scheme: limited(pool) for scheme, pool in pools.pool_classes_by_scheme.items()}
