"""Running the sandbox beside the pipeline.

Belongs here: starting servers and the environment that leads a run to them. Does not: the servers.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.servers.app import SandboxServers
from sandbox.world import DEFAULT_SEED, LAST_FISCAL_YEAR, world_at


def worlds_folder() -> Path:
    """Where made worlds are kept."""
    return Path(os.environ.get("RESTAURACION_DATA_DIR") or "data") / "sandbox"


@contextmanager
def sandbox_environment(scale: float = 1.0, seed: int | None = None) -> Iterator[dict[str, str]]:
    """Servers on loopback while the block runs; yields the environment that leads a run to them."""
    world = world_at(worlds_folder(), DEFAULT_SEED if seed is None else seed, scale)
    with SandboxServers(world) as servers, tempfile.TemporaryDirectory() as scratch:
        hosts = servers.write_hosts(Path(scratch) / "hosts.json")
        yield dict(os.environ) | {
            "RESTAURACION_HOSTS_FILE": str(hosts),
            "RESTAURACION_FISCAL_YEAR": str(LAST_FISCAL_YEAR),
        }
