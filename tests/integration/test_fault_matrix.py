"""The fault matrix: faulty servers over real HTTP, one full night for each group of independent faults.

For each row: the run's outcome, the message, and proof that the last good snapshot and the published figures stood.
A row of data that is wrong by itself (an unknown domain code, one geometry with swapped axes) is in test_bad_input.py.
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.requests import Request
from starlette.responses import Response

from assets.raw import CHECK
from resources.snapshots import Manifest, SnapshotStore
from restoration.build.replay import differences
from restoration.sources.register import all_layers
from sandbox.catalogue import SERVICES
from sandbox.servers.app import Fault, SandboxServers
from sandbox.world import World
from tests.conftest import Pipeline, free_port, settings_for
from tests.integration.fault_rows import READS, RECOVERS, ROWS, STANDS, Row, nights
from tests.tls import TlsServer

READ_TIMEOUT = 5.0
FIGURES = (
    (
        "select fiscal_year, programme_code, sum(initial_pen), sum(modified_pen), sum(accrued_pen), sum(paid_pen), count(*)"
        " from core.spending group by all order by all"
    ),
    "select * exclude (snapshot_id) from core.investments order by cui",
    "select ubigeo, area_ha, st_aswkb(geometry) from core.admin_units order by ubigeo",
)


@dataclass
class Night:
    """A run on a copy of the good night's data, against servers with the faults of some rows."""

    pipeline: Pipeline
    rows: list[Row]
    is_published: bool
    acted: dict[str, list[float]]

    def snapshot(self, row: Row) -> Manifest | None:
        return SnapshotStore(self.pipeline.data_dir / "snapshots").current(row.source, row.partition)


@pytest.fixture(scope="module")
def night_of(good_night: Pipeline, world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Row], Night]:
    """The night that has a row's fault; each is run once."""
    run: dict[str, Night] = {}
    plan = nights()

    def night(row: Row) -> Night:
        if row.name not in run:
            rows = next(rows for rows in plan if row in rows)
            come = _run(rows, good_night, world, tmp_path_factory.mktemp("night"))
            run.update({r.name: come for r in rows})
        return run[row.name]

    return night


def _run(rows: list[Row], good: Pipeline, world: World, folder: Path) -> Night:
    shutil.copytree(world.folder, folder / "world")
    shutil.copytree(good.data_dir, folder / "data")
    damaged, services = World(folder / "world"), SERVICES
    acted: dict[str, list[float]] = {}
    for row in rows:
        if row.damage:
            row.damage(damaged)
        if row.services:
            services = row.services(services)
    with SandboxServers(damaged, services) as servers:
        for row in rows:
            servers.faults.by_path |= {p: _noting(acted, row.name, fault) for p, fault in row.faults.items()}
        hosts = [row.host for row in rows if row.host]
        with TlsServer(nobody, not_after=dt.datetime.now(dt.UTC) - dt.timedelta(days=1)) as expired:
            servers.base_urls |= {
                host: expired if how == "expired" else f"http://127.0.0.1:{free_port()}" for host, how in hosts
            }
            settings = settings_for(folder / "data", servers.write_hosts(folder / "hosts.json"), READ_TIMEOUT)
            pipeline = Pipeline(folder / "data", servers, settings)
            return Night(pipeline, rows, pipeline.publish(), acted)


def _noting(acted: dict[str, list[float]], name: str, fault: Fault) -> Fault:
    """The fault, and a note of when it was met."""

    def noted(request: Request, answer: Response) -> Response:
        acted.setdefault(name, []).append(time.monotonic())
        return fault(request, answer)

    return noted


async def nobody(scope: object, receive: object, send: object) -> None:
    """An application that no request may reach."""
    raise AssertionError("a server that was not verified was asked for data")


def service_part(source: str) -> str:
    """The path by which a source is asked for."""
    return urlsplit(all_layers()[source].url).path


def named(rows: tuple[Row, ...]) -> list[str]:
    return [row.name for row in rows]


LAST_GOOD = tuple(r for r in ROWS if r.outcome == STANDS)
RECOVERING = tuple(r for r in ROWS if r.outcome == RECOVERS)
READING = tuple(r for r in ROWS if r.outcome == READS)


@pytest.mark.parametrize("row", LAST_GOOD, ids=named(LAST_GOOD))
def test_a_source_that_fails_keeps_its_last_good_snapshot(
    row: Row, night_of: Callable[[Row], Night], good_night: Pipeline
) -> None:
    night = night_of(row)
    assert night.is_published, night.pipeline.errors()
    failures = str(night.pipeline.check_metadata(f"raw_{row.source.replace('.', '__')}", CHECK)["failures"])
    assert row.words in failures
    assert not row.faults or night.acted[row.name], "the fault was met"
    before = SnapshotStore(good_night.data_dir / "snapshots").current(row.source, row.partition)
    assert night.snapshot(row) == before, "the last good snapshot is kept"
    state = night.pipeline.query(
        "select is_stale, last_error, last_good_at < last_failed_at from quality.source_status"
        " where source = ? and coalesce(partition, '') = ?",
        row.source,
        row.partition or "",
    )
    assert [(stale, later) for stale, _, later in state] == [(True, True)]
    assert row.words in state[0][1]
    stale, since = night.pipeline.query("select stale_sources, stale_since from meta.releases order by published_at")[
        -1
    ]
    assert row.source in stale, "the release says which sources are stale"
    name = f"{row.source} {row.partition}" if row.partition else row.source
    assert any(text.startswith(f"{name}: since 20") for text in since), "and since when"


@pytest.mark.parametrize("row", RECOVERING, ids=named(RECOVERING))
def test_a_server_s_defect_is_worked_around(row: Row, night_of: Callable[[Row], Night], good_night: Pipeline) -> None:
    night = night_of(row)
    assert night.is_published, night.pipeline.errors()
    assert not row.faults or night.acted[row.name], "the fault was met"
    asked = [address for address in night.pipeline.servers.faults.requests if service_part(row.source) in address]
    assert any(row.words in address for address in asked), asked
    before = SnapshotStore(good_night.data_dir / "snapshots")
    for partition in before.partitions(row.source) or [None]:
        after = SnapshotStore(night.pipeline.data_dir / "snapshots").current(row.source, partition)
        assert after == before.current(row.source, partition), (
            "the same features were received, so it is the same snapshot"
        )
    state = night.pipeline.query("select bool_or(is_stale) from quality.source_status where source = ?", row.source)
    assert state == [(False,)]


def test_a_server_that_asks_for_a_pause_gets_it(night_of: Callable[[Row], Night]) -> None:
    row = next(r for r in ROWS if r.name == "429 with Retry-After")
    met = night_of(row).acted[row.name]
    refused, *_, counted = met[:2]
    assert counted - refused >= 2, "the next request waited for as long as the server asked"


@pytest.mark.parametrize("row", READING, ids=named(READING))
def test_the_same_facts_in_other_bytes_are_read(
    row: Row, night_of: Callable[[Row], Night], good_night: Pipeline
) -> None:
    night = night_of(row)
    assert night.is_published, night.pipeline.errors()
    before = SnapshotStore(good_night.data_dir / "snapshots").current(row.source, row.partition)
    after = night.snapshot(row)
    assert before is not None
    assert after is not None
    assert after.snapshot_id != before.snapshot_id, "the bytes are new"
    assert after.rows == before.rows
    assert night.pipeline.query("select count(*) from quality.source_status where is_stale") == [(0,)]
    for figures in FIGURES:
        assert night.pipeline.query(figures) == good_night.query(figures)


@pytest.mark.parametrize("rows", [n for n in nights() if n[0].outcome != READS], ids=lambda rows: rows[0].name)
def test_nothing_else_changed_in_such_a_night(
    rows: list[Row], night_of: Callable[[Row], Night], good_night: Pipeline
) -> None:
    """Every table has the rows of the good night, and only the sources that failed are stale."""
    night = night_of(rows[0])
    differing = differences(night.pipeline.published, good_night.published)
    of_the_night = {
        "source_status",
        "source_shape",
        "check_results",
        "suite_results",
        "rule_counts",
        "dimension_counts",
        "scorecard",
        "warnings",
    }
    assert set(differing) <= {"marts.changes_since_last_release", *(f"quality.{name}" for name in of_the_night)}
    stale = night.pipeline.query("select source, partition from quality.source_status where is_stale")
    assert {source for source, _ in stale} == {r.source for r in rows if r.outcome == STANDS}


def test_every_row_of_the_matrix_has_a_name_of_its_own() -> None:
    assert len({r.name for r in ROWS}) == len(ROWS)
