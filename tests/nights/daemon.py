"""The nights of a living world through the real daemon: schedules, a run killed and retried, one re-executed.

Belongs here: `python -m tests.nights.daemon`, some eight minutes by the real clock. Does not: the promises of every night, which
`make nights` checks on a clock that travels. Not part of `make test`: a schedule ticks once a minute.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import duckdb
import requests

from resources.inbox import Inbox
from resources.run_lock import LOCK
from resources.warehouse import WarehouseFiles
from restoration.build.replay import replay
from restoration.sources.register import all_layers
from sandbox.days.life import Life
from sandbox.servers.app import SandboxServers
from sandbox.serving import fill_inbox
from sandbox.world import DEFAULT_SEED
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 900  # a loaded machine takes minutes for what takes twenty seconds
_REEXECUTE = """
mutation ($run: String!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $run, strategy: FROM_FAILURE}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""


class Watch:
    """A Dagster of its own over one data folder, and what happens in it."""

    def __init__(self, folder: Path, life: Life) -> None:
        self.data_dir, self.home, self.hosts, self.life = folder / "data", folder / "home", folder / "hosts.json", life
        self.servers: SandboxServers | None = None
        self.port = free_port()
        self.home.mkdir()
        local = (ROOT / "deploy" / "dagster.local.yaml").read_text(encoding="utf-8")
        (self.home / "dagster.yaml").write_text(
            local.replace(
                "enabled: true\n  start_timeout", "enabled: true\n  poll_interval_seconds: 10\n  start_timeout"
            )
        )

    def begin(self, day: int) -> None:
        """Serve the world of a day, and leave its submissions in the inbox."""
        if self.servers:
            self.servers.stop()
        world = self.life.world(day)
        self.servers = SandboxServers(world)
        self.servers.start()
        self.servers.write_hosts(self.hosts)
        fill_inbox(world, self.data_dir / "inbox")

    def runs(self) -> list[dg.DagsterRun]:
        """Every run, oldest first."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            return list(reversed(list(instance.get_runs())))

    def wait(self, what: str, for_it: Callable[[], object]) -> object:
        """Until something is so."""
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE_SECONDS:
            if found := for_it():
                print(f"  {what}: after {time.monotonic() - began:.0f} s", flush=True)
                return found
            time.sleep(1)
        raise TimeoutError(what)

    def is_idle(self) -> bool:
        """Whether no run is under way."""
        return all(run.is_finished for run in self.runs())

    def next_success(self, after: int) -> Callable[[], bool]:
        """A run that began after the first `after` runs and ended well."""
        return lambda: any(run.is_success for run in self.runs()[after:]) and self.is_idle()

    def kill_run(self, after: int) -> str:
        """Kill the process of a run that began after the first `after` runs with SIGKILL, once it builds; returns the run."""
        builds = self.data_dir / "warehouse" / "builds"
        self.wait("a run begins", lambda: len(self.runs()) > after)
        self.wait("a run builds", lambda: builds.exists() and any(builds.glob("*.duckdb")))
        time.sleep(3)
        reported = (self.data_dir / LOCK).read_text(encoding="utf-8")
        os.kill(int(reported.split("process ")[1].split()[0]), signal.SIGKILL)
        return reported.split("run ")[1].split(",")[0]

    def failed(self, run_id: str) -> Callable[[], bool]:
        """Whether Dagster has noticed that a run is dead."""
        return lambda: any(run.run_id == run_id and run.is_failure for run in self.runs())

    def rows(self, query: str) -> list[tuple]:
        """Rows of the published file."""
        with duckdb.connect(str(self.data_dir / "warehouse" / "restauracion.duckdb"), read_only=True) as con:
            return con.execute(query).fetchall()

    def check(self, what: str) -> None:
        """The published release is that of its own snapshots, and contains every submission of the inbox."""
        files = WarehouseFiles(self.data_dir / "warehouse")
        release = str(self.rows("select release_id from meta.releases order by published_at desc limit 1")[0][0])
        received = replay(self.data_dir, files, all_layers(), release)
        assert received.differing_rows == {}, received.differing_rows
        there = {r[0] for r in self.rows("select distinct submission from staging.stg_submissions__features")}
        delivered = set(Inbox(self.data_dir / "inbox").submissions())
        assert delivered <= there, delivered - there  # a file that left its folder is kept until it is withdrawn
        print(
            f"| {what} | {release} | {len(there)} submissions | rebuilt from its snapshots: no difference |", flush=True
        )


def main() -> int:
    """Exit status 0 when no stale release was published."""
    parser = argparse.ArgumentParser(
        description="Nights through the real daemon, with a kill, its retry, and a person who re-executes."
    )
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--scale", type=float, default=0.1)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as scratch,
        Life(Path(scratch) / "worlds", arguments.seed, arguments.scale) as life,
    ):
        watch = Watch(Path(scratch), life)
        watch.runs()  # makes Dagster's files: two processes that make them at once disturb each other
        watch.begin(0)
        env = os.environ | {
            "DAGSTER_HOME": str(watch.home),
            "RESTAURACION_DATA_DIR": str(watch.data_dir),
            "RESTAURACION_HOSTS_FILE": str(watch.hosts),
            "RESTAURACION_FISCAL_YEAR": "2025",
            "RESTAURACION_NIGHTLY_CRON": "* * * * *",
            "RESTAURACION_MIN_FREE_MB": "0",
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }
        dagster = str(Path(sys.executable).with_name("dagster"))
        with (Path(scratch) / "dagster.log").open("w") as log:
            daemon = subprocess.Popen(
                [dagster, "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(watch.port)],
                cwd=ROOT,
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            series(watch)
        finally:
            os.killpg(daemon.pid, signal.SIGTERM)
            daemon.wait(timeout=30)
            assert watch.servers is not None
            watch.servers.stop()
    return 0


def series(watch: Watch) -> None:
    """Two quiet nights; one whose run is killed and retried by the daemon; one whose retry is killed too, and a person goes on."""
    for day in (0, 1):
        before = len(watch.runs())
        if day:
            watch.begin(day)
        watch.wait(f"day {day} is published", watch.next_success(before))
        watch.check(f"day {day}, by the schedule")
    watch.wait("nothing runs", watch.is_idle)
    watch.begin(2)
    watch.wait("nothing runs that began before", watch.is_idle)
    killed = watch.kill_run(len(watch.runs()))
    watch.wait("the killed run is noticed", watch.failed(killed))
    watch.wait("its retry ends well", lambda: any(r.root_run_id == killed and r.is_success for r in watch.runs()))
    watch.wait("nothing runs", watch.is_idle)
    watch.check("day 2, killed and retried by run_retries")
    watch.begin(14)
    watch.wait("nothing runs that began before", watch.is_idle)
    killed = watch.kill_run(len(watch.runs()))
    before = len(watch.runs())
    watch.wait("the killed run is noticed", watch.failed(killed))
    again = watch.kill_run(before)
    watch.wait("the killed retry is noticed", watch.failed(again))
    answer = requests.post(
        f"http://127.0.0.1:{watch.port}/graphql", json={"query": _REEXECUTE, "variables": {"run": again}}, timeout=60
    ).json()
    launched = answer["data"]["launchRunReexecution"]["run"]["runId"]
    watch.wait(
        "what the person launched ends well", lambda: any(r.run_id == launched and r.is_success for r in watch.runs())
    )
    watch.wait("nothing runs", watch.is_idle)
    watch.check("day 14, killed twice and re-executed from failure by a person")


if __name__ == "__main__":
    sys.exit(main())
