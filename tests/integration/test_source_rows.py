"""The number of a row is that of the source's own file, whatever raw leaves out of it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from resources.lake import ROW_COLUMN, Lake
from restoration.build import inputs
from restoration.sources.register import all_layers
from sandbox.servers.app import SandboxServers
from sandbox.world import World
from tests.conftest import Pipeline, settings_for

BUDGET = all_layers()["mef.budget_execution"]
KEY = [
    "fiscal_year",
    "executing_unit_code",
    "executing_unit_sequence",
    "programme_code",
    "activity_or_project",
    "product_code",
    "activity_code",
    "functional_sequence",
    "meta_code",
    "funding_item",
    "specific_detail_code",
]
YEARS = (2020, 2025)
AMOUNTS = ["initial_pen", "modified_pen", "certified_pen", "committed_pen", "accrued_pen", "paid_pen"]


def records(path: Path) -> dict[int, dict[str, str]]:
    """A CSV by Python's own reader: the header is row 1."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    return {number: dict(zip(header, row, strict=True)) for number, row in enumerate(rows, start=2)}


def wrong_rows(pipeline: Pipeline, year: int) -> list[int]:
    """Published lines of a year whose row in the file has another key or other amounts."""
    file = records(pipeline.servers.world.files / BUDGET.url_for(str(year)).rsplit("/", 1)[-1])
    lines = pipeline.query(
        f"select first_source_row, {', '.join(KEY)}, {', '.join(AMOUNTS)} from core.spending"
        " where fiscal_year = ? and line_count = 1",
        year,
    )
    assert len(lines) > 100
    assert max(number for number, *_ in lines) > len(lines) + 100, "raw leaves rows out, or this shows nothing"
    wrong = []
    for number, *values in lines:
        row = file[number]
        key = [None if not row[BUDGET.fields[name]].strip() else row[BUDGET.fields[name]].strip() for name in KEY]
        amounts = [Decimal(row[BUDGET.fields[name]] or 0) for name in AMOUNTS]
        if [str(values[0]), *values[1 : len(KEY)]] != key or list(values[len(KEY) :]) != amounts:
            wrong.append(number)
    return wrong


@pytest.fixture(scope="module")
def mixed(good_night: Pipeline, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A night over files whose restoration programmes are not all at the top, as they are in the sandbox."""
    folder = tmp_path_factory.mktemp("mixed")
    shutil.copytree(world.folder, folder / "world")
    shutil.copytree(good_night.data_dir, folder / "data", symlinks=True)
    for year in YEARS:
        path = folder / "world" / "files" / BUDGET.url_for(str(year)).rsplit("/", 1)[-1]
        pl.read_csv(path, infer_schema=False).sort("MONTO_PIM", "SEC_FUNC").write_csv(path, quote_style="always")
    with SandboxServers(World(folder / "world")) as servers:
        settings = settings_for(folder / "data", servers.write_hosts(folder / "hosts.json"))
        pipeline = Pipeline(folder / "data", servers, settings)
        assert pipeline.publish(), pipeline.errors()
        yield pipeline


def test_a_published_line_is_found_in_the_file_by_its_number(mixed: Pipeline) -> None:
    for year in YEARS:
        assert wrong_rows(mixed, year) == []


def test_every_line_of_a_small_file_is_numbered_as_a_spreadsheet_shows_it(good_night: Pipeline, world: World) -> None:
    layer = all_layers()["invierte.investments"]
    file = records(world.files / layer.url.rsplit("/", 1)[-1])
    codes = good_night.query("select source_row, cui from staging.stg_invierte__investments")
    assert {number for number, _ in codes} == set(file)
    assert all(file[number][layer.fields["cui"]].strip() == cui for number, cui in codes)


def test_raw_of_the_previous_version_is_rebuilt_and_never_read_with_its_own_numbers(
    mixed: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed years too, which a weekday does not ask for."""
    old = [p for p in (mixed.data_dir / "lake" / "raw" / "mef").rglob("*.parquet") if "totals" not in p.name]
    old = [p for p in old if "consulta" not in str(p)]
    assert len(old) == 8 + len(YEARS)
    for path in old:
        pq.write_table(pq.ParquetFile(path).read().drop_columns([ROW_COLUMN]), path)
        assert not Lake.has_row_numbers(path)
    monkeypatch.setattr(inputs, "_READER_VERSION", "as after an update")
    assert mixed.publish(fiscal_years=[2025]), mixed.errors()
    assert sum(Lake.has_row_numbers(path) for path in old) == 8, "one for each current year"
    for year in YEARS:
        assert wrong_rows(mixed, year) == []
