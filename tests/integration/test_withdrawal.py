"""A delivery is withdrawn only by an explicit request."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pytest

from resources.inbox import Inbox, answer_path
from resources.snapshots import SnapshotStore
from restoration.build.replay import replay
from restoration.sources.register import all_layers
from sandbox.servers.app import SandboxServers
from sandbox.world import World
from tests.conftest import Pipeline, settings_for

TABLE, SHAPES = "ong_tierra--plantaciones.csv", "comunidad_alto_mayo--zonas.zip"
STATUS = "select snapshot_id, is_stale, row_count from quality.source_status where source = 'submissions.areas' and partition = ?"
AREAS = "select count(*), sum(geometry_ha), sum(net_ha) from core.areas where layer_name = ?"
IDS = "select record_key, initiative_id, since, until, went_by, came_by from core.initiative_ids where record_key like 'submissions%' order by all"
HISTORY = "select rule_id, entry_key, closed_on is null, closed_how from quality.quarantine_history where reporting_institution = 'ong_tierra' order by all"
CHANGES = "select change_kind, count(*) from core.initiative_id_changes where record_key like 'submissions%' group by all order by all"


@dataclass(frozen=True)
class Night:
    """What was published and answered after one night."""

    table: list[tuple]
    shapes: list[tuple]
    status: dict[str, tuple]
    workbook: list[tuple]
    ids: list[tuple]
    changes: list[tuple]
    stale: list[tuple]
    unread: list[tuple]
    answers: dict[str, dict[str, object]]
    has_old_answer: bool


def reported(path: Path) -> dict[str, object]:
    rows = openpyxl.load_workbook(path, read_only=True)["Resumen"].iter_rows(values_only=True)
    return {str(label): value for label, value, *_ in rows}


def after(pipeline: Pipeline) -> Night:
    assert pipeline.publish(), pipeline.errors()
    assert not pipeline.errors()
    inbox = pipeline.data_dir / "inbox"
    return Night(
        pipeline.query(AREAS, TABLE),
        pipeline.query(AREAS, SHAPES),
        {name: pipeline.query(STATUS, name)[0] for name in (TABLE, SHAPES)},
        pipeline.query(HISTORY),
        pipeline.query(IDS),
        pipeline.query(CHANGES),
        pipeline.query("select stale_sources from meta.releases order by published_at desc limit 1"),
        pipeline.query("select source, partition from quality.source_shape where snapshot_id is null"),
        {str(p.relative_to(inbox)): reported(answer_path(p)) for p in Inbox(inbox).withdrawals().values()},
        answer_path(inbox / "ong_tierra" / "plantaciones.csv").exists(),
    )


@pytest.fixture(scope="module")
def nights(
    good_night: Pipeline, world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Pipeline, list[Night]]]:
    """Delivered; asked for too early, and a file that vanished; withdrawn; delivered again."""
    folder = tmp_path_factory.mktemp("withdrawal")
    shutil.copytree(good_night.data_dir, folder / "data", symlinks=True)
    inbox = folder / "data" / "inbox"
    shutil.copytree(world.folder / "inbox", inbox, dirs_exist_ok=True)
    table, shapes = inbox / "ong_tierra" / "plantaciones.csv", inbox / "comunidad_alto_mayo" / "zonas.zip"
    with SandboxServers(world) as servers:
        pipeline = Pipeline(
            folder / "data", servers, settings_for(folder / "data", servers.write_hosts(folder / "h.json"))
        )
        seen = [after(pipeline)]
        for path in (
            table.parent / "retirar" / table.name,
            inbox / "retirar" / "suelto.csv",
            inbox / "imarpe" / "retirar" / "otro.csv",
        ):
            path.parent.mkdir()
            shutil.copy2(table, path)
        shutil.move(shapes, folder / shapes.name)
        seen.append(after(pipeline))
        table.unlink()
        (shapes.parent / "retirar").mkdir()
        shutil.move(folder / shapes.name, shapes.parent / "retirar" / shapes.name)
        seen.append(after(pipeline))
        shutil.move(table.parent / "retirar" / table.name, table)
        seen.append(after(pipeline))
        yield pipeline, seen


def test_a_file_that_still_lies_in_its_folder_or_only_vanished_is_not_withdrawn(
    nights: tuple[Pipeline, list[Night]],
) -> None:
    _, (delivered, early, *_) = nights
    assert delivered.table[0][0] == 1
    assert delivered.shapes[0][0] == 2
    assert (early.table, early.shapes, early.status) == (delivered.table, delivered.shapes, delivered.status)
    assert "sigue en la carpeta" in str(early.answers["ong_tierra/retirar/plantaciones.csv"]["Resultado"])
    assert "nunca se entregó" in str(early.answers["imarpe/retirar/otro.csv"]["Resultado"])


def test_the_folder_of_withdrawals_delivers_nothing(nights: tuple[Pipeline, list[Night]]) -> None:
    pipeline, _ = nights
    inbox = Inbox(pipeline.data_dir / "inbox")
    assert "retirar/suelto.csv" in {str(p.relative_to(inbox.folder)) for p in inbox.folder.rglob("*.csv")}
    assert not [name for name in (*inbox.submissions(), *inbox.withdrawals()) if name.startswith("retirar")]
    assert pipeline.query("select count(*) from quality.source_status where partition like '%retirar%'") == [(0,)]


def test_what_was_withdrawn_no_longer_counts_and_its_answer_says_what_it_was(
    nights: tuple[Pipeline, list[Night]],
) -> None:
    _, (delivered, _, withdrawn, _) = nights
    assert (withdrawn.table[0][0], withdrawn.shapes[0][0]) == (0, 0)
    answer = withdrawn.answers["comunidad_alto_mayo/retirar/zonas.zip"]
    assert str(answer["Resultado"]).startswith("Retirado")
    assert answer["Filas aceptadas que se retiraron"] == 2
    _, drawn, net = delivered.shapes[0]
    assert drawn > 1
    assert answer["Hectáreas dibujadas que se retiraron"] == pytest.approx(float(drawn), abs=0.01)
    assert answer["Hectáreas netas que se retiraron"] == pytest.approx(float(net), abs=0.01)
    assert withdrawn.answers["ong_tierra/retirar/plantaciones.csv"]["Filas aceptadas que se retiraron"] == 1
    assert withdrawn.answers["ong_tierra/retirar/plantaciones.csv"]["Hectáreas declaradas que se retiraron"] > 1
    assert [night.has_old_answer for night in nights[1]] == [True, True, False, True], "until it is delivered again"


def test_a_withdrawn_delivery_is_neither_stale_nor_never_read(nights: tuple[Pipeline, list[Night]]) -> None:
    pipeline, (_, _, withdrawn, _) = nights
    assert withdrawn.status == {TABLE: (None, False, None), SHAPES: (None, False, None)}
    assert withdrawn.stale == [([],)]
    assert withdrawn.unread == []
    store = SnapshotStore(pipeline.data_dir / "snapshots")
    for source in ("submissions.areas", "submissions.indicators"):
        assert [a.outcome for a in store.attempts(source, SHAPES)].count("withdrawn") == 1, (
            "recorded once, not every night"
        )
        assert store.current(source, SHAPES) is None


def test_quarantine_and_ids_follow_and_find_themselves_again(nights: tuple[Pipeline, list[Night]]) -> None:
    _, (delivered, early, withdrawn, again) = nights
    opened = [(rule, key) for rule, key, is_open, _ in delivered.workbook if is_open]
    assert opened
    assert early.workbook == delivered.workbook
    assert {how for _, _, is_open, how in withdrawn.workbook if not is_open} == {"withdrawn"}
    assert not [entry for entry in withdrawn.workbook if entry[2]]
    assert sorted((rule, key) for rule, key, is_open, _ in again.workbook if is_open) == sorted(opened)
    gone = {row[0]: row[1] for row in withdrawn.ids if row[4] == "withdrawn"}
    assert len(gone) == 4, "two of each; one of the table has its area in quarantine"
    assert ("withdrawn", 4) in withdrawn.changes
    back = {row[0]: row[1] for row in again.ids if row[5] == "returned"}
    assert len(back) == 2
    assert back.items() <= gone.items()
    assert again.table == delivered.table


@pytest.mark.endurance
def test_releases_before_and_after_a_withdrawal_are_rebuilt(nights: tuple[Pipeline, list[Night]]) -> None:
    pipeline, _ = nights
    names = [r[0] for r in pipeline.query("select release_id from meta.releases order by published_at")]
    received = replay(pipeline.data_dir, pipeline.settings.warehouse, all_layers(), names[-2])
    assert received.differing_rows == {}
