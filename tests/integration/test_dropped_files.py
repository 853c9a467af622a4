"""A file dropped in place of a server: used for one year until the server has something new or the file is removed."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyogrio
import pytest
import shapely
from starlette.requests import Request
from starlette.responses import Response

from assets.raw import CHECK
from pipelines.settings import Settings
from resources.errors import UnexpectedFormat, UnplacedFile, WrongPartition
from resources.http import Http
from resources.inbox import Inbox
from resources.lake import Lake
from resources.snapshots import Manifest, SnapshotStore
from restoration.sources.cadence import is_due, last_good_at
from restoration.sources.extraction import Extraction, Refreshed
from restoration.sources.register import SourceLayer, all_layers
from sandbox.servers.app import SandboxServers
from sandbox.world import World
from tests.conftest import Pipeline
from tests.integration.test_source_rows import records

BUDGET = all_layers()["mef.budget_execution"]
BY_YEAR = "select fiscal_year, count(*), sum(accrued_pen) from core.spending group by all order by all"


def file_of(world: World, year: str) -> Path:
    """The server's file of a year."""
    return world.files / BUDGET.url_for(year).rsplit("/", 1)[-1]


def leave(path: Path, frame: pl.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_csv(path, quote_style="always")
    return path


def revised(path: Path, amount: str) -> pl.DataFrame:
    """A year's file with another PIM on its first line."""
    frame = pl.read_csv(path, infer_schema=False)
    first = pl.int_range(pl.len()) == 0
    return frame.with_columns(MONTO_PIM=pl.when(first).then(pl.lit(amount)).otherwise("MONTO_PIM"))


@dataclass
class Desk:
    """One source, its server and its folder in the inbox."""

    world: World
    servers: SandboxServers
    extraction: Extraction
    folder: Path
    asked: list[tuple[str | None, int]] = field(default_factory=list)

    @property
    def store(self) -> SnapshotStore:
        return self.extraction.store

    def ask(self, year: str = "2025") -> Refreshed:
        return self.extraction.refresh(BUDGET, year)

    def current(self, year: str = "2025") -> Manifest:
        now = self.store.current(BUDGET.source, year)
        assert now
        return now

    def answer_with(self, status: int | None) -> None:
        """What the server does from now on; the condition of each request and its answer are recorded."""

        def heard(request: Request, response: Response) -> Response:
            answer = Response(status_code=status) if status else response
            self.asked.append((request.headers.get("if-none-match"), answer.status_code))
            return answer

        self.servers.faults.by_path["Gasto-Devengado"] = heard


@pytest.fixture
def desk(own_world: World, tmp_path: Path) -> Iterator[Desk]:
    with SandboxServers(own_world) as servers:
        http = Http.with_hosts_file(
            servers.write_hosts(tmp_path / "hosts.json"), connect_timeout=2, read_timeout=5, attempts=1
        )
        data = tmp_path / "data"
        inbox = Inbox(data / "inbox")
        extraction = Extraction(http, SnapshotStore(data / "snapshots"), Lake(data / "lake"), inbox)
        desk = Desk(own_world, servers, extraction, inbox.source_folder(BUDGET.source))
        desk.answer_with(None)
        yield desk


def test_a_file_serves_until_the_server_has_news_and_goes_when_it_is_taken_away(desk: Desk) -> None:
    first = desk.ask().manifest
    assert first
    path = leave(desk.folder / "por correo.csv", revised(file_of(desk.world, "2025"), "1"))
    received = desk.ask()
    assert (received.is_new, received.error) == (True, None)
    assert desk.current().parameters["dropped"] == path.name
    assert (desk.current().etag, desk.current().columns) == (None, first.columns)
    assert desk.asked[-1] == (first.etag, 304), "the server is queried with the etag of its own last answer"

    since = last_good_at(desk.store, BUDGET.source, "2025")
    desk.answer_with(503)
    assert desk.ask().error is None, "the file serves"
    assert desk.current().is_dropped
    assert desk.store.attempts(BUDGET.source, "2025")[-1].outcome != "failed"
    assert last_good_at(desk.store, BUDGET.source, "2025") == since, (
        "a file becomes older while its server does not answer"
    )
    assert desk.extraction.refresh_all([(BUDGET, "2025")], "due")[0].is_asked, "it is queried every night"

    path.unlink()
    gone = desk.ask()
    assert gone.error is not None
    assert gone.manifest == desk.current() == first, (
        "the server's last answer is used though the server does not answer"
    )
    assert [a.outcome for a in desk.store.attempts(BUDGET.source, "2025")][-2:] == ["withdrawn", "failed"]
    assert is_due(desk.store, BUDGET, "2025", dt.datetime.now(dt.UTC))

    leave(path, revised(file_of(desk.world, "2025"), "1"))
    assert desk.ask().error is None
    assert desk.current().is_dropped, "dropped again, it is used again"

    desk.answer_with(None)
    leave(file_of(desk.world, "2025"), revised(file_of(desk.world, "2025"), "2"))
    news = desk.ask().manifest
    assert news
    assert not news.is_dropped
    assert news.snapshot_id != first.snapshot_id
    assert desk.ask().manifest == news == desk.current(), "the file is still there and is not read again"

    leave(path, revised(file_of(desk.world, "2025"), "3"))
    assert desk.ask().manifest == desk.current()
    assert desk.current().is_dropped, "different content is a different file"
    (desk.folder / "retirar").mkdir()
    path.rename(desk.folder / "retirar" / path.name)
    assert desk.ask().manifest == desk.current() == news
    assert desk.asked[-1] == (news.etag, 304)


def test_a_server_that_publishes_the_very_file_replaces_it(desk: Desk) -> None:
    desk.ask()
    path = leave(desk.folder / "2025.csv", revised(file_of(desk.world, "2025"), "1"))
    assert desk.ask().manifest == desk.current()
    assert desk.current().is_dropped
    shutil.copy(path, file_of(desk.world, "2025"))
    assert desk.ask().error is None
    assert not desk.current().is_dropped
    path.unlink()
    desk.answer_with(503)
    desk.ask()
    assert not desk.current().is_dropped, "removing the file does not affect the server's snapshot"


def test_a_dropped_file_has_its_sums_and_row_numbers(desk: Desk) -> None:
    path = leave(desk.folder / "2024" / "envio.csv", revised(file_of(desk.world, "2024"), "0.55"))
    desk.answer_with(503)
    manifest = desk.ask("2024").manifest
    assert manifest
    file = records(path)
    assert manifest.rows == len(file)
    lake = desk.extraction.lake
    totals = pl.read_parquet(lake.totals_path(BUDGET.source, "2024", manifest.snapshot_id))
    assert totals["MONTO_PIM"].sum() == sum(Decimal(row["MONTO_PIM"] or 0) for row in file.values())
    kept = pl.read_parquet(lake.path(BUDGET.source, "2024", manifest.snapshot_id))
    assert all(file[row["_row"]]["MONTO_PIM"] == row["MONTO_PIM"] for row in kept.iter_rows(named=True))


def test_a_file_of_another_year_is_refused_and_concerns_its_year_alone(desk: Desk) -> None:
    leave(desk.folder / "2025" / "equivocado.csv", revised(file_of(desk.world, "2024"), "1"))
    received = {r.partition: r for r in desk.extraction.refresh_all([(BUDGET, "2024"), (BUDGET, "2025")])}
    assert isinstance(received["2025"].error, WrongPartition)
    assert received["2025"].manifest is not None, "the server's answer is used"
    assert not received["2025"].manifest.is_dropped
    assert received["2024"].error is None
    assert desk.store.attempts(BUDGET.source, "2025")[-1].outcome == "new", "the current snapshot is of tonight"


def test_a_file_of_no_year_fails_once_and_names_the_folder_to_put_it_into(desk: Desk) -> None:
    frame = pl.read_csv(file_of(desk.world, "2025"), infer_schema=False)
    leave(desk.folder / "gasto.csv", frame.drop("ANO_EJE"))
    leave(desk.folder / "nuevo" / "gasto.csv", frame)
    received = desk.extraction.refresh_all([(BUDGET, "2024"), (BUDGET, "2025")])
    failed = [r for r in received if r.error]
    assert [r.partition for r in failed] == [None, None], "once for each of the two files, not for each year"
    assert all(isinstance(r.error, UnplacedFile) for r in failed)
    assert "inbox/fuentes/mef.budget_execution/<year>/gasto.csv" in str(failed[0].error)
    assert all(r.manifest and not r.manifest.is_dropped for r in received if not r.error)


def test_a_year_is_determined_by_folder_then_first_record_then_name(desk: Desk) -> None:
    dropped, frame = desk.extraction.dropped, pl.read_csv(file_of(desk.world, "2025"), infer_schema=False)
    for name, kept in (
        ("2021/gasto 2022.csv", frame),
        ("gasto 2023.csv", frame.drop("ANO_EJE")),
        ("de 2020 a 2024.csv", frame),
    ):
        leave(desk.folder / name, kept)
    assert dropped.partitions(BUDGET) == {"2021", "2023", "2025"}
    assert str(dropped.of(BUDGET, "2025")).endswith("de 2020 a 2024.csv")
    assert dropped.of(BUDGET, None) is None


def test_a_workbook_that_cannot_be_summed_whole_is_refused(desk: Desk) -> None:
    desk.folder.mkdir(parents=True)
    (desk.folder / "Gasto 2025.xlsx").write_bytes(b"PK\x03\x04")
    received = desk.ask()
    assert isinstance(received.error, UnexpectedFormat)
    assert "save the table as CSV" in str(received.error)
    assert received.manifest


def test_a_workbook_for_a_small_csv_source_keeps_its_row_numbers(desk: Desk, layers: dict[str, SourceLayer]) -> None:
    layer = layers["invierte.gaps"]
    frame = pl.read_csv(desk.world.files / layer.url.rsplit("/", 1)[-1], infer_schema=False)
    assert desk.extraction.refresh(layer).error is None
    path = desk.extraction.inbox.source_folder(layer.source) / "brechas.xlsx"
    path.parent.mkdir(parents=True)
    frame.write_excel(path)
    received = desk.extraction.refresh(layer)
    assert received.error is None
    assert received.manifest
    assert received.manifest.is_dropped
    kept = pl.read_parquet(desk.extraction.lake.path(layer.source, None, received.manifest.snapshot_id))
    assert kept["_row"].to_list() == list(range(2, frame.height + 2))


def test_a_file_of_a_source_in_parts_lies_in_the_folder_of_its_part(desk: Desk, layers: dict[str, SourceLayer]) -> None:
    """Where the service does not answer, the part of the file is read and the others are kept."""
    layer = layers["minam.degradation"]
    first = {r.partition: r.manifest for r in desk.extraction.refresh_all([(layer, None)])}
    year, *others = [part for part in first if part]
    frame = pl.read_parquet(desk.extraction.lake.path(layer.source, year, str(first[year] and first[year].snapshot_id)))
    shapes = shapely.from_wkb(frame["geometry"].to_numpy())
    names = [name.rstrip("?") for name in layer.fields.values() if name.rstrip("?") in frame.columns]
    home = desk.extraction.inbox.source_folder(layer.source)
    for path in (home / "suelto.gpkg", home / year / "capa.gpkg"):
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = [frame[name].to_numpy() for name in names]
        pyogrio.raw.write(path, shapely.to_wkb(shapes), columns, names, geometry_type="Unknown", crs="EPSG:4326")
    desk.servers.faults.by_path["MapServer"] = lambda *_: Response(status_code=503)
    received = desk.extraction.refresh_all([(layer, None)])
    by_part = {r.partition: r for r in received}
    assert isinstance(by_part[None].error, UnplacedFile)
    assert by_part[year].error is None
    assert by_part[year].manifest
    assert by_part[year].manifest.is_dropped
    assert all(by_part[part].manifest == first[part] and by_part[part].error for part in others)


def test_a_file_that_may_not_be_read_concerns_its_source_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = leave(desk.folder / "2025.csv", revised(file_of(desk.world, "2025"), "1"))
    real = os.open

    def refused(given: str | Path, flags: int, *more: int, **named: int) -> int:
        if given == path:
            raise PermissionError(13, "Permission denied")
        return real(given, flags, *more, **named)

    monkeypatch.setattr(os, "open", refused)
    received = desk.ask()
    assert "Permission denied; see that it lies there and may be read" in str(received.error)
    assert received.manifest


# -- the whole pipeline -----------------------------------------------------------------------------


def test_a_year_by_mail_beside_the_years_of_the_server(good_night: Pipeline, world: World, tmp_path: Path) -> None:
    """The server has no 2026 yet; the run reads 2025 alone, and the file is still read, and withdrawn."""
    shutil.copytree(good_night.data_dir, tmp_path / "data", symlinks=True)
    frame = pl.read_csv(file_of(world, "2025"), infer_schema=False).with_columns(ANO_EJE=pl.lit("2026"))
    path = leave(tmp_path / "data" / "inbox" / "fuentes" / BUDGET.source / "presupuesto.csv", frame)
    with SandboxServers(world) as servers:
        settings = Settings(tmp_path / "data", servers.write_hosts(tmp_path / "hosts.json"), 2026, 5, 10, 2)
        pipeline = Pipeline(tmp_path / "data", servers, settings)
        before = pipeline.query(BY_YEAR)
        assert pipeline.publish(fiscal_years=[2025]), pipeline.errors()
        assert f"raw_mef__budget_execution:{CHECK}" not in pipeline.failed_checks()
        assert pipeline.query(BY_YEAR)[:-1] == before
        assert pipeline.query(BY_YEAR)[-1] == (2026, *before[-1][1:])
        totals = (
            "select sum(line_count), sum(modified_pen) from staging.stg_mef__programme_totals where fiscal_year = ?"
        )
        assert pipeline.query(totals, 2026) == pipeline.query(totals, 2025) != [(None, None)]
        status = (
            "select is_stale, snapshot_id is null from quality.source_status where source = ? and partition = '2026'"
        )
        assert pipeline.query(status, BUDGET.source) == [(False, False)]
        path.unlink()
        assert pipeline.publish(fiscal_years=[2025]), pipeline.errors()
        assert pipeline.query(BY_YEAR) == before
        assert pipeline.query(status, BUDGET.source) == [(True, True)], "the server has none, and says so"
