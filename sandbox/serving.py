"""Running the sandbox beside the pipeline, as a process of its own.

Belongs here: starting servers and the environment that leads a run to them. Does not: the servers.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.inbox import WITHDRAWN_FOLDER
from sandbox.world import DEFAULT_SEED, World, world_at

ROOT = Path(__file__).parents[1]


def worlds_folder() -> Path:
    """Where generated worlds are kept."""
    return Path(os.environ.get("RESTAURACION_DATA_DIR") or "data") / "sandbox"


def fill_inbox(world: World, inbox: Path) -> None:
    """Leave the world's submissions in the inbox and remove those it withdrew; people's own files are not touched."""
    workbook = inbox / ".sandbox.json"
    ours: dict[str, str] = json.loads(workbook.read_text(encoding="utf-8")) if workbook.exists() else {}
    left: dict[str, str] = {}
    for path in sorted(p for p in world.inbox.rglob("*") if p.is_file()):
        name = str(path.relative_to(world.inbox))
        target, digest = inbox / name, _digest(path)
        if target.exists() and _digest(target) != ours.get(name, digest):
            continue  # a person's file of that name
        if not target.exists() and (target.parent / WITHDRAWN_FOLDER / target.name).exists():
            continue  # a person withdrew it
        if not target.exists() or _digest(target) != digest:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        left[name] = digest
    for name, digest in ours.items():
        if name not in left and (inbox / name).exists() and _digest(inbox / name) == digest:
            (inbox / name).unlink()
    if left != ours:
        workbook.write_text(json.dumps(left, indent=1), encoding="utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def sandbox_environment(scale: float = 1.0, seed: int | None = None, day: int = 0) -> Iterator[dict[str, str]]:
    """Servers on loopback while the block runs; yields the environment that leads a run to them.

    The ports listen at once while the servers start: a first request waits a moment, none is refused.
    """
    from sandbox.servers.app import base_urls, loopback_sockets, write_hosts

    world = world_at(worlds_folder(), DEFAULT_SEED if seed is None else seed, scale, day)
    fill_inbox(world, worlds_folder().parent / "inbox")
    sockets = loopback_sockets()
    command = [sys.executable, "-m", "sandbox.serving", str(world.folder.resolve())]
    process = subprocess.Popen(  # noqa: S603
        [*command, *(f"{host}={s.fileno()}" for host, s in sockets.items())],
        cwd=ROOT,
        pass_fds=[s.fileno() for s in sockets.values()],
        stdin=subprocess.PIPE,  # closing it stops the servers, also when this process is killed
        start_new_session=True,
    )
    addresses = base_urls(sockets)
    for s in sockets.values():
        s.close()
    with tempfile.TemporaryDirectory() as scratch:
        hosts = write_hosts(addresses, Path(scratch) / "hosts.json")
        try:
            yield dict(os.environ) | {
                "RESTAURACION_HOSTS_FILE": str(hosts),
                "RESTAURACION_FISCAL_YEAR": str(world.last_fiscal_year),
            }
        finally:
            process.kill()  # synthetic data, nothing to lose
            process.wait()


def main(arguments: list[str]) -> int:
    """Serve a world on inherited sockets (`host=descriptor`) until standard input ends."""
    from sandbox.servers.app import SandboxServers

    folder, *given = arguments
    sockets = {host: socket.socket(fileno=int(fd)) for host, _, fd in (pair.partition("=") for pair in given)}
    with SandboxServers(World(Path(folder)), sockets=sockets):
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
