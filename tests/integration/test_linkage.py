"""The same initiative: decisions, ids, golden record. Against the truth: test_truth.py."""

from __future__ import annotations

import base64
from pathlib import Path

import polars as pl
import pytest

from restoration.linkage.decisions import DECISIONS, TO_REVIEW
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline


def fill_in(folder: Path, key: tuple[str, str], decision: str) -> None:
    """The edits of a person in a spreadsheet."""
    path = folder / TO_REVIEW
    asked = pl.read_csv(path, infer_schema=False)
    line = pl.DataFrame(
        [dict.fromkeys(asked.columns) | {"record_key_a": key[0], "record_key_b": key[1]}], schema=asked.schema
    )
    rest = asked.filter((pl.col("record_key_a") != key[0]) | (pl.col("record_key_b") != key[1]))
    pl.concat([line.with_columns(decision=pl.lit(decision), decided_by=pl.lit("ana")), rest]).write_csv(path)


def initiative_of(pipeline: Pipeline, *records: str) -> list[str]:
    found = dict(pipeline.query("select record_key, initiative_id from core.initiative_sources"))
    return [found[record] for record in records]


def test_a_decision_of_a_person_is_kept_and_every_change_of_id_is_recorded(
    make_pipeline: MakePipeline, world: World
) -> None:
    night = make_pipeline(world, after_a_good_night=True)
    linked = night.query(
        "select record_key_a, record_key_b from core.record_links where outcome = 'linked' and decided_by = 'model'"
        " and record_key_a like 'minam%' and record_key_b like 'serfor%' order by all limit 1"
    )[0]
    alone = night.query(
        "select record_key from core.initiative_sources where source = 'serfor' and initiative_id in"
        " (select initiative_id from core.initiatives where source_count = 1) order by 1 limit 1"
    )[0][0]
    join = tuple(sorted((linked[0], alone)))
    before = initiative_of(night, *linked, alone)
    assert before[0] == before[1] != before[2]
    folder = night.data_dir / "linkage"
    fill_in(folder, linked, "distinta")
    fill_in(folder, join, "misma")  # type: ignore[arg-type]
    assert night.publish(), night.errors()
    after = initiative_of(night, *linked, alone)
    assert after[0] == after[2] != after[1]
    reported = night.query(
        "select record_key, initiative_id_before, initiative_id_after, change_kind from core.initiative_id_changes order by 1"
    )
    moved = {record: (old, new, kind) for record, old, new, kind in reported}
    expected = {r: (b, a) for r, b, a in zip((*linked, alone), before, after, strict=True) if b != a}
    assert {record: change[:2] for record, change in moved.items()} == expected
    assert {change[2] for change in moved.values()} <= {"split", "merged"}
    assert night.query("select count(*) from core.link_decisions where decided_by = 'ana'") == [(2,)]
    reasons = dict(night.query("select record_key, match_reason from core.initiative_sources"))
    assert reasons[alone].startswith("decisión de una persona: es la misma")
    for path in (folder / TO_REVIEW, folder / DECISIONS):
        path.unlink()
    assert night.publish(), night.errors()
    assert initiative_of(night, *linked, alone) == after, (
        "the files are only input; the decisions are kept in the warehouse"
    )
    assert pl.read_csv(folder / DECISIONS).height == 2


def test_every_hectare_is_where_it_was_before_linking(good_night: Pipeline) -> None:
    """Linking changes ids, never area: net hectares are those of the union, whichever initiative they belong to."""
    areas, initiatives = good_night.query(
        "select (select sum(net_ha::decimal(38,12)) from core.areas), (select sum(net_ha::decimal(38,12)) from core.initiatives)"
    )[0]
    assert float(areas) == pytest.approx(float(initiatives), abs=1e-6)


def test_the_golden_record_says_from_whom_it_has_each_attribute(good_night: Pipeline) -> None:
    rows = good_night.query(
        "select i.initiative_id, i.attribute_sources, i.name, i.tenure, i.cui from core.initiatives i where i.source_count > 1"
    )
    assert rows
    by_record: dict[str, list[tuple]] = {}
    for row in good_night.query(
        "select initiative_id, source, name, tenure, cui, trust_place from core.initiative_sources order by 1, trust_place"
    ):
        by_record.setdefault(row[0], []).append(row)
    for initiative, sources, *values in rows:
        for place, attribute in enumerate(("name", "tenure", "cui")):
            first = next((r for r in by_record[initiative] if r[2 + place] is not None), None)
            assert sources.get(attribute) == (first[1] if first else None)
            assert values[place] == (first[2 + place] if first else None)


def test_every_link_says_why_in_words_and_every_record_is_in_one_initiative(good_night: Pipeline) -> None:
    assert good_night.query(
        "select count(*) from core.record_links where coalesce(reason_es, '') = '' or coalesce(reason_en, '') = ''"
    ) == [(0,)]
    assert good_night.query("select count(*) - count(distinct record_key) from core.initiative_sources") == [(0,)]
    assert good_night.query("select count(*) from core.initiative_sources where match_reason is null") == [(0,)]
    held = "select count(*) from core.linkage_records where founds_initiative and record_key not in (select record_key from core.initiative_sources)"
    assert good_night.query(held) == [(0,)]


def test_the_weights_are_a_picture_in_the_ui_that_asks_nobody() -> None:
    from assets.models import model_assets
    from restoration.sources.register import all_layers

    asset = next(a for a in model_assets(all_layers()) if a.key.path[-1] == "core_record_links")
    metadata = asset.metadata_by_key[asset.key]
    markdown = metadata["match_weights"].value
    picture = base64.b64decode(markdown.split("base64,")[1].rstrip(")"))
    assert picture.startswith(b"\x89PNG")
    assert "pairs that share a CUI" in metadata["model"].value
