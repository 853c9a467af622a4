"""Peak memory of this process alone: getrusage also counts the memory of the parent process."""

from __future__ import annotations

from pathlib import Path


def peak_mib() -> float:
    """Highest resident memory so far, in MiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
