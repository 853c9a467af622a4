"""What a release says of its own quality: scores, reconciled hectares, the site; the file follows its contracts."""

from __future__ import annotations

import datetime as dt
import json
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
import yaml

from dbt_like_sql.runner import load_models
from expectations import waivers
from expectations.contracts import PROTOCOL, read_contract
from restoration.quality_site.pages import page_of
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline


@pytest.fixture(scope="module")
def site(good_night: Pipeline) -> Path:
    return good_night.data_dir / "quality" / "latest"


class Page(HTMLParser):
    """Links, anchors and everything that a browser would load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.loads: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.anchors.add(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))
        self.loads += [str(given[a]) for a in ("src", "srcset", "data") if a in given]
        self.loads += [str(given["href"])] if tag == "link" else []


# -- scores ----------------------------------------------------------------------------------------


def test_the_score_of_a_delivery_is_what_the_published_formula_says(good_night: Pipeline) -> None:
    """Counted again from the rows themselves: MINAM's initiatives, completeness."""
    received = good_night.query("select count(*) from staging.std_initiatives where reporting_institution = 'minam'")[
        0
    ][0]
    held = good_night.query(
        "select count(distinct record_key) from quality.quarantine where table_name = 'staging.std_initiatives'"
        " and reporting_institution = 'minam' and dimension = 'completeness'"
    )[0][0]
    warned = good_night.query(
        "select count(*) from staging.std_initiatives as r where reporting_institution = 'minam'"
        " and (start_date is null or (status = 'post_completion' and end_date is null)"
        "  or (tenure = 'indigenous_territory' and not coalesce(has_consent, false)) or (funder is null) <> (funded_pen is null))"
        " and record_key not in (select record_key from quality.quarantine where dimension = 'completeness')"
    )[0][0]
    assert held > 0
    scored = good_night.query(
        "select rows_received, rows_quarantined, rows_warned, score from quality.scorecard"
        " where source = 'minam.initiatives' and dimension = 'completeness'"
    )
    assert scored == [(received, held, warned, round(100 * (1 - (held + warned / 2) / received), 2))]


def test_each_dimension_and_each_delivery_weighs_the_same(good_night: Pipeline) -> None:
    rows = good_night.query(
        "select source, dimension, score from quality.scorecard where reporting_institution = 'serfor'"
    )
    by_source: dict[str, list[float]] = {}
    whole = {}
    for source, dimension, score in rows:
        if dimension == "all":
            whole[source] = score
        else:
            by_source.setdefault(source, []).append(score)
    for source, scores in by_source.items():
        if source != "all":
            assert whole[source] == pytest.approx(sum(scores) / len(scores), abs=0.01)
    deliveries = [score for source, score in whole.items() if source != "all"]
    assert len(deliveries) >= 4
    assert whole["all"] == pytest.approx(sum(deliveries) / len(deliveries), abs=0.01)


def test_every_row_of_a_table_is_somebodys(good_night: Pipeline) -> None:
    counted = good_night.query(
        "select table_name, sum(rows_received) from quality.dimension_counts where dimension = 'all' group by 1"
    )
    assert len(counted) > 20
    for table, rows in counted:
        assert good_night.query(f"select count(*) from {table}") == [(rows,)], table


def test_scores_lie_between_nought_and_a_hundred_and_everybody_has_one(good_night: Pipeline) -> None:
    low, high, without = good_night.query(
        "select min(score), max(score), count(*) filter (where score is null) from quality.scorecard"
    )[0]
    assert 0 <= low <= high <= 100
    assert without == 0
    named = {r[0] for r in good_night.query("select reporting_institution from quality.scorecard where source = 'all'")}
    assert {"minam", "serfor", "mef", "invierte", "inei", "sernanp", "ana", "ferm"} <= named


def test_hectares_that_an_institution_states_reconcile_to_the_square_metre(good_night: Pipeline) -> None:
    """Stated = accepted + quarantined, from three different tables."""
    rows = good_night.query(
        "select reporting_institution, ours_ha, official_ha from quality.reconciliation"
        " where scope = 'institution' and measure = 'declared_ha'"
    )
    assert {r[0] for r in rows} >= {"minam", "serfor"}
    for who, ours, stated in rows:
        held = good_night.query(
            "select coalesce(sum(cast(json_extract(record, '$.declared_ha') as double)), 0) from"
            " (select distinct record_key, record from quality.quarantine where table_name = 'staging.std_areas' and reporting_institution = ?)",
            who,
        )[0][0]
        assert ours + held == pytest.approx(stated, abs=1e-4), who


# -- the site --------------------------------------------------------------------------------------


def test_the_site_opens_from_a_disk_and_every_link_works(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 30
    for path, page in pages.items():
        assert page.loads == [], f"{path.name} loads something"
        assert "http://" not in page.text
        assert "https://" not in page.text.replace("https://datosabiertos", "")
        assert "@import" not in page.text
        for link in page.links:
            target, _, anchor = link.partition("#")
            there = (path.parent / target).resolve() if target else path.resolve()
            assert there.exists(), f"{path.name} -> {link}"
            if anchor and there.suffix == ".html":
                assert anchor in Page(there).anchors, f"{path.name} -> {link}"


def test_the_first_page_shows_what_was_refused_and_what_to_request(site: Path, good_night: Pipeline) -> None:
    page = Page(site / "index.html").text
    for (reason,) in good_night.query(
        "select reason_es from quality.quarantine where reporting_institution = 'serfor' group by 1 order by count(*) desc limit 1"
    ):
        assert reason in page
    assert "ENTORNO DE PRUEBA" in page
    held = good_night.query("select count(distinct (table_name, record_key)) from quality.quarantine")[0][0]
    assert f"<b>{held:,}</b>" in page


def test_each_rule_of_each_table_has_its_row_with_what_great_expectations_found(
    site: Path, good_night: Pipeline
) -> None:
    for table, results in good_night.query("select table_name, results from quality.suite_results"):
        page = Page(site / page_of(table))
        rules = {r["meta"]["rule_id"] for r in json.loads(results)}
        assert rules <= page.anchors
        assert all(r["expectation"].startswith(("expect_", "unexpected_rows")) for r in json.loads(results))


def test_the_check_in_the_ui_leads_to_its_row(good_night: Pipeline) -> None:
    found = good_night.check_metadata("std_areas", "polygon_is_drawn_once")["quality_report"]
    path, _, anchor = str(found).partition("#")
    assert anchor in Page(Path(path)).anchors


# -- one place -------------------------------------------------------------------------------------


def test_the_file_has_the_types_and_comments_of_the_contracts(good_night: Pipeline) -> None:
    checked = 0
    for table, model in load_models().items():
        if model.about.contract not in PROTOCOL:
            continue
        rows = good_night.query(
            "select column_name, data_type, comment from duckdb_columns() where schema_name || '.' || table_name = ?",
            table,
        )
        there = {name: (kind.lower(), comment) for name, kind, comment in rows}
        for field in read_contract(str(model.about.contract)).fields:
            kind, comment = there[field.name]
            assert kind.replace(" ", "") == field.type.replace(" ", "").lower(), f"{table}.{field.name}"
            assert field.title_es in comment
            assert field.meaning_en in comment
            checked += 1
    assert checked > 150


def test_polars_reads_the_types_of_the_contracts(good_night: Pipeline) -> None:
    with duckdb.connect(str(good_night.published), read_only=True) as con:
        for table, model in load_models().items():
            if model.about.contract in PROTOCOL:
                schema = dict(read_contract(str(model.about.contract)).polars_schema)
                columns = ", ".join(f'"{c}"' for c in schema if c != "geometry")
                frame = con.execute(f"select {columns} from {table} limit 10").pl()
                schema.pop("geometry", None)
                assert dict(frame.schema) == schema, table


def test_the_dictionary_in_the_file_is_the_protocols(good_night: Pipeline) -> None:
    described = dict(
        good_night.query(
            "select column_name, description_es from meta.columns where table_name = 'staging.std_initiatives'"
        )
    )
    for field in read_contract("initiatives").fields:
        assert described[field.name] == f"{field.title_es}: {field.meaning_es}"


# -- an exception ----------------------------------------------------------------------------------


def test_a_waiver_lets_one_row_count_and_everybody_sees_it(
    make_pipeline: MakePipeline, world: World, good_night: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = "areas.table.declared_area_is_within_half_of_the_drawn"
    area = good_night.query(
        "select min(record_key) from quality.quarantine where rule_id = ? and record_key not in"
        " (select record_key from quality.quarantine where rule_id != ?)",
        rule,
        rule,
    )[0][0]
    today = dt.date.today()  # noqa: DTZ011 - a day is enough
    entry = {
        "rule_id": rule,
        "record_keys": [area],
        "approved_by": "Ana Pérez, grupo de trabajo",
        "added_on": str(today - dt.timedelta(days=2)),
        "why_es": "la institución declara solo la parte plantada",
        "valid_until": str(today + dt.timedelta(days=30)),
    }
    path = tmp_path / "waivers.yml"
    path.write_text(yaml.safe_dump([entry]))
    monkeypatch.setattr(waivers, "FILE", path)
    pipeline = make_pipeline(world, after_a_good_night=True)
    assert pipeline.run(), pipeline.errors()
    assert pipeline.query("select count(*) from core.areas where area_id = ?", area) == [(1,)]
    assert good_night.query("select count(*) from core.areas where area_id = ?", area) == [(0,)]
    assert pipeline.query("select approved_by, row_count from quality.waivers") == [("Ana Pérez, grupo de trabajo", 1)]
    assert pipeline.query("select closed_how from quality.quarantine_history where entry_key = ?", area) == [
        ("waived",)
    ]
    failed = "select rows_failed, rows_waived from quality.check_results where rule_id = ?"
    assert pipeline.query(failed, rule) == [(good_night.query(failed, rule)[0][0], 1)], "the rule counts it still"
    page = Page(pipeline.data_dir / "quality" / "latest" / "reglas.html").text
    assert "la institución declara solo la parte plantada" in page
