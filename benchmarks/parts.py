"""A part of a benchmark in a process of its own, so that time and memory are its own; a night that several begin with.

Belongs here: starting it and reading what it printed. Does not: what it does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipelines.cli.dagster_home import dagster_home


def run_part(module: str, *arguments: object) -> dict[str, Any]:
    """What `python -m benchmarks.<module> <arguments>` prints last, as JSON."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def night_over_the_sandbox(folder: Path, scale: float) -> Path:
    """One night over the sandbox into a data folder, which is returned."""
    env = os.environ | {"RESTAURACION_DATA_DIR": str(folder)} | dagster_home(folder, {})
    command = [sys.executable, "-m", "pipelines.cli.run", "--sandbox", "--scale", str(scale)]
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return folder
