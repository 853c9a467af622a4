"""Peak memory of this process alone: what getrusage tells starts with the memory of the process that began it."""

from __future__ import annotations

from pathlib import Path


def peak_mib() -> float:
    """Highest resident memory so far, in MiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
