"""The nightly run in a new data folder, a few times: first, with nothing new, with nothing new again.

Belongs here: wall time, peak memory and the split by stage of whole runs. Does not: single functions.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parts import night_over_the_sandbox

STAGES = ("source", "staging", "core", "mart", "quality", "published")


@dataclass(frozen=True)
class Run:
    """One run: wall seconds, and seconds by stage as Dagster recorded its steps."""

    seconds: float
    stages: dict[str, float]


def measure(scale: float, nights: int, begin_with: Path | None = None) -> None:
    """Print the first and the best later run of one scale, in a new data folder or a copy of one."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch) / "data"
        if begin_with:
            shutil.copytree(begin_with, folder, symlinks=True)
        runs = [_run(folder, scale) for _ in range(nights)]
        peak_gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    first, second = runs[0], min(runs[1:] or runs, key=lambda run: run.seconds)
    print(f"\nscale {scale:g}")
    print(f"{'stage':<12}{'first s':>10}{'nothing new s':>16}")
    for stage in STAGES:
        print(f"{stage:<12}{first.stages.get(stage, 0):>10.1f}{second.stages.get(stage, 0):>16.1f}")
    rest = [run.seconds - sum(run.stages.values()) for run in (first, second)]
    print(f"{'the rest':<12}{rest[0]:>10.1f}{rest[1]:>16.1f}   start of Python and Dagster, sandbox, event log")
    print(f"{'whole':<12}{first.seconds:>10.1f}{second.seconds:>16.1f}   ratio {second.seconds / first.seconds:.2f}")
    print(f"peak memory of the largest process so far {peak_gib:.2f} GiB")


def _run(folder: Path, scale: float) -> Run:
    import dagster as dg  # 0.8 s, which other benchmarks do without

    started = time.monotonic()
    night_over_the_sandbox(folder, scale)
    seconds = time.monotonic() - started
    with dg.DagsterInstance.from_config(str((folder / "dagster").resolve())) as instance:
        run = instance.get_runs(limit=1)[0]
        stages: dict[str, float] = defaultdict(float)
        for step in instance.get_run_step_stats(run.run_id):
            if step.start_time and step.end_time:
                stages[_stage(step.step_key)] += step.end_time - step.start_time
    return Run(seconds, dict(stages))


def _stage(step_key: str) -> str:
    head = step_key.split("_")[0]
    return {"stg": "staging", "std": "staging"}.get(head, head)
