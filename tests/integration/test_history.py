"""Row history: any past day can be queried, and a figure that changed is explained row by row."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline

ASKED = {
    "initiatives": ("core.initiatives", "initiative_id, name, status, declared_ha, net_ha"),
    "areas": ("core.areas", "area_id, initiative_id, declared_ha, net_ha, st_aswkb(geometry)"),
    "spending": ("core.spending", "spending_id, fiscal_year, modified_pen, accrued_pen, restoration_class"),
    "progress": ("marts.progress_to_targets", "target_id, progress_year, declared_ha, net_ha"),
}


def rows(pipeline: Pipeline, sql: str) -> list[tuple]:
    return sorted(pipeline.query(sql), key=repr)


@pytest.fixture
def two_releases(make_pipeline: MakePipeline, own_world: World) -> tuple[Pipeline, dict[str, list[tuple]], str]:
    """A night, and one four weeks later in which a record was withdrawn, one was revised and a polygon moved away."""
    night = make_pipeline(own_world, after_a_good_night=True)
    before = {name: rows(night, f"select {columns} from {table}") for name, (table, columns) in ASKED.items()}
    with night.rewritten() as con:  # the first release is dated four weeks earlier
        con.execute("update meta.releases set published_at = published_at - interval 28 days")
        con.execute("update history.row_versions set valid_from = valid_from - interval 28 days")
    path = own_world.layers / "minam_polygons.parquet"
    frame = pl.read_parquet(path)
    known = [
        r[0]
        for r in night.query(
            "select source_record_id from core.initiative_sources s join core.initiatives i using (initiative_id)"
            " where s.source = 'minam' and i.source_count = 1 and i.net_ha > 1 and i.area_count = 1 order by 1"
        )
    ]
    gone, revised = known[0], known[1]
    frame.filter(pl.col("COD_INIC") != gone).with_columns(
        HA_META=pl.when(pl.col("COD_INIC") == revised).then(pl.col("HA_META") + 5).otherwise(pl.col("HA_META"))
    ).write_parquet(path)
    later = make_pipeline(own_world, data_dir=night.data_dir)
    assert later.publish(), later.errors()
    return later, before, gone


def test_any_day_is_given_back_as_it_was_published(two_releases: tuple[Pipeline, dict[str, list[tuple]], str]) -> None:
    later, before, _ = two_releases
    today = dt.datetime.now(dt.UTC)
    for name, (table, columns) in ASKED.items():
        then = rows(later, f"select {columns} from {name}_as_of('{today - dt.timedelta(days=10):%Y-%m-%d}')")
        assert then == before[name], name
        now = rows(later, f"select {columns} from {name}_as_of('{today + dt.timedelta(days=2):%Y-%m-%d}')")
        assert now == rows(later, f"select {columns} from {table}"), name
        assert later.query(f"select count(*) from {name}_as_of('2020-01-01')") == [(0,)]
    assert before["initiatives"] != rows(later, f"select {ASKED['initiatives'][1]} from core.initiatives")
    closed = later.query("select count(*) from history.spending")[0][0]
    assert closed == 0, "a new snapshot that says the same is no change"


def test_a_moved_figure_is_explained_row_by_row(two_releases: tuple[Pipeline, dict[str, list[tuple]], str]) -> None:
    later, before, gone = two_releases
    changes = later.query(
        "select subject, record_key, measure, reason, difference from marts.changes_since_last_release order by all"
    )
    reasons = {(subject, measure): reason for subject, _, measure, reason, _ in changes}
    assert reasons[("initiatives", "target_ha")] in {"revised_by_source", "withdrawn"}
    assert {r[3] for r in changes if r[0] == "initiatives"} >= {"withdrawn", "revised_by_source"}
    assert later.query("select count(*) from core.initiative_id_changes where change_kind = 'withdrawn'") == [(1,)]
    moved = sum(r[4] for r in changes if r[0] == "initiatives" and r[2] == "net_ha")
    then = sum(r[4] or 0 for r in before["initiatives"])
    now = later.query("select sum(net_ha) from core.initiatives")[0][0]
    assert moved == pytest.approx(now - then, abs=1e-3), "the rows add up to what the country's figure moved"
    assert all(r[3] == "sum_of_initiatives" for r in changes if r[0] == "progress")
    assert gone


def test_a_file_of_a_version_before_history_is_carried_on(make_pipeline: MakePipeline, own_world: World) -> None:
    night = make_pipeline(own_world, after_a_good_night=True)
    with night.rewritten() as con:
        for name in ASKED:
            con.execute(f"drop macro table main.{name}_as_of")
        con.execute("drop schema history cascade")
        con.execute("alter table marts.progress_to_targets drop column progress_year")
        con.execute("update meta.model_states set fingerprint = 'older'")
    assert night.publish(), night.errors()
    today = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
    for name, (table, columns) in ASKED.items():
        assert rows(night, f"select {columns} from {name}_as_of('{today:%Y-%m-%d}')") == rows(
            night, f"select {columns} from {table}"
        )
