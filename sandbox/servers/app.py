"""One ASGI app that answers for every institution's host, each on a loopback port of its own.

Belongs here: routing, start and stop, and the faults that tests ask for. Does not: the protocols themselves.
"""

from __future__ import annotations

import datetime as dt
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from sandbox.catalogue import (
    CONSULTA,
    CONSULTA_PATH,
    FAO,
    FERM_PATH,
    FERM_REGISTRY,
    FILE_HOSTS,
    HOSTS,
    INEI,
    WFS_PATH,
    Service,
    services_with,
)
from sandbox.servers.arcgis import ArcGISService
from sandbox.servers.ferm_registry import FermRegistry
from sandbox.servers.wfs import WfsService
from sandbox.world import World

SANDBOX_HEADER = "x-sandbox"

Fault = Callable[[Request, Response], Response]


@dataclass
class Faults:
    """Faults by a piece of the path; each replaces a good answer by that of a failing server."""

    by_path: dict[str, Fault] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    spoiled: list[str] = field(default_factory=list)  # requests whose answer a fault exchanged

    def apply(self, request: Request, response: Response) -> Response:
        """Remember the request and let the first fault that matches its path and query change the answer."""
        address = f"{request.url.path}?{request.url.query}"
        self.requests.append(address)
        for piece, fault in self.by_path.items():
            if piece in address:
                answer = fault(request, response)
                if answer is not response:
                    self.spoiled.append(address)
                return answer
        return response


def _down(request: Request, response: Response) -> Response:  # noqa: ARG001
    return Response(status_code=503)


def _half(request: Request, response: Response) -> Response:  # noqa: ARG001
    """The first half of the answer, announced as complete."""
    if response.status_code == 304:
        return response
    body = Path(response.path).read_bytes() if isinstance(response, FileResponse) else bytes(response.body)
    return Response(body[: len(body) // 2], status_code=response.status_code, media_type=response.media_type)


def _slow(request: Request, response: Response) -> Response:  # noqa: ARG001
    time.sleep(0.2)
    return response


BAD_DAY: dict[str, Fault] = {"down": _down, "half": _half, "slow": _slow}


class SandboxApp:
    """ASGI app; the port of a request says which institution is queried."""

    def __init__(
        self, world: World, host_by_port: dict[int, str], services: tuple[Service, ...], faults: Faults
    ) -> None:
        self.world, self.host_by_port = world, host_by_port
        self.services = [ArcGISService(service, world.layers) for service in services]
        self.wfs = WfsService(world.layers)
        self.registry = FermRegistry()
        self.files = StaticFiles(directory=world.files)
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (SANDBOX_HEADER.encode(), b"miniature-peru")]
            await send(message)

        response = self.faults.apply(request, await self._respond(request))
        await response(scope, receive, marked)

    async def _respond(self, request: Request) -> Response:
        host, path = self.host_by_port[request.scope["server"][1]], request.url.path
        if (folder := FILE_HOSTS.get(host)) and path.startswith(folder + "/"):
            return await self._file(path.removeprefix(folder + "/"), request)
        if host == CONSULTA and path == CONSULTA_PATH:
            return self._consulta(request)
        if host == FAO and path == FERM_PATH:
            return await self._file("ferm.json", request)
        if host == FERM_REGISTRY:
            return await self.registry.respond(request)
        if host == INEI and path == WFS_PATH:
            return await self.wfs.respond(request)
        for service in self.services:
            prefix = service.service.url_path
            if service.service.host == host and (path == prefix or path.startswith(prefix + "/")):
                return await service.respond(request, path.removeprefix(prefix))
        return PlainTextResponse("404 Not Found", status_code=404)

    async def _file(self, name: str, request: Request) -> Response:
        try:
            return await self.files.get_response(name, request.scope)
        except HTTPException:  # a missing file
            return PlainTextResponse("404 Not Found", status_code=404)

    def _consulta(self, request: Request) -> Response:
        """The export of the requested year; the page shows the time of the request."""
        page = self.world.files / f"consulta_{request.query_params.get('y', '')}.html"
        if not page.exists():
            return HTMLResponse("<html><body>La consulta no devolvió datos</body></html>")
        asked_at = dt.datetime.now(dt.UTC).isoformat()
        return Response(
            page.read_text(encoding="utf-8").replace("__ASKED_AT__", asked_at), media_type="application/vnd.ms-excel"
        )


class SandboxServers:
    """Starts the servers on ephemeral loopback ports and stops them: `with SandboxServers(world) as servers`.

    Without `services` they offer what the world has on its day. Servers that have a bad day there have it here.
    """

    def __init__(
        self,
        world: World,
        services: tuple[Service, ...] | None = None,
        sockets: Mapping[str, socket.socket] | None = None,
    ) -> None:
        self.world = world
        if services is None:
            services = services_with((p.stem for p in world.layers.iterdir()), world.about.get("renamed_fields", {}))
        self.faults = Faults({piece: BAD_DAY[kind] for piece, kind in world.about.get("bad_servers", {}).items()})
        self._sockets = dict(sockets) if sockets else loopback_sockets()
        self.base_urls = base_urls(self._sockets)
        ports = {s.getsockname()[1]: host for host, s in self._sockets.items()}
        app = SandboxApp(world, ports, services, self.faults)
        self.registry = app.registry
        config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=2)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": list(self._sockets.values())}, daemon=True, name="sandbox"
        )

    def start(self) -> None:
        """Start and wait until the servers answer."""
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the sandbox's servers did not start within 20 s")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop and wait."""
        self._server.should_exit = True
        self._thread.join(timeout=10)
        for s in self._sockets.values():
            s.close()

    def write_hosts(self, path: Path) -> Path:
        """Write the map of institution host to loopback address that the pipeline reads."""
        return write_hosts(self.base_urls, path)

    def __enter__(self) -> SandboxServers:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


def loopback_sockets() -> dict[str, socket.socket]:
    """A listening socket on an ephemeral loopback port for each institution's host."""
    return {host: _loopback_socket() for host in HOSTS}


def base_urls(sockets: Mapping[str, socket.socket]) -> dict[str, str]:
    """Where each host is answered."""
    return {host: f"http://127.0.0.1:{s.getsockname()[1]}" for host, s in sockets.items()}


def write_hosts(addresses: Mapping[str, str], path: Path) -> Path:
    """Write where each host is answered, for the pipeline to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(addresses), indent=2))
    return path


def _loopback_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    return sock
