"""A TLS server on the loopback with a certificate of a test's own authority."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import trustme
import uvicorn


class TlsServer:
    """Serves an ASGI app: `with TlsServer(app) as url`. `ca_file` is written for those who shall trust it."""

    def __init__(self, app: Any, *, not_after: dt.datetime | None = None) -> None:
        self._authority = trustme.CA()
        certificate = self._authority.issue_cert("localhost", not_after=not_after)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        config.load()
        config.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(config.ssl)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def write_ca(self, path: Path) -> Path:
        """The authority's certificate, as an institution would publish it."""
        self._authority.cert_pem.write_to_path(str(path))
        return path

    def __enter__(self) -> str:
        """Start."""
        self._thread.start()
        return f"https://localhost:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
