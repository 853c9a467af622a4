"""What many tests share: one synthetic world per session, servers, and a run of the whole pipeline."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from filelock import FileLock

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("POLARS_MAX_THREADS", "1")  # as many processes as cores run already

from assets.keys import ANSWERS, PUBLISHED
from pipelines.definitions import build_definitions
from pipelines.jobs import year_range_tags
from pipelines.settings import Settings
from resources.http import Http
from restoration.sources.register import SourceLayer, all_layers
from sandbox.catalogue import SERVICES, Service
from sandbox.servers.app import SandboxServers
from sandbox.world import LAST_FISCAL_YEAR, World, world_at

gc.set_threshold(100_000, 50, 100)  # as `make run` has it: Dagster makes many objects that live as long as a run

SMALL = 0.15  # 300 initiatives: every kind of dirt still occurs with this seed


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this session that its processes share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def world(shared_folder: Path) -> World:
    """A small world, built once per session."""
    return world_at(shared_folder / "worlds", scale=SMALL)


@pytest.fixture
def own_world(world: World, tmp_path: Path) -> World:
    """A copy of the world that a test may damage."""
    shutil.copytree(world.folder, tmp_path / "world")
    return World(tmp_path / "world")


@cache
def definitions_of(settings: Settings) -> dg.Definitions:
    """The definitions of these settings, built once, as in a code server."""
    return build_definitions(settings)


def keys_without_exports(definitions: dg.Definitions) -> list[dg.AssetKey]:
    """Assets of the nightly job up to the published file and the quality site."""
    graph, job = definitions.resolve_asset_graph(), definitions.resolve_job_def("nightly")
    return [key for key in job.asset_layer.selected_asset_keys if graph.get(key).group_name != "exports"]


def keys_to_publish(definitions: dg.Definitions) -> list[dg.AssetKey]:
    """Every source, the published file and the answers to submissions: the same file as the whole job makes, whose tables have
    no steps of their own here, for time.
    """
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    return [*sorted(key for key in keys if key.path[-1].startswith("raw_")), PUBLISHED, ANSWERS]


@dataclass
class Pipeline:
    """The whole pipeline over a sandbox of its own, in one data folder."""

    data_dir: Path
    servers: SandboxServers
    settings: Settings
    last: dg.ExecuteInProcessResult | None = None

    @property
    def published(self) -> Path:
        return self.data_dir / "warehouse" / "restauracion.duckdb"

    def run(
        self, selection: list[str] | None = None, fiscal_years: list[int] | None = None, *, with_exports: bool = False
    ) -> bool:
        """Run `nightly`, or some assets; True when a release was published.

        Exports follow the published file and change nothing of it; they are left out unless asked for, for time.
        """
        definitions = definitions_of(self.settings)
        years = fiscal_years or self.settings.fiscal_years(2020)
        run_config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = definitions.resolve_job_def("nightly")
        keys = [dg.AssetKey(s) for s in selection] if selection else None
        if keys is None and not with_exports:
            keys = keys_without_exports(definitions)
        with dg.DagsterInstance.ephemeral() as instance:
            self.last = job.execute_in_process(
                instance=instance,
                raise_on_error=False,
                tags=year_range_tags(years) if not selection or any(s.startswith("raw_mef") for s in selection) else {},
                run_config=run_config,
                asset_selection=keys,
            )
        return any(e.asset_key == PUBLISHED for e in self.last.get_asset_materialization_events())

    def publish(self, fiscal_years: list[int] | None = None) -> bool:
        """Read every source, publish and answer submissions (`keys_to_publish`)."""
        keys = keys_to_publish(definitions_of(self.settings))
        return self.run([key.to_user_string() for key in keys], fiscal_years)

    def query(self, sql: str, *parameters: object) -> list[tuple]:
        with duckdb.connect(str(self.published), read_only=True) as con:
            return con.execute(sql, list(parameters)).fetchall()

    def rewritten(self) -> duckdb.DuckDBPyConnection:
        """The published file, open for writing: its checksums are removed, or the next run would repair it."""
        self.published.with_name("published.sha256").unlink(missing_ok=True)
        self.published.chmod(0o644)
        return duckdb.connect(str(self.published))

    def failed_checks(self) -> dict[str, str]:
        """Failed checks of the last run: asset and check -> severity."""
        assert self.last is not None
        return {
            f"{e.asset_key.to_user_string()}:{e.check_name}": e.severity.value
            for e in self.last.get_asset_check_evaluations()
            if not e.passed
        }

    def check_metadata(self, asset: str, check: str) -> dict[str, object]:
        assert self.last is not None
        found = [
            e
            for e in self.last.get_asset_check_evaluations()
            if e.asset_key.to_user_string() == asset and e.check_name == check
        ]
        return {k: getattr(v, "value", v) for k, v in found[-1].metadata.items()}

    def errors(self) -> str:
        """Messages of failed steps."""
        assert self.last is not None
        messages = []
        for event in self.last.all_events:
            if event.is_step_failure:
                error = event.step_failure_data.error
                while error is not None:
                    messages.append(error.message)
                    error = error.cause
        return "\n".join(messages)


MakePipeline = Callable[..., Pipeline]


def settings_for(data_dir: Path, hosts_file: Path, read_timeout: float = 10) -> Settings:
    """Settings of a run against the sandbox that does not wait long."""
    return Settings(data_dir, hosts_file, LAST_FISCAL_YEAR, 5, read_timeout, 2)


@pytest.fixture(scope="session")
def good_night(world: World, shared_folder: Path) -> Pipeline:
    """One night over the small world in which every source answered; only looked at and copied, never run again.

    The processes of a test session share it: the first that asks for it makes it.
    """
    folder = shared_folder / "good"
    folder.mkdir(exist_ok=True)
    servers, events = SandboxServers(world), folder / "events.json"
    with FileLock(folder / "lock"):
        pipeline = Pipeline(folder / "data", servers, settings_for(folder / "data", folder / "hosts.json"))
        if not events.exists():
            shutil.rmtree(folder / "data", ignore_errors=True)
            with servers:
                servers.write_hosts(folder / "hosts.json")
                assert pipeline.run(with_exports=True), pipeline.errors()
            assert pipeline.query("select count(*) from quality.source_status where is_stale") == [(0,)]
            assert pipeline.last is not None
            events.write_text(dg.serialize_value([pipeline.last.dagster_run, *pipeline.last.all_events]))
        else:
            run, *seen = dg.deserialize_value(events.read_text())
            job = build_definitions(pipeline.settings).resolve_job_def("nightly")
            pipeline.last = dg.ExecuteInProcessResult(seen, run, None, job)
    return pipeline


@pytest.fixture
def make_pipeline(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakePipeline]:
    """Pipelines over worlds; servers stop with the test.

    `after_a_good_night` begins with the data of one over the undamaged world.
    """
    started: list[SandboxServers] = []

    def make(
        world: World,
        services: tuple[Service, ...] = SERVICES,
        data_dir: Path | None = None,
        *,
        after_a_good_night: bool = False,
    ) -> Pipeline:
        servers = SandboxServers(world, services)
        servers.start()
        started.append(servers)
        folder = data_dir or tmp_path / "data"
        if after_a_good_night:
            shutil.copytree(request.getfixturevalue("good_night").data_dir, folder)
        hosts = servers.write_hosts(tmp_path / f"hosts-{len(started)}.json")
        return Pipeline(folder, servers, settings_for(folder, hosts))

    yield make
    for servers in started:
        servers.stop()


@pytest.fixture
def layers() -> dict[str, SourceLayer]:
    return all_layers()


@pytest.fixture
def quick_http() -> Http:
    """No long waits between tries."""
    return Http(connect_timeout=2, read_timeout=3, attempts=2, first_pause=0.01)


def free_port() -> int:
    """A port of the loopback where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def with_layer(services: tuple[Service, ...], old_name: str, **changes: object) -> tuple[Service, ...]:
    """The same services with one layer changed."""
    return tuple(
        dataclasses.replace(
            service,
            layers=tuple(
                dataclasses.replace(layer, **changes) if layer.name == old_name else layer for layer in service.layers
            ),
        )
        for service in services
    )
