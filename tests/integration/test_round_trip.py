"""The steps of a new user: fill in the template, drop it, read the answer, correct it, drop it again."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pytest

from resources.inbox import answer_path
from restoration.build.replay import replay
from restoration.sources.register import all_layers
from restoration.submissions.template import write_template
from sandbox.servers.app import SandboxServers
from sandbox.world import World
from tests.conftest import Pipeline, settings_for
from tests.integration.broken_rows import good_indicator, good_submission

BROKEN = {"estado": "casi listo", "fecha_fin": "2020-01-01", "nombre": None}  # three things wrong with the fifth
UNREADABLE = {"superficie_ha": "20 ha"}  # and a second area of the fourth that cannot be read


def fill(path: Path, broken: dict[str, str | None], second_area: dict[str, str]) -> None:
    """Five initiatives, the fifth as given; a second area of the fourth; two indicator values, one of them of the fifth."""
    write_template(path)
    workbook = openpyxl.load_workbook(path)
    rows = [good_submission(number) for number in range(5)]
    rows[4] |= broken
    rows.append(good_submission(5) | {"codigo": rows[3]["codigo"]} | second_area)
    values = [good_indicator(0), good_indicator(1) | {"codigo": "P-004"}]
    for name, filled in (("Iniciativas", rows), ("Indicadores", values)):
        columns = {cell.value: cell.column for cell in workbook[name][1]}
        for number, row in enumerate(filled, start=2):
            for column, value in row.items():
                workbook[name].cell(number, columns[column], value)
    workbook.save(path)


def sheet(path: Path, name: str) -> list[dict[str, object]]:
    header, *rows = openpyxl.load_workbook(path, read_only=True)[name].iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


@dataclass(frozen=True)
class Trip:
    """What the user saw, night after night."""

    pipeline: Pipeline
    first_answer: list[dict[str, object]]
    first_accepted: list[dict[str, object]]
    first_held: list[tuple]
    second_answer: list[dict[str, object]]
    second_accepted: list[dict[str, object]]


@pytest.fixture(scope="module")
def trip(good_night: Pipeline, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trip]:
    folder = tmp_path_factory.mktemp("trip")
    shutil.copytree(good_night.data_dir, folder / "data", symlinks=True)
    path = folder / "data" / "inbox" / "gore_prueba" / "iniciativas.xlsx"
    with SandboxServers(world) as servers:
        settings = settings_for(folder / "data", servers.write_hosts(folder / "hosts.json"))
        pipeline = Pipeline(folder / "data", servers, settings)
        fill(path, BROKEN, UNREADABLE)
        assert pipeline.publish(), pipeline.errors()
        answer = answer_path(path)
        first, accepted = sheet(answer, "Por corregir"), sheet(answer, "Aceptadas")
        held = pipeline.query(
            "select rule_id, opened_on from quality.quarantine where reporting_institution = 'gore_prueba' order by all"
        )
        fill(path, {}, {})
        assert pipeline.publish(), pipeline.errors()
        assert not pipeline.errors()
        yield Trip(pipeline, first, accepted, held, sheet(answer, "Por corregir"), sheet(answer, "Aceptadas"))


def test_the_answer_names_the_three_faults_and_what_to_write(trip: Trip) -> None:
    fifth = next(row for row in trip.first_answer if row["codigo"] == "P-004" and row["hoja"] == "Iniciativas")
    reported = str(fifth["que_paso"])
    assert fifth["fila"] == 6
    assert "estado no es ninguno" in reported
    assert "no tiene nombre" in reported
    assert "término es anterior" in reported
    assert "cuarentena" not in reported, "the consequence for its area is no fault of its own"
    assert "Elija en la columna estado" in str(fifth["que_hacer"])


def test_what_could_not_be_read_is_quarantined_and_the_rest_of_its_initiative_counts(trip: Trip) -> None:
    row = next(r for r in trip.first_answer if r["fila"] == 7)
    assert "superficie" in str(row["que_paso"])
    assert "Escriba solo el número" in str(row["que_hacer"])
    assert {r["codigo"] for r in trip.first_accepted} == {"P-000", "P-001", "P-002", "P-003"}


def test_a_value_is_quarantined_until_its_initiative_is_accepted(trip: Trip) -> None:
    row = next(r for r in trip.first_answer if r["hoja"] == "Indicadores")
    assert row["codigo"] == "P-004"
    assert "iniciativa de este valor" in str(row["que_paso"])


def test_accepted_rows_say_what_could_be_better(trip: Trip) -> None:
    assert all(not r["por_mejorar"] for r in trip.first_accepted), "they have all that the protocol asks for"


def test_everything_is_accepted_once_corrected(trip: Trip) -> None:
    assert trip.second_answer == []
    assert len(trip.second_accepted) == 6
    assert len({r["iniciativa"] for r in trip.second_accepted}) == 5
    values = trip.pipeline.query("select count(*), count(distinct initiative_id) from core.indicator_values")
    assert values == [(2, 2)]


def test_the_entries_are_closed_and_the_history_keeps_them(trip: Trip) -> None:
    where = "where reporting_institution = 'gore_prueba'"
    assert trip.pipeline.query(f"select count(*) from quality.quarantine {where}") == [(0,)]
    entries = trip.pipeline.query(
        f"select rule_id, opened_on, closed_on, closed_how, record from quality.quarantine_history {where} order by rule_id"
    )
    assert [(rule, opened) for rule, opened, *_ in entries] == sorted(set(trip.first_held))
    today = {closed for _, _, closed, *_ in entries}
    assert len(today) == 1
    assert isinstance(today.pop(), dt.date)
    how = {rule: closed_how for rule, _, _, closed_how, _ in entries}
    assert how["initiatives.status.required"] == "mended"
    assert how["initiatives.name.required"] == "mended"
    assert how["submissions.table.declared_area_can_be_read"] == "mended"
    as_received = next(json.loads(record) for rule, *_, record in entries if rule == "initiatives.status.required")
    assert as_received["status_at_source"] == "casilisto", "the row as it was refused"


@pytest.mark.endurance
def test_the_quarantine_history_is_rebuilt_too(trip: Trip) -> None:
    releases = [r[0] for r in trip.pipeline.query("select release_id from meta.releases order by published_at")]
    received = replay(trip.pipeline.data_dir, trip.pipeline.settings.warehouse, all_layers(), releases[-1])
    assert received.differing_rows == {}
