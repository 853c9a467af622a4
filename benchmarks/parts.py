"""A part of a benchmark in a process of its own, so that time and memory are its own.

Belongs here: starting it and reading what it printed. Does not: what it does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def run_part(module: str, *arguments: object) -> dict[str, Any]:
    """What `python -m benchmarks.<module> <arguments>` prints last, as JSON."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))
