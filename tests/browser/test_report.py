"""The report and the dictionary in headless Chromium, with no network: what a person sees and does."""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from restoration.exports.release import write_export
from restoration.report.page import PAGE, write_report
from tests.conftest import Pipeline

CHROMIUM = (
    os.environ.get("CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: `make test` installs Debian's")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


def opened(browser: Browser, path: Path, width: int = 1280) -> tuple[Page, list[str]]:
    """A page, its console errors and its network requests."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, accept_downloads=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: said.append(str(e)))
    page.on("request", lambda r: said.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto(path.as_uri())
    return page, said


def drawn(page: Page, language: str = "es") -> None:
    page.wait_for_function(f"document.documentElement.dataset.drawn === '{language}'", timeout=30_000)


@pytest.fixture
def report(good_night: Pipeline) -> Path:
    return good_night.data_dir / "report" / PAGE


def test_it_opens_offline_without_errors_on_desktop_and_phone(browser: Browser, report: Path) -> None:
    assert report.stat().st_size < 5_000_000
    for width in (1280, 390):
        page, said = opened(browser, report, width)
        drawn(page)
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#chart-map canvas").count() == 1
        for chart in page.locator("[data-chart]").all():
            assert (chart.bounding_box() or {"height": 0})["height"] > 80, chart.get_attribute("id")
        assert "ENTORNO DE PRUEBA" in page.inner_text(".banner")
        page.context.close()


def test_charts_and_tables_say_what_the_warehouse_says(browser: Browser, report: Path, good_night: Pipeline) -> None:
    page, _ = opened(browser, report)
    drawn(page)
    ((net,),) = good_night.query("select sum(net_ha) from core.initiatives where counts_as_under_restoration")
    assert page.inner_text("#tile-net") == f"{net:,.0f}"
    bars = page.eval_on_selector_all(
        "#chart-targets .mark-rect path", "paths => paths.map(path => path.getAttribute('aria-label'))"
    )
    for name, declared, gross, target_net in good_night.query(
        "select target_name_es, declared_ha, gross_ha, net_ha from marts.progress_to_targets where is_latest"
    ):
        reported = sorted(
            float(re.search(r"hectáreas: ([-\d.e,]+)", bar)[1].replace(",", "")) for bar in bars if name in bar
        )  # type: ignore[index]
        assert reported == pytest.approx(sorted([declared, gross, target_net]), abs=0.5), name
    page.locator("#metas details summary").first.click()
    assert f"{net:,.1f}" in page.inner_text("#table-targets")
    spent = good_night.query("select sum(accrued_pen) from marts.spending_linkage where restoration_class = 'direct'")[
        0
    ][0]
    assert f"{spent:,.0f}" in page.eval_on_selector("#chart-money", "element => element.outerHTML")


def test_the_language_changes_words_and_charts(browser: Browser, report: Path) -> None:
    page, said = opened(browser, report)
    drawn(page)
    assert "Avance hacia cada meta" in page.inner_text("h2 >> nth=0")
    page.click("#language")
    drawn(page, "en")
    assert "Progress to each target" in page.inner_text("h2 >> nth=0")
    assert "Declared" in page.inner_html("#chart-targets")
    assert "Declarado" not in page.inner_html("#chart-targets")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert said == []


def test_the_map_zooms_by_keyboard_and_shows_what_is_clicked(browser: Browser, report: Path) -> None:
    page, said = opened(browser, report)
    drawn(page)
    canvas = page.locator("#chart-map canvas")
    before = canvas.screenshot()
    page.locator("[data-map=in]").focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert canvas.screenshot() != before
    page.click("[data-map=reset]")
    page.wait_for_timeout(300)
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.3)
    page.wait_for_timeout(200)
    assert re.search(r"[\d,.]+ ha netas", page.inner_text("#popup"))
    assert said == []


def test_every_chart_has_a_table_and_a_download(browser: Browser, report: Path, good_night: Pipeline) -> None:
    page, _ = opened(browser, report)
    drawn(page)
    for section in page.locator("section:has([data-chart])").all():
        assert section.locator("table").count() >= 1
        assert section.locator("[data-csv]").count() >= 1
    with page.expect_download() as waiting:
        page.click("[data-csv=departments]")
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8-sig"))))
    ((count, net),) = good_night.query("select count(*), sum(net_ha) from marts.restoration_by_department")
    assert len(rows) == count
    assert sum(float(row["Neto"]) for row in rows) == pytest.approx(net)


def test_it_is_accessible_to_screen_readers(browser: Browser, report: Path) -> None:
    """Names of controls, alternative texts, headings in order, contrast of text."""
    page, _ = opened(browser, report)
    drawn(page)
    assert (
        page.evaluate(
            "[...document.querySelectorAll('button')].filter(b => !b.innerText.trim() && !b.ariaLabel).length"
        )
        == 0
    )
    labelled = (
        "[...document.querySelectorAll('[data-chart]')].filter(c => !c.querySelector('[aria-label]')).map(c => c.id)"
    )
    assert page.evaluate(labelled) == []
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3')].filter(h => h.offsetParent).map(h => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    ratios = page.evaluate(
        """() => {
          const parse = (c) => c.match(/[\\d.]+/g).map(Number);
          const light = ([r, g, b]) => [r, g, b].map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; })
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
          const ground = (e) => { while (e) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; e = e.parentElement; } return [255, 255, 255]; };
          return [...document.querySelectorAll('h1,h2,p,td,th,a,button,summary,.tile,.banner')].filter((e) => e.offsetParent).map((e) => {
            const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); });
        }"""
    )
    assert min(ratios) >= 4.5


def test_it_prints_to_pdf(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report)
    drawn(page)
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert 2 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") <= 20 or len(pdf) > 50_000


def test_a_name_with_markup_is_shown_and_not_run(browser: Browser, good_night: Pipeline, tmp_path: Path) -> None:
    import duckdb

    evil = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'>"
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(good_night.published.read_bytes())
    with duckdb.connect(str(copy)) as con:
        con.execute("update core.initiatives set name = ?", [evil])
        con.execute("update core.institutions set institution_name = ?", [evil])
        con.execute("update quality.scorecard set institution_name = ?", [evil])
        con.execute("update marts.restoration_by_department set department_name = ?", [evil])
    page, said = opened(browser, write_export(copy, tmp_path / "report", write_report).folder / PAGE)
    drawn(page)
    page.locator("#calidad details summary").click()
    assert "</script>" in page.inner_text("#table-scores")
    box = page.locator("#chart-map canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.3)
    page.wait_for_timeout(200)
    assert page.evaluate("window.hurt") is None
    assert said == []


def test_the_dictionary_is_searched(browser: Browser, good_night: Pipeline) -> None:
    page, said = opened(browser, good_night.data_dir / "exports" / "dictionary" / "index.html")
    page.fill("#find", "devengado")
    shown = page.eval_on_selector_all("article", "articles => articles.filter(a => !a.hidden).length")
    assert 0 < shown < page.locator("article").count()
    assert said == []
