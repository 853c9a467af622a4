"""Exports: each one opened by an independent reader, and compared with the warehouse."""

from __future__ import annotations

import csv
import json
import re
import runpy
import sqlite3
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import frictionless
import geopandas
import openpyxl
import orjson
import polars as pl
import pyogrio
import pytest
import shapely
from frictionless import system
from lxml import etree, html
from owslib.iso import MD_Metadata

from assets.exports import KINDS, Export
from dbt_like_sql.seeds import read_seed
from restoration.exports.cbd import HEADERS, UPLOAD
from restoration.exports.ferm import LEFT_OUT, PAYLOADS, ferm_settings
from restoration.exports.gis import GEOPACKAGE, LAYERS
from restoration.exports.release import MANIFEST, write_export
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline

ROOT = Path(__file__).parents[2]
TABLES = {
    "initiatives": "core.initiatives",
    "areas": "core.areas",
    "overlaps": 'core."overlaps"',
    "allocations": "core.area_pieces",
}


def test_every_layer_opens_with_its_reference_and_every_row(good_night: Pipeline) -> None:
    folder = good_night.data_dir / "exports" / "gis"
    assert {name for name, _ in pyogrio.list_layers(folder / GEOPACKAGE)} == {*LAYERS, "layer_styles"}
    for name, table in TABLES.items():
        rows = good_night.query(f"select count(*) from {table}")[0][0]
        info = pyogrio.read_info(folder / GEOPACKAGE, layer=name)
        assert (info["features"], info["crs"]) == (rows, "EPSG:4326")
        frame = geopandas.read_parquet(folder / f"{name}.parquet")
        assert len(frame) == rows
        assert frame.crs.to_epsg() == 4326
        with duckdb.connect() as con:
            geo = con.execute(
                "select value from parquet_kv_metadata(?) where key = 'geo'", [str(folder / f"{name}.parquet")]
            ).fetchone()
        assert json.loads(bytes(geo[0]))["version"] == "1.1.0"  # type: ignore[index]


def test_hectares_on_the_map_are_those_of_the_warehouse(good_night: Pipeline) -> None:
    folder = good_night.data_dir / "exports" / "gis"
    areas = pyogrio.read_dataframe(folder / GEOPACKAGE, layer="areas")
    assert areas["net_ha"].sum() == pytest.approx(good_night.query("select sum(net_ha) from core.areas")[0][0])
    drawn = areas[areas["geometry_kind"] == "polygon"]
    assert (abs(drawn.to_crs(6933).area / 10_000 - drawn["geometry_ha"]) < 1e-6).all()
    assert drawn.geometry.is_valid.all()
    west, south, east, north = areas.total_bounds
    assert -82 < west < east < -68
    assert -19 < south < north < 1
    allocations = geopandas.read_parquet(folder / "allocations.parquet")
    assert (allocations.to_crs(6933).area / 10_000).sum() == pytest.approx(drawn["net_ha"].sum(), rel=1e-6)
    overlaps = pyogrio.read_dataframe(folder / GEOPACKAGE, layer="overlaps")
    assert (
        abs(overlaps.to_crs(6933).area / 10_000 - overlaps["overlap_ha"]) < 0.01 * overlaps["overlap_ha"] + 1e-6
    ).all()
    assert shapely.is_valid(overlaps.geometry.to_numpy()).all()


def test_qgis_finds_a_style_for_areas_by_status_and_for_overlaps(good_night: Pipeline) -> None:
    styles = pyogrio.read_dataframe(exports(good_night, "gis") / GEOPACKAGE, layer="layer_styles", read_geometry=False)
    columns = {"areas": "status", "initiatives": "status", "overlaps": "is_same_initiative"}
    assert dict(zip(styles["f_table_name"], styles["useAsDefault"], strict=True)) == dict.fromkeys(columns, True)
    for name, text, geometry in zip(
        styles["f_table_name"], styles["styleQML"], styles["f_geometry_column"], strict=True
    ):
        style = etree.fromstring(text.encode())
        assert style.find("renderer-v2").get("attr") == columns[name]
        with sqlite3.connect(exports(good_night, "gis") / GEOPACKAGE) as con:
            assert geometry in {row[1] for row in con.execute(f"pragma table_info({name})")}
        stated = {c.get("value") for c in style.iter("category")} - {""}
        if columns[name] == "status":
            assert stated == set(read_seed("initiative_statuses")["status"])


# -- every export ------------------------------------------------------------------------------------


def exports(pipeline: Pipeline, kind: str) -> Path:
    return pipeline.data_dir / "exports" / kind


def manifest_of(pipeline: Pipeline, kind: str) -> dict[str, Any]:
    return json.loads((exports(pipeline, kind) / MANIFEST).read_text())


@pytest.mark.parametrize("export", KINDS, ids=lambda e: e.kind)
def test_an_export_names_its_release_and_is_written_once_with_the_same_bytes(
    good_night: Pipeline, tmp_path: Path, export: Export
) -> None:
    manifest, folder = manifest_of(good_night, export.kind), exports(good_night, export.kind)
    assert manifest["release_id"] == good_night.query("select release_id from meta.releases")[0][0]
    assert manifest["is_sandbox"]
    assert set(manifest["files"]) == {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {MANIFEST}
    assert not write_export(good_night.published, folder, export.writer, export.about).is_new
    again = write_export(good_night.published, tmp_path / export.kind, export.writer, export.about)
    assert again.is_new
    for path in sorted(folder.iterdir()):
        assert path.read_bytes() == (again.folder / path.name).read_bytes(), path.name


def test_an_export_that_fails_leaves_the_one_before(good_night: Pipeline, tmp_path: Path) -> None:
    def broken(con: duckdb.DuckDBPyConnection, release: object, folder: Path) -> dict[str, int]:
        (folder / "half").write_text("half")
        raise OSError("no space left on device")

    def whole(con: duckdb.DuckDBPyConnection, release: object, folder: Path) -> dict[str, int]:
        (folder / "whole").write_text("whole")
        return {}

    folder = tmp_path / "kind"
    write_export(good_night.published, folder, whole)
    (folder / MANIFEST).write_text('{"release_id": "an older one", "made_by": "", "files": {}}')
    with pytest.raises(OSError, match="no space"):
        write_export(good_night.published, folder, broken)
    assert {p.name for p in folder.iterdir()} == {"whole", MANIFEST}


# -- FERM ---------------------------------------------------------------------------------------------


def ferm_features(pipeline: Pipeline) -> list[dict[str, Any]]:
    found = []
    for path in sorted(exports(pipeline, "ferm").glob("*.geojson")):
        found += orjson.loads(path.read_bytes())["features"]
    return found


def test_ferm_gets_each_net_hectare_once_and_the_rest_is_listed_with_its_reason(good_night: Pipeline) -> None:
    sent = sum(f["properties"]["area"] for f in ferm_features(good_night))
    with (exports(good_night, "ferm") / LEFT_OUT).open() as file:
        left = list(csv.DictReader(file))
    assert all(row["reason"] for row in left)
    kept_back = sum(float(row["left_out_net_ha"] or 0) for row in left)
    assert sent + kept_back == pytest.approx(
        good_night.query("select sum(net_ha) from core.areas")[0][0], abs=1e-4
    )  # a square metre
    reported = {f["properties"]["areaId"] for f in ferm_features(good_night)} | {row["area_id"] for row in left}
    assert reported == {row[0] for row in good_night.query("select area_id from core.areas")}
    preparing = {
        row[0]
        for row in good_night.query("select initiative_id from core.initiatives where not counts_as_under_restoration")
    }
    assert preparing
    assert not preparing & {f["properties"]["initiativeId"] for f in ferm_features(good_night)}
    assert any("committed area" in row["reason"] for row in left)


def test_ferm_polygons_are_measured_as_ferm_measures_and_do_not_overlap(good_night: Pipeline) -> None:
    for path in sorted(exports(good_night, "ferm").glob("*.geojson")):
        frame = pyogrio.read_dataframe(path)
        assert (frame.geometry.geom_type == "Polygon").all()
        assert frame.geometry.is_valid.all()
        flat = frame.to_crs(6933).geometry
        assert (abs(flat.area / 10_000 - frame["area"]) < 1e-6 * frame["area"] + 1e-6).all()
        one, other = shapely.STRtree(flat).query(flat, predicate="intersects")
        pairs = [(a, b) for a, b in zip(one, other, strict=True) if a < b]
        assert all(flat[a].intersection(flat[b]).area < 1 for a, b in pairs), path.name


def test_ferm_fields_and_codes_are_those_of_its_lists(good_night: Pipeline) -> None:
    biomes = set(read_seed("get_groups")["biome_code"])
    activities = {int(code) for code in read_seed("restoration_activities")["activity_code"]}
    seen: dict[str, set[Any]] = defaultdict(set)
    for feature in ferm_features(good_night):
        stated = feature["properties"]
        for name in ("restorationTypes", "tenureStatuses", "activities", "iucnEcosystems"):
            seen[name] |= set(stated[name])
        seen["restorationStatus"].add(stated["restorationStatus"])
    assert seen["restorationTypes"] == {1, 2}
    assert seen["restorationStatus"] == {2, 3}
    assert seen["tenureStatuses"] <= set(range(1, 8))
    assert seen["activities"] <= activities
    assert seen["iucnEcosystems"] <= biomes
    lines = (exports(good_night, "ferm") / PAYLOADS).read_bytes().splitlines()
    allowed = {
        "institutionId",
        "title",
        "startingYear",
        "restorationTypes",
        "pointsOfContact",
        "organizations",
        "country",
        "countries",
    }
    for line in lines:
        payload = orjson.loads(line)["payload"]
        assert set(payload["properties"]) <= allowed
        assert all(set(f["properties"]) == {"siteName", "area"} for f in payload["features"])
    assert len(lines) == len({orjson.loads(line)["initiative_id"] for line in lines})


def test_ferm_shapefiles_hold_what_its_polygon_rules_ask(good_night: Pipeline) -> None:
    names = [
        "layer",
        "ID_CODE",
        "Restor_eco",
        "Restor_typ",
        "Category",
        "Ownership",
        "Source",
        "area_ha",
        "Restor_str",
        "Restor_end",
    ]
    for path in sorted(exports(good_night, "ferm").glob("*_attributes.csv")):
        institution = path.name.removesuffix("_attributes.csv")
        with path.open() as file:
            table = list(csv.DictReader(file))
        assert list(table[0]) == names
        drawn = []
        for archive in sorted(exports(good_night, "ferm").glob(f"{institution}_[0-9]*.zip")):
            frame = pyogrio.read_dataframe(archive)
            assert frame.crs.to_epsg() == 4326
            assert 0 < len(frame) <= ferm_settings().largest_shapefile
            assert list(frame.columns) == [*names, "geometry"]
            drawn += list(frame["ID_CODE"])
        assert drawn == [row["ID_CODE"] for row in table]
        assert len(set(drawn)) == len(drawn)
        for row in table:
            assert all(re.fullmatch(r"(\d{4}/\d{2}/\d{2})?", row[name]) for name in ("Restor_str", "Restor_end")), row
            assert not row["Restor_end"] or row["Restor_str"] <= row["Restor_end"], row
            assert float(row["area_ha"]) > 0


# -- CBD and UNCCD ------------------------------------------------------------------------------------


def test_the_cbd_sheet_passes_the_parser_s_rules_and_adds_up(good_night: Pipeline) -> None:
    """The upload parser's rules: exact headers, code 2.1, a numeric year, a unit and a value in every row."""
    workbook = openpyxl.load_workbook(exports(good_night, "cbd") / UPLOAD, read_only=True)
    sheet = list(workbook.worksheets[0].iter_rows(values_only=True))
    assert (
        sheet[0]
        == (
            "Indicator code",
            "Indicator",
            "Does this data row represent a disaggregation",
            "Disaggregation type",
            "Disaggregation",
            "Year",
            "Unit",
            "Value",
            "Footnote",
        )
        == HEADERS
    )
    rows = [dict(zip(HEADERS, values, strict=True)) for values in sheet[1:]]
    labels = {(r["disaggregation_type"], r["label"]) for r in read_seed("ort_categories").iter_rows(named=True)}
    free = {"Indigenous and traditional territories", "Other"}
    for row in rows:
        assert (row["Indicator code"], row["Indicator"], row["Unit"]) == ("2.1", "Area under restoration", "ha")
        assert isinstance(row["Year"], int)
        assert isinstance(row["Value"], int | float)
        assert row["Value"] > 0
        assert row["Footnote"]
        if row["Does this data row represent a disaggregation"] == "Yes":
            known = (row["Disaggregation type"], row["Disaggregation"]) in labels
            assert known or row["Disaggregation type"] in free or row["Disaggregation"] == "Activity not reported", row
    ((total,),) = good_night.query("select sum(net_ha) from core.initiatives where counts_as_under_restoration")
    years = {r["Year"]: r["Value"] for r in rows if r["Does this data row represent a disaggregation"] == "No"}
    assert min(years) == 2020
    assert years[max(years)] == pytest.approx(total, abs=1e-3)
    assert list(years.values()) == sorted(years.values())
    reconciled = list(workbook["Reconciliation"].iter_rows(values_only=True))[1:]
    assert {r[0] for r in reconciled} == {"activity", "get_biome", "get_efg", "protection", "territory"}
    assert all(abs(r[5]) < 1e-6 for r in reconciled if r[0] != "activity")


def test_mangroves_are_reported_though_the_drop_down_lacks_them(good_night: Pipeline) -> None:
    assert read_seed("ort_categories").filter(is_in_dropdown=False).height == 15
    rows = good_night.query(
        "select category_code, disaggregation, footnote from marts.gbf_2_1 where category_kind = 'get_efg'"
        " and category_code in (select category_code from (values ('MFT1.2')) as t (category_code))"
    )
    ((on_the_ground,),) = good_night.query(
        "select count(*) from core.area_allocations as a inner join core.initiatives as i on a.initiative_id = i.initiative_id"
        " where a.get_efg_code = 'MFT1.2' and i.counts_as_under_restoration"
    )
    assert bool(rows) == bool(on_the_ground) == True  # noqa: E712 - both, and there are some in this world
    assert "drop-down lacks" in rows[0][2]


def test_unccd_tables_say_square_kilometres_and_soles_of_the_warehouse(good_night: Pipeline) -> None:
    workbook = openpyxl.load_workbook(exports(good_night, "unccd") / "PRAIS4.xlsx", read_only=True)
    sheets = {s.title: list(s.iter_rows(values_only=True)) for s in workbook.worksheets}
    actions = [dict(zip(sheets["SO1.IA.T1"][0], row, strict=True)) for row in sheets["SO1.IA.T1"][1:]]
    ((net,),) = good_night.query("select sum(net_ha) / 100 from core.initiatives where counts_as_under_restoration")
    assert sum(a["Areal extent (km2)"] or 0 for a in actions) == pytest.approx(net)
    finance = [dict(zip(sheets["SO5-2"][0], row, strict=True)) for row in sheets["SO5-2"][1:]]
    support = {"principal": Decimal(0), "significant": Decimal(0)}
    for kind, confidence, product, pen in good_night.query(
        "select restoration_class, restoration_confidence, product_code, sum(accrued_pen) from core.spending group by all"
    ):
        if kind == "direct":
            support["principal"] += pen
        elif kind == "enabling" and confidence in {"high", "medium"} and product != "3000001":  # no common actions
            support["significant"] += pen
    for name, pen in support.items():
        amounts = [f["Amount (domestic currency)"] for f in finance if f["Type of support"] == name]
        assert round(sum(amounts), 2) == float(pen), name
    assert all(f["Amount USD"] is None for f in finance)
    assert len(sheets["SO1-VT.T1"]) == 1 + good_night.query("select count(*) from core.targets")[0][0]


# -- tables -------------------------------------------------------------------------------------------


def test_the_workbook_has_every_mart_a_dictionary_filters_and_no_formula(good_night: Pipeline) -> None:
    workbook = openpyxl.load_workbook(exports(good_night, "excel") / "restauracion.xlsx")
    assert workbook.sheetnames[0] == "Portada"
    assert "ENTORNO DE PRUEBA" in str(workbook["Portada"]["A2"].value)
    for name in workbook.sheetnames[1:-1]:
        sheet = workbook[name]
        assert sheet.auto_filter.ref
        assert sheet.freeze_panes == "A2"
        ((rows,),) = good_night.query(f"select count(*) from marts.{name}")
        assert sheet.max_row == 1 + rows or rows == 0
        assert not [c for row in sheet.iter_rows() for c in row if c.data_type == "f"], name
    spending = workbook["spending_by_programme"]
    heads = [c.value for c in spending[1]]
    total = sum(row[heads.index("accrued_pen")] for row in spending.iter_rows(min_row=2, values_only=True))
    assert round(total, 2) == float(good_night.query("select sum(accrued_pen) from marts.spending_by_programme")[0][0])
    assert spending.cell(2, heads.index("accrued_pen") + 1).number_format == "#,##0.00"
    words = {row[1] for row in workbook["Diccionario"].iter_rows(min_row=2, values_only=True)}
    assert set(heads) <= words


def test_the_data_package_is_valid_and_whole(good_night: Pipeline) -> None:
    folder = exports(good_night, "csv")
    with system.use_context(trusted=True):
        report = frictionless.validate(str(folder / "datapackage.json"))
    assert report.valid, report.flatten(["name", "rowNumber", "fieldName", "type", "note"])[:5]
    package = json.loads((folder / "datapackage.json").read_text())
    assert {r["name"] for r in package["resources"]} >= {
        "initiatives",
        "areas",
        "overlaps",
        "spending",
        "progress_to_targets",
    }
    with duckdb.connect() as con:
        for table in ("core.initiatives", "core.areas", "core.spending", "marts.spending_linkage"):
            path = folder / f"{table.partition('.')[2]}.csv"
            assert (
                con.execute("select count(*) from read_csv(?)", [str(path)]).fetchone()
                == good_night.query(f"select count(*) from {table}")[0]
            )
        ((pen,),) = good_night.query("select sum(accrued_pen) from core.spending")
        kept = "select sum(accrued_pen) from read_csv(?, types = {'accrued_pen': 'decimal(18,2)'})"
        assert con.execute(kept, [str(folder / "spending.csv")]).fetchone() == (pen,)


def test_a_name_that_would_be_a_formula_stays_text(good_night: Pipeline, tmp_path: Path) -> None:
    """The same writers on a copy of the file in which an initiative bears such a name."""
    evil = '=HYPERLINK("http://x";"ver")</script><script>alert(1)</script>'
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(good_night.published.read_bytes())
    with duckdb.connect(str(copy)) as con:
        con.execute("update core.initiatives set name = ? where counts_as_under_restoration", [evil])
        con.execute("update marts.spending_by_programme set short_name = ?", [evil])
    by_kind = {e.kind: e for e in KINDS}
    created = {k: write_export(copy, tmp_path / k, by_kind[k].writer).folder for k in ("csv", "excel", "dictionary")}
    with (created["csv"] / "initiatives.csv").open() as file:
        names = {row["name"] for row in csv.DictReader(file)}
    assert "'" + evil in names
    assert not [n for n in names if n.startswith("=")]
    sheet = openpyxl.load_workbook(created["excel"] / "restauracion.xlsx")["spending_by_programme"]
    cells = [c for row in sheet.iter_rows(min_row=2) for c in row if c.value == evil]
    assert cells
    assert {c.data_type for c in cells} == {"s"}


# -- words --------------------------------------------------------------------------------------------


def test_catalogues_read_the_record(good_night: Pipeline) -> None:
    folder = exports(good_night, "metadata")
    record = MD_Metadata(etree.parse(folder / "restauracion.iso19139.xml").getroot())
    stated = record.identification[0]
    assert record.languagecode == "spa"
    assert record.contact[0].organization
    assert record.contact[0].role == "owner"
    assert "restauración" in stated.title
    assert stated.topiccategory == ["environment"]
    assert -82 < float(stated.bbox.minx) < float(stated.bbox.maxx) < -68
    assert "Leído de" in record.dataquality.lineage
    assert len(record.distribution.online) == 3
    dcat = json.loads((folder / "restauracion.dcat.jsonld").read_text())
    release = good_night.query("select release_id from meta.releases")[0][0]
    assert dcat["dcat:version"] == release == stated.edition
    for way in dcat["dcat:distribution"]:
        assert (good_night.data_dir / way["dcat:downloadURL"]).exists(), way


def test_the_dictionary_page_describes_every_column(good_night: Pipeline) -> None:
    page = html.fromstring((exports(good_night, "dictionary") / "index.html").read_text())
    stated = {
        (article.get("id"), row.findtext("td/code"))
        for article in page.iter("article")
        for row in article.find(".//tbody").iter("tr")
    }
    assert stated == set(good_night.query("select table_name, column_name from meta.columns"))
    assert page.find(".//svg") is not None


def test_every_reference_in_the_dictionary_is_valid(good_night: Pipeline) -> None:
    stated = good_night.query(
        "select table_name, column_name, references_column from meta.columns where references_column is not null"
    )
    assert len(stated) > 20
    for table, column, reference in stated:
        schema, name = table.split(".")
        held, _, key = reference.rpartition(".")
        orphans = good_night.query(
            f'select count(*) from {schema}."{name}" as x where x.{column} is not null and x.{column} not in (select y.{key} from {held} as y)'
        )
        assert orphans == [(0,)], f"{table}.{column} has values that {reference} lacks"


GUIDE = re.findall(
    r"### (\d+)\.[^\n]*\n((?:```sql\n.*?```\n?)+)", (ROOT / "docs" / "guia-analistas.md").read_text(), re.DOTALL
)


@pytest.mark.parametrize(("number", "blocks"), GUIDE, ids=[number for number, _ in GUIDE])
def test_each_query_of_the_guide_gives_its_answer(good_night: Pipeline, number: str, blocks: str) -> None:
    for query in re.findall(r"```sql\n(.*?)```", blocks, re.DOTALL):
        assert good_night.query(query), f"question {number} has no answer"


def test_the_guide_has_ten_questions_and_the_notebook_runs(
    good_night: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [number for number, _ in GUIDE] == [str(n) for n in range(1, 11)]
    monkeypatch.setenv("RESTAURACION_DATA_DIR", str(good_night.data_dir))
    app = runpy.run_path(str(ROOT / "docs" / "cuaderno.py"))["app"]
    _, defined = app.run()
    assert defined["progress"].height > 0
    assert defined["ground"]["net_ha"].sum() > 0
    assert defined["cost"].height > 0
    assert defined["one"]["sources"].height > 0
    assert defined["held"].height > 0


@pytest.mark.endurance
def test_the_report_of_a_second_release_shows_what_changed(make_pipeline: MakePipeline, own_world: World) -> None:
    """Amounts as numbers, a status in words, in both languages; the download keeps plain numbers."""
    first = make_pipeline(own_world, after_a_good_night=True)
    path = own_world.layers / "minam_polygons.parquet"
    frame = pl.read_parquet(path)
    known = first.query(
        "select source_record_id from core.initiative_sources where source = 'minam' and status = 'in_preparation' order by 1"
    )
    is_it = pl.col("COD_INIC") == known[0][0]
    frame.with_columns(
        ESTADO=pl.when(is_it).then(2).otherwise(pl.col("ESTADO")).cast(frame.schema["ESTADO"]),
        HA_META=pl.when(is_it).then(pl.col("HA_META") + 1234.5).otherwise(pl.col("HA_META")),
    ).write_parquet(path)
    second = make_pipeline(own_world, data_dir=first.data_dir)
    assert second.run(with_exports=True), second.errors()
    assert second.last is not None
    assert second.last.success, second.errors()
    release = second.query("select release_id from meta.releases order by published_at desc limit 1")[0][0]
    assert json.loads((second.data_dir / "report" / "manifest.json").read_text())["release_id"] == release
    page = (second.data_dir / "report" / "index.html").read_text(encoding="utf-8")
    table = page.split('<table id="table-changes">')[1].split("</table>")[0]
    assert "1,234.50" in table
    for words in ("En preparación", "In progress", "La fuente lo revisó", "Revised by its source"):
        assert words in table, words
    assert "None" not in table
    kept = json.loads(page.split('id="tables">')[1].split("</script>")[0])["changes"]
    assert {type(row["difference"]) for row in kept} <= {float}
    assert any(row["value_after"] == "in_progress" for row in kept)
