"""Night after night over a world that lives, as the schedules would run them, on a clock that travels.

Belongs here: running a night and what it leaves for the promises. Does not: what must hold after it (promises.py).
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import dagster as dg
import duckdb
import polars as pl
import time_machine

from assets.keys import PUBLISHED
from pipelines.cli.run import scheduled_request
from pipelines.definitions import build_definitions
from pipelines.operations.incidents import after_run
from pipelines.settings import Settings
from resources.notifications import Notifier
from resources.warehouse import WarehouseFiles
from restoration.linkage.decisions import TO_REVIEW
from restoration.sources.register import SourceLayer, all_layers
from sandbox.days.calendar import night_of
from sandbox.days.life import Life
from sandbox.servers.app import SandboxServers
from sandbox.serving import fill_inbox
from sandbox.world import World
from tests.conftest import keys_without_exports

_ANSWER_EVERY = 5  # nights between two reviews of pairs by people
_ANSWERED = 3


@dataclass(frozen=True)
class Night:
    """One night that was run: the world it read, the file before and after it, and what was asked of the servers."""

    day: int
    world: World
    data_dir: Path
    before: Path | None  # warehouse and linkage as they were when the night began
    layers: dict[str, SourceLayer]
    requests: tuple[str, ...]
    spoiled: tuple[str, ...]  # requests that a bad server answered badly
    errors: str
    is_published: bool
    is_new: bool
    seconds: float

    @property
    def files(self) -> WarehouseFiles:
        """The warehouse after the night."""
        return WarehouseFiles(self.data_dir / "warehouse")

    @property
    def published(self) -> Path:
        """The published file."""
        return self.files.published

    def rows(self, query: str, *parameters: object) -> list[tuple]:
        """Rows of the published file."""
        with duckdb.connect(str(self.published), read_only=True) as con:
            return con.execute(query, list(parameters)).fetchall()


@dataclass
class Nights:
    """The nights of one world in one folder, from day 0 on. As a context it removes what it keeps beside the data folder."""

    folder: Path
    seed: int
    scale: float
    worlds: Path | None = None
    day: int = -1
    _life: Life | None = None
    _hosts: Path = field(init=False)

    def __enter__(self) -> Nights:
        """Make day 0."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._life = Life(self.worlds or self.folder / "worlds", self.seed, self.scale)
        self._hosts = self.folder / "hosts.json"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the life."""
        assert self._life is not None
        self._life.__exit__(kind, error, trace)

    @property
    def data_dir(self) -> Path:
        """Where the nights keep everything."""
        return self.folder / "data"

    def next(self, *, with_exports: bool = True) -> Night:
        """Run the next night."""
        assert self._life is not None
        self.day += 1
        world = self._life.world(self.day)
        fill_inbox(world, self.data_dir / "inbox")
        before = self._kept_before()
        layers = layers_on(world)
        with time_machine.travel(night_of(self.day), tick=True), SandboxServers(world) as servers:
            settings = Settings(
                self.data_dir, servers.write_hosts(self._hosts), world.last_fiscal_year, 5, 10, 2, min_free_mb=0
            )
            began = time.perf_counter()
            result = self._run(settings, layers, with_exports=with_exports)
            seconds = time.perf_counter() - began
            requests, spoiled = tuple(servers.faults.requests), tuple(servers.faults.spoiled)
        published = [e for e in result.get_asset_materialization_events() if e.asset_key == PUBLISHED]
        if (self.day + 3) % _ANSWER_EVERY == 0:
            answer_pairs(self.data_dir / "linkage" / TO_REVIEW, world)
        return Night(
            self.day,
            world,
            self.data_dir,
            before,
            layers,
            requests,
            spoiled,
            _errors(result),
            bool(published),
            bool(published and published[0].materialization.metadata["is_new"].value),
            seconds,
        )

    def _run(
        self, settings: Settings, layers: dict[str, SourceLayer], *, with_exports: bool
    ) -> dg.ExecuteInProcessResult:
        """What the schedule of the day asks for, in this process."""
        definitions = build_definitions(settings, layers)
        job = definitions.resolve_job_def("nightly")
        with dg.DagsterInstance.ephemeral() as instance:
            asked = scheduled_request(definitions, instance)
            quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            result = job.execute_in_process(
                instance=instance,
                tags=asked.tags,
                run_config={**asked.run_config, **quiet},
                raise_on_error=False,
                asset_selection=None if with_exports else keys_without_exports(definitions),
            )
            after_run(instance, result.dagster_run, self.data_dir, layers, Notifier.from_env({}))
        return result

    def _kept_before(self) -> Path | None:
        """Warehouse and linkage as they are now, for whoever builds the night once more."""
        kept = self.folder / "before"
        shutil.rmtree(kept, ignore_errors=True)
        if not WarehouseFiles(self.data_dir / "warehouse").published.exists():
            return None
        for name in ("warehouse", "linkage"):  # published files are replaced, never written in: links are enough
            if (self.data_dir / name).exists():
                shutil.copytree(self.data_dir / name, kept / name, copy_function=os.link)
        return kept


def layers_on(world: World) -> dict[str, SourceLayer]:
    """The registers as data engineers have corrected them by the day of a world."""
    learnt = world.about.get("register", {})
    return {
        source: layer.model_copy(update={"fields": layer.fields | learnt[source]}) if source in learnt else layer
        for source, layer in all_layers().items()
    }


def answer_pairs(path: Path, world: World) -> int:
    """People answer some pairs according to the truth; returns how many."""
    if not path.exists():
        return 0
    asked = pl.read_csv(path, infer_schema=False)
    keys = initiative_keys(world)
    answers, count = [], 0
    for row in asked.iter_rows(named=True):
        known = [keys.get(row[f"record_key_{side}"]) for side in ("a", "b")]
        if None in known or count == _ANSWERED:
            answers.append(row)
            continue
        count += 1
        answers.append(
            row | {"decision": "misma" if known[0] == known[1] else "distinta", "decided_by": "mesa técnica"}
        )
    pl.DataFrame(answers, schema=asked.schema).write_csv(path)
    return count


def initiative_keys(world: World) -> dict[str, str]:
    """Which true initiative a record is of, by the pipeline's record key."""
    records = pl.read_parquet(world.truth / "records.parquet")
    known = {
        f"{r}|{record}": key
        for key, r, record in records.select("initiative_key", "registry", "source_record_id").iter_rows()
    }
    for key, cui in pl.read_parquet(world.truth / "initiatives.parquet").select("initiative_key", "cui").iter_rows():
        known[f"ferm|ferm-{key.lower()}"] = key
        if cui:
            known[f"invierte|{cui}"] = key
    return known


def _errors(result: dg.ExecuteInProcessResult) -> str:
    """Messages of failed steps, innermost last."""
    reported = []
    for event in result.all_events:
        error = event.step_failure_data.error if event.is_step_failure else None
        while error is not None:
            reported.append(f"{event.step_key}: {error.message.strip()}")
            error = error.cause
    return "\n".join(reported)
