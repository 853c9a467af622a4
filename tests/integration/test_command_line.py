"""`make run` and `make live`: real processes, their output and exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
import requests

from sandbox.catalogue import HOSTS
from sandbox.world import World
from tests.conftest import SMALL, free_port

ROOT = Path(__file__).parents[2]


def environment(data_dir: Path, **env: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RESTAURACION_", "DAGSTER_HOME"))}
    return clean | {"RESTAURACION_DATA_DIR": str(data_dir), "DAGSTER_DISABLE_TELEMETRY": "1"} | env


def pipeline(data_dir: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines.cli.run", *arguments],
        cwd=ROOT,
        env=environment(data_dir, **env),
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def sandbox_run(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    data_dir = with_worlds(tmp_path_factory.mktemp("cli") / "data", world)
    return data_dir, pipeline(data_dir, "--sandbox", "--scale", str(SMALL))


def with_worlds(data_dir: Path, world: World) -> Path:
    """A data folder that finds the worlds of this session, for time."""
    data_dir.mkdir(parents=True)
    (data_dir / "sandbox").symlink_to(world.folder.parent)
    return data_dir


def test_a_sandbox_run_ends_with_table_banner_and_path(
    sandbox_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    data_dir, done = sandbox_run
    assert done.returncode == 0, done.stderr[-2000:]
    for words in ("SANDBOX", "Kunming-Montreal framework Target 2", "PP144 Ecosistemas", "rows in quarantine", "0.00"):
        assert words in done.stdout
    assert str(data_dir / "warehouse" / "restauracion.duckdb") in done.stdout
    assert "Traceback" not in done.stderr
    assert (data_dir / "dagster" / "dagster.yaml").exists(), "runs of the shell are in the UI's history"


def test_the_table_shows_what_the_file_says(sandbox_run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    data_dir, done = sandbox_run
    with duckdb.connect(str(data_dir / "warehouse" / "restauracion.duckdb"), read_only=True) as con:
        for (net,) in con.execute("select net_ha from marts.progress_to_targets where is_latest").fetchall():
            assert f"{net:,.0f}" in done.stdout
        held = con.execute("select count(distinct (table_name, record_key)) from quality.quarantine").fetchone()
    assert held
    assert f"{held[0]} rows in quarantine" in done.stdout


def test_a_live_run_never_touches_a_sandbox_folder(sandbox_run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    data_dir, _ = sandbox_run
    before = (data_dir / "warehouse" / "restauracion.duckdb").read_bytes()
    done = pipeline(data_dir, RESTAURACION_HTTP_ATTEMPTS="1", RESTAURACION_FISCAL_YEAR="2020")
    assert done.returncode != 0
    assert "holds sandbox data and this run is live" in done.stdout + done.stderr
    assert (data_dir / "warehouse" / "restauracion.duckdb").read_bytes() == before


def test_the_nightly_benchmark_prints_its_stages(sandbox_run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """One night more, in a copy; the other benchmarks are in tests/benchmarks."""
    data_dir, _ = sandbox_run
    command = ["benchmarks", "nightly", "--night", str(data_dir), "--scales", "0.15", "--tries", "1"]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seconds = dict(re.findall(r"^(\w+) +([\d.]+) +[\d.]+", done.stdout, re.MULTILINE))
    stages = {"source", "staging", "core", "mart", "quality", "published"}
    assert stages | {"whole"} <= set(seconds), done.stdout
    assert all(float(seconds[stage]) > 0 for stage in stages), "every stage was found in the event log"
    assert sum(float(seconds[stage]) for stage in stages) < float(seconds["whole"])
    assert re.search(r"largest process so far [\d.]+ GiB", done.stdout)


def test_servers_that_cannot_be_reached_are_named_with_the_reason(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.json"
    hosts.write_text(json.dumps(dict.fromkeys(HOSTS, "http://127.0.0.1:9")))  # nobody listens there
    done = pipeline(
        tmp_path / "data",
        RESTAURACION_HOSTS_FILE=str(hosts),
        RESTAURACION_HTTP_ATTEMPTS="1",
        RESTAURACION_FISCAL_YEAR="2020",
    )
    assert done.returncode == 1
    for source in ("minam.recovery_areas", "serfor.restoration_areas", "inei.districts", "2020: mef.budget_execution"):
        assert f"{source}: no answer from" in done.stdout
    assert "Nothing was published and there is no earlier release" in done.stdout


def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    done = pipeline(tmp_path / "data", RESTAURACION_HTTP_ATTEMPTS="many")
    assert done.returncode == 2
    assert "RESTAURACION_HTTP_ATTEMPTS='many' is no number" in done.stdout + done.stderr


def test_the_run_is_in_the_timeline_of_the_ui(
    sandbox_run: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Asked as the UI asks: by the code location that workspace.yaml names."""
    data_dir, _ = sandbox_run
    port = free_port()
    webserver = str(Path(sys.executable).with_name("dagster-webserver"))
    env = environment(data_dir, DAGSTER_HOME=str(data_dir / "dagster"))
    query = "{ runsOrError(limit: 5) { ... on Runs { results { jobName status repositoryOrigin { repositoryName repositoryLocationName } } } } }"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [webserver, "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)],
            cwd=ROOT,
            env=env,
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(240):
            try:
                answer = requests.post(f"http://127.0.0.1:{port}/graphql", json={"query": query}, timeout=20).json()
                break
            except requests.ConnectionError:
                time.sleep(0.5)
    finally:
        process.terminate()
        process.wait(timeout=30)
    reported = answer["data"]["runsOrError"]["results"]
    origin = {"repositoryName": "__repository__", "repositoryLocationName": "restauracion"}
    assert {"jobName": "nightly", "status": "SUCCESS", "repositoryOrigin": origin} in reported
