"""`make ui`: the Dagster UI on loopback against the sandbox, with the daemon that runs the schedule.

Belongs here: starting `dagster dev` in the right surroundings and ending it whole. Does not: the definitions it shows.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import FrameType

from rich.console import Console

from pipelines.cli.dagster_home import dagster_home
from pipelines.settings import Settings
from sandbox.serving import sandbox_environment


@contextmanager
def _quality_pages(env: dict[str, str], port: int) -> Iterator[None]:
    """The folder of quality sites on loopback, since a browser follows no link from the UI to a file."""
    folder = Settings.from_env(env).data_dir / "quality"
    folder.mkdir(parents=True, exist_ok=True)
    handler = partial(_Quiet, directory=str(folder))
    try:
        serving = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        Console().print(f"port {port} cannot be used ({error.strerror}); checks link to files of {folder} instead")
        yield
        return
    with serving as server:
        env["RESTAURACION_QUALITY_URL"] = f"http://127.0.0.1:{port}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library calls it so
        """Requests for pages are not logged in the terminal of the UI."""


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="The Dagster UI against the sandbox.")
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    with sandbox_environment(arguments.scale) as env, _quality_pages(env, arguments.port + 1):
        env |= dagster_home(Settings.from_env(env).data_dir, env)
        report = env.get("RESTAURACION_QUALITY_URL")
        Console().print(
            f"[black on yellow] SANDBOX [/] synthetic data; UI at http://127.0.0.1:{arguments.port} in about 10 s"
            + (f", the quality report at {report}/latest/" if report else "")
        )
        dagster = Path(sys.executable).with_name("dagster")
        command = [str(dagster), "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(arguments.port)]
        process = subprocess.Popen(command, env=env, start_new_session=True)  # noqa: S603

        def end(_number: int, _frame: FrameType | None) -> None:
            os.killpg(process.pid, signal.SIGTERM)

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        status = process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # children were seen to outlive it by 20 to 30 s
        return status


if __name__ == "__main__":
    sys.exit(main())
