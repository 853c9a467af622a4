"""A night whose inbox is full of attacks: it ends well, the other institutions' rows are published, and each bad file has its answer."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import openpyxl
import pytest

from resources.inbox import Inbox, answer_path
from restoration.submissions.responses import answer_all
from sandbox.servers.app import SandboxServers
from sandbox.world import World
from tests.attacks.test_files import SECRET, endless_view, far_cell, nested
from tests.conftest import Pipeline, settings_for


@dataclass
class Attacked:
    """Two nights, their inbox, what may not be overwritten, the names of the bad files, and what each night published."""

    pipeline: Pipeline
    inbox: Inbox
    theirs: Path
    bad: list[str]
    nights: list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def attacked(good_night: Pipeline, world: World, tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    folder = tmp_path_factory.mktemp("attacked")
    shutil.copytree(good_night.data_dir, folder / "data", symlinks=True)
    shutil.copytree(world.folder / "inbox", folder / "data" / "inbox", dirs_exist_ok=True)
    inbox, theirs = Inbox(folder / "data" / "inbox"), folder / "decisions.csv"
    theirs.write_text("not theirs")
    secret = folder / "secret.csv"
    secret.write_text(f"codigo,nombre,longitud,latitud\nS-1,{SECRET},-70.0,-15.8\n")
    vrt = f"<OGRVRTDataSource><OGRVRTLayer name='secret'><SrcDataSource>CSV:{secret}</SrcDataSource><GeometryType>wkbPoint</GeometryType></OGRVRTLayer></OGRVRTDataSource>"
    bad = {
        **{f"vrt{suffix}": vrt.encode() for suffix in (".geojson", ".json", ".kml", ".gml", ".gpkg", ".shp")},
        "lejos.xlsx": far_cell(),
        "vista.gpkg": endless_view(folder),
        "S.A.C..geojson": b"{",
        "x" * 150 + ".kml": b"<kml>",
    }
    for name, body in bad.items():
        (inbox.folder / "ong_tierra" / name).write_bytes(body)
    (inbox.folder / "ong_tierra" / "hondo.geojson").write_bytes(nested(300))
    (inbox.folder / "ong_tierra" / "vrt.json.respuesta.xlsx").mkdir()  # nothing can be written there
    for path in inbox.submissions().values():
        answer = answer_path(path)
        for name in (answer.name, f".{answer.name}.part", f"{answer.name}.part"):
            if not (path.parent / name).exists() and len(name) < 200:
                (path.parent / name).symlink_to(theirs)
    for name in (".respuestas.json", ".respuestas.part", ".leido.json", ".leido.json.part"):
        (inbox.folder / name).symlink_to(theirs)
    with SandboxServers(world) as servers:
        settings = settings_for(folder / "data", servers.write_hosts(folder / "hosts.json"))
        pipeline = Pipeline(folder / "data", servers, settings)
        assert pipeline.publish(), pipeline.errors()
        first = published(pipeline)
        assert pipeline.publish(), pipeline.errors()
    with duckdb.connect(str(pipeline.published), read_only=True) as con:
        answer_all(con, inbox)
    return Attacked(pipeline, inbox, theirs, list(bad), [first, published(pipeline)])


def published(pipeline: Pipeline) -> tuple[str, int, int]:
    """The release, the current snapshots of submissions, and those that could not be read."""
    ((release,),) = pipeline.query("select release_id from meta.releases order by published_at desc limit 1")
    ((read, failed),) = pipeline.query(
        "select count(snapshot_id), count(*) filter (where is_stale) from quality.source_status where source = 'submissions.areas'"
    )
    return release, read, failed


def test_the_next_night_over_the_same_files_is_the_same_release(attacked: Attacked) -> None:
    """What was refused is refused again; what was read does not count as new."""
    first, second = attacked.nights
    assert first == second
    assert first[2] >= len(attacked.bad)


def test_the_other_institutions_rows_are_published(attacked: Attacked) -> None:
    rows = attacked.pipeline.query(
        "select layer_name, count(*) from core.areas where source = 'submissions' group by all"
    )
    published = {name for name, _ in rows}
    assert {name.split("--")[0] for name in published} >= {"gore_tacna", "agroforestal_sac", "ong_tierra"}
    assert attacked.pipeline.query("select count(*) > 300 from initiatives") == [(True,)]


def test_each_bad_file_has_a_reason_and_nothing_of_the_machine_is_published(attacked: Attacked) -> None:
    reported = dict(
        attacked.pipeline.query(
            "select partition, last_error from quality.source_status where source = 'submissions.areas' and last_error is not null"
        )
    )
    for name, path in attacked.inbox.submissions().items():
        if path.name in attacked.bad:
            assert reported[name], name
    assert SECRET not in str(reported)
    for table in ("core.initiatives", "core.areas", "staging.stg_submissions__features"):
        assert attacked.pipeline.query(f"select count(*) from {table} as t where contains(t::varchar, ?)", SECRET) == [
            (0,)
        ]


def test_answers_replace_links_and_write_through_none(attacked: Attacked) -> None:
    assert attacked.theirs.read_text() == "not theirs"
    answered = 0
    for path in attacked.inbox.submissions().values():
        answer = answer_path(path)
        assert not answer.is_symlink()
        if answer.is_file():
            answered += 1
            assert openpyxl.load_workbook(answer, read_only=True).sheetnames[0] == "Resumen"
    assert answered == len(attacked.inbox.submissions()) - 1, "all but the one in whose place a folder lies"
    assert not [p for p in attacked.inbox.folder.rglob("*.part") if not p.is_symlink()]
