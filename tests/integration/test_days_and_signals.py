"""What a person sees who stops a run, or asks for a day of the sandbox: real processes, their output and exit status."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from sandbox.world import World
from tests.conftest import SMALL
from tests.integration.test_command_line import ROOT, environment, pipeline, with_worlds


def as_in_the_background() -> None:
    """A script's `make run &` starts with SIGINT ignored; SIGTERM ends it all the same."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.endurance)], ids=lambda s: s.name
)
def test_an_interrupted_run_says_so_and_is_no_incident(world: World, tmp_path: Path, number: signal.Signals) -> None:
    data_dir = with_worlds(tmp_path / "data", world)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli.run", "--sandbox", "--scale", str(SMALL)],
        cwd=ROOT,
        env=environment(data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_in_the_background if number == signal.SIGTERM else None,
    )
    builds = data_dir / "warehouse" / "builds"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(p.stat().st_size > 1e6 for p in builds.glob("*.duckdb")):
        time.sleep(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err[-2000:]
    assert "Interrupted" in out + err
    assert "Nothing was published and there is no earlier release" in out
    assert "Traceback" not in err
    incidents = data_dir / "incidents.json"
    assert not incidents.exists() or json.loads(incidents.read_text()) == []
    assert not any(builds.iterdir())


@pytest.mark.endurance
def test_a_day_of_the_sandbox_is_a_day_and_its_open_year_is_not_compared(world: World, tmp_path: Path) -> None:
    """On day 8 the fiscal year 2026 has its first month: it has its own column; the rest is equal to the sol."""
    data_dir = with_worlds(tmp_path / "data", world)
    later = pipeline(data_dir, "--sandbox", "--scale", str(SMALL), "--day", "8", COLUMNS="160")
    assert later.returncode == 0, later.stdout + later.stderr[-2000:]
    with duckdb.connect(str(data_dir / "warehouse" / "restauracion.duckdb"), read_only=True) as con:
        days = [str(r[0]) for r in con.execute("select as_of from meta.releases order by published_at").fetchall()]
        compared = con.execute(
            "select sum(accrued_pen), sum(accrued_difference_pen) from marts.spending_by_programme where official_accrued_pen is not null"
            " group by programme_code"
        ).fetchall()
    assert days == ["2026-01-08"]
    assert "2020–2025" in later.stdout
    assert "2026" in later.stdout
    for ours, difference in compared:
        assert later.stdout.count(f"{float(ours) / 1e6:,.1f}") >= 2, "ours and the official figure, side by side"
        assert f"{difference:,.2f}" in later.stdout
    back = pipeline(data_dir, "--sandbox", "--scale", str(SMALL), "--day", "4")
    assert back.returncode == 2
    assert "take a folder of their own" in " ".join(back.stderr.split())
