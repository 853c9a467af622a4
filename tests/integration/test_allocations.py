"""Where each net hectare lies: the allocations against an overlay of our own in shapely, and the rule that guards their sums."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import duckdb
import numpy as np
import pytest
import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from expectations.contracts import read_contract
from tests.conftest import Pipeline

TO_EQUAL_AREA = Transformer.from_crs(4326, 6933, always_xy=True)


def equal_area(wkb: bytes) -> BaseGeometry:
    return shapely.transform(
        shapely.from_wkb(wkb), lambda p: np.column_stack(TO_EQUAL_AREA.transform(p[:, 0], p[:, 1]))
    )


def layer(pipeline: Pipeline, query: str) -> dict[str, BaseGeometry]:
    """Shapes of a layer by code, united where a code has several."""
    parts: dict[str, list[BaseGeometry]] = defaultdict(list)
    for code, wkb in pipeline.query(query):
        parts[code].append(equal_area(bytes(wkb)))
    return {code: shapely.union_all(shapes) for code, shapes in parts.items()}


@pytest.fixture(scope="module")
def net(good_night: Pipeline) -> dict[str, BaseGeometry]:
    """The part of each area that no area of higher precedence covers, computed here."""
    rows = good_night.query(
        "select area_id, st_aswkb(geometry) from core.areas where geometry_kind = 'polygon' and not is_witness order by turn"
    )
    created: dict[str, BaseGeometry] = {}
    taken = shapely.Polygon()
    for area, wkb in rows:
        shape = equal_area(bytes(wkb))
        created[area] = shape.difference(taken)
        taken = taken.union(shape)
    return created


def allocated(pipeline: Pipeline, *columns: str) -> dict[tuple[str, ...], float]:
    named = ", ".join(columns)
    rows = pipeline.query(f"select {named}, sum(net_ha) from core.area_allocations group by all")
    return {tuple(row[:-1]): row[-1] for row in rows}


def test_allocations_add_up_to_each_area_and_to_the_country(good_night: Pipeline) -> None:
    worst, missing = good_night.query(
        "select max(abs(a.net_ha - coalesce(q.net_ha, 0))), count(*) filter (where q.area_id is null and a.net_ha > 1e-9)"
        " from core.areas a left join (select area_id, sum(net_ha) as net_ha from core.area_allocations group by 1) q"
        " using (area_id) where a.geometry_kind = 'polygon'"
    )[0]
    assert worst < 1e-6
    assert missing == 0
    assert good_night.query("select min(net_ha) > 0 from core.area_allocations") == [(True,)]


def test_districts_and_ecosystems_are_those_of_an_independent_overlay(
    good_night: Pipeline, net: dict[str, BaseGeometry]
) -> None:
    layers = {
        "ubigeo": layer(
            good_night, "select ubigeo, st_aswkb(geometry) from core.admin_units where unit_level = 'district'"
        ),
        "ecosystem_code": layer(
            good_night,
            "select ecosystem_code, st_aswkb(geometry) from staging.stg_minam__ecosystems where ecosystem_code is not null",
        ),
    }
    for column, shapes in layers.items():
        ours = allocated(good_night, "area_id", column)
        tree, codes = shapely.STRtree(list(shapes.values())), list(shapes)
        theirs: dict[tuple[str, ...], float] = {}
        for area, shape in net.items():
            for number in tree.query(shape, predicate="intersects"):
                hectares = shape.intersection(shapes[codes[number]]).area / 10_000
                if hectares > 1e-6:
                    theirs[area, codes[number]] = hectares
        assert len(theirs) > 300
        for key, hectares in theirs.items():
            assert ours[key] == pytest.approx(hectares, abs=1e-5), (column, key)
        placed = sum(hectares for key, hectares in ours.items() if key[1] is not None)
        assert placed == pytest.approx(sum(theirs.values()), abs=1e-3)


def test_protected_and_degraded_ground_is_that_of_an_independent_overlay(
    good_night: Pipeline, net: dict[str, BaseGeometry]
) -> None:
    protected = layer(
        good_night,
        "select 'all', st_aswkb(geometry) from core.protected_areas where area_kind in ('national', 'regional', 'private')"
        " union all select 'all', st_aswkb(geometry) from staging.stg_minam__oecms",
    )["all"]
    degraded = layer(
        good_night, "select 'all', st_aswkb(geometry) from core.degradation where degradation_year = 2022"
    )["all"]
    whole = shapely.union_all(list(net.values()))
    by_protection = allocated(good_night, "protection")
    inside = sum(hectares for (kind,), hectares in by_protection.items() if kind != "none")
    assert inside > 0
    assert inside == pytest.approx(whole.intersection(protected).area / 10_000, abs=1e-3)
    was_degraded = allocated(good_night, "was_degraded")
    assert was_degraded[(True,)] == pytest.approx(whole.intersection(degraded).area / 10_000, abs=1e-3)


def test_a_hectare_that_goes_missing_stops_the_release(good_night: Pipeline, tmp_path: Path) -> None:
    """The blocking rule on a file from which one part was taken, and on one where a part counts twice."""
    rule = next(
        r for r in read_contract("allocations").rules if r.name == "hectares allocated equal hectares of the area"
    )
    total = next(r for r in read_contract("allocations").rules if r.name == "all net hectares are allocated")
    assert rule.is_blocking
    assert total.is_blocking
    count = f"select count(*) from core.area_allocations where {rule.failing}"
    assert good_night.query(count) == [(0,)]
    part = "(select min(rowid) from core.area_allocations where net_ha > 1)"
    for name, damage in {
        "taken": f"delete from core.area_allocations where rowid = {part}",
        "twice": f"insert into core.area_allocations from core.area_allocations where rowid = {part}",
        "moved": f"update core.area_allocations set net_ha = net_ha + 0.0001 where rowid = {part}",
    }.items():
        copy = tmp_path / f"{name}.duckdb"
        shutil.copy(good_night.published, copy)
        with duckdb.connect(str(copy)) as con:
            con.execute(damage)
            found = con.execute(count).fetchone()
            lost = con.execute(f"select count(*) from core.area_allocations where {total.failing}").fetchone()
        assert found
        assert lost
        assert found[0] > 0 or lost[0] > 0, name  # an area that had one part alone has none left to fail


def test_the_tables_by_ecosystem_and_department_say_the_same_total(good_night: Pipeline) -> None:
    counting = good_night.query(
        "select sum(a.net_ha) from core.areas a join core.initiatives i using (initiative_id)"
        " where i.status in ('in_progress', 'post_completion')"
    )[0][0]
    for table in ("restoration_by_ecosystem", "restoration_by_department"):
        net, share = good_night.query(f"select sum(net_ha), sum(share_of_net_pct) from marts.{table}")[0]
        assert net == pytest.approx(counting, abs=1e-4), table
        assert share == pytest.approx(100)
    assert good_night.query("select count(*) from marts.restoration_by_ecosystem where ecosystem_code like 'E%'") == [
        (36,)
    ]
    assert good_night.query("select count(*) from marts.restoration_by_department") == [(26,)]
    for table in ("restoration_by_district", "restoration_by_institution"):
        assert good_night.query(f"select sum(net_ha) from marts.{table}")[0][0] == pytest.approx(counting, abs=1e-4), (
            table
        )


def test_a_departments_net_hectares_are_those_of_an_independent_overlay(
    good_night: Pipeline, net: dict[str, BaseGeometry]
) -> None:
    counted = {
        row[0]
        for row in good_night.query(
            "select a.area_id from core.areas a join core.initiatives i using (initiative_id) where i.status != 'in_preparation'"
        )
    }
    ground = shapely.union_all([shape for area, shape in net.items() if area in counted])
    districts = layer(
        good_night, "select ubigeo[:2], st_aswkb(geometry) from core.admin_units where unit_level = 'district'"
    )
    reported = dict(good_night.query("select department_ubigeo, net_ha from marts.restoration_by_department"))
    for department, shape in districts.items():
        assert reported[department] == pytest.approx(ground.intersection(shape).area / 10_000, abs=1e-3), department
    assert sum(hectares > 0 for hectares in reported.values()) > 15


def test_ecosystem_families_other_than_forest_are_shown(good_night: Pipeline) -> None:
    """As the dialogue requested: the share of area beside the share of degraded area, by family of ecosystems."""
    families = good_night.query(
        "select ecosystem_family, sum(net_ha), sum(share_of_net_pct), sum(share_of_degraded_pct)"
        " from marts.restoration_by_ecosystem where is_natural group by 1"
    )
    assert len(families) > 4
    assert {family for family, *_, degraded in families if degraded is None} <= {"inland_water"}, (
        "SINIA publishes no figure for waters"
    )
    assert any(family != "forest" and net > 0 for family, net, *_ in families)


def test_the_continuum_has_all_hectares_once(good_night: Pipeline) -> None:
    net, preparing, steps = good_night.query(
        "select sum(net_ha), sum(preparing_net_ha), count(*) from marts.continuum"
    )[0]
    assert steps == 4
    assert net + preparing == pytest.approx(
        good_night.query("select sum(net_ha) from core.initiatives")[0][0], abs=1e-6
    )


def test_ground_that_two_institutions_count_is_that_of_an_independent_overlay(good_night: Pipeline) -> None:
    """All that MINAM draws, met with all that SERFOR draws: one initiative or two, each hectare once."""
    drawn = {
        who: layer(
            good_night,
            f"select 'all', st_aswkb(geometry) from core.areas where source = '{who}' and geometry_kind = 'polygon'",
        )["all"]
        for who in ("minam", "serfor")
    }
    parts = good_night.query(
        "select overlap_ha from marts.double_counting where institution_a = 'minam' and institution_b = 'serfor'"
    )
    met = drawn["minam"].intersection(drawn["serfor"]).area / 10_000
    assert met > 100
    assert max(p[0] for p in parts) <= met + 1e-6
    assert sum(p[0] for p in parts) >= met - 1e-6, "the same and other initiatives may claim one hectare together"
    twice = good_night.query("select sum(gross_ha) - sum(net_ha) from core.initiatives")[0][0]
    assert met <= twice + 1e-6, "what is counted twice is at least what these two share"


def test_adding_targets_would_count_the_same_ground_again(good_night: Pipeline) -> None:
    rows = good_night.query(
        "select o.net_ha, a.net_ha, b.net_ha, o.share_of_smaller_pct from marts.target_overlap o"
        " join marts.progress_to_targets a on o.target_id_a = a.target_id and a.is_latest join marts.progress_to_targets b on o.target_id_b = b.target_id and b.is_latest"
    )
    assert len(rows) == 10, "five targets, each pair"
    for shared, first, second, share in rows:
        assert 0 < shared <= min(first, second) + 1e-6
        assert share == pytest.approx(100 * shared / min(first, second))
    counted = good_night.query("select target_id, count(*) from core.target_areas group by 1")
    assert dict(counted) == dict(
        good_night.query("select target_id, area_count from marts.progress_to_targets where is_latest")
    )
