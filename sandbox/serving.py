"""Running the sandbox beside the pipeline: for a shell run, and for the UI as a process of its own.

Belongs here: starting servers and the environment that leads a run to them. Does not: the servers.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
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


def main() -> int:
    """Run a command inside the sandbox's environment and end with it."""
    parser = argparse.ArgumentParser(description="Run a command against the sandbox.")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    with sandbox_environment(arguments.scale, arguments.seed) as env:
        print("SANDBOX: made figures of a miniature Peru; no institution's data", flush=True)
        process = subprocess.Popen(arguments.command, env=env)
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            return process.wait(timeout=60)


if __name__ == "__main__":
    sys.exit(main())
