"""Seven nights of a world that lives, with report, exports and quality site on; every promise after each."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.days.life import Life
from sandbox.world import DEFAULT_SEED, World, world_at
from tests.conftest import digest
from tests.nights.night import Night, Nights
from tests.nights.promises import Memory, broken_promises

NIGHTS, SCALE = 7, 0.1
pytestmark = pytest.mark.timeout(1_800)  # the whole series counts for the first test that asks for it


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple]]:
    """What was seen night by night; the promises held, or this fails."""
    memory, seen = Memory(), {"stale": [], "reasons": [], "years": [], "decisions": [], "submissions": []}
    with Nights(tmp_path_factory.mktemp("nights"), DEFAULT_SEED, SCALE) as nights:
        for _ in range(NIGHTS):
            night = nights.next()
            assert broken_promises(night, memory) == []
            look(night, seen)
    return seen


def look(night: Night, seen: dict[str, list[tuple]]) -> None:
    asked = {
        "stale": "select source from quality.source_status where is_stale",
        "reasons": "select distinct reason from marts.changes_since_last_release",
        "years": "select max(fiscal_year) from core.spending",
        "decisions": "select count(*) from core.link_decisions",
        "submissions": "select distinct layer_name from core.areas where source = 'submissions'",
    }
    for name, query in asked.items():
        seen[name].append(tuple(sorted(row[0] for row in night.rows(query))))


def test_the_promises_held_on_a_revision_a_withdrawal_and_new_records(series: dict[str, list[tuple]]) -> None:
    reasons = {reason for night in series["reasons"] for reason in night}
    assert reasons >= {"revised_by_source", "withdrawn", "new_record", "sum_of_initiatives"}


def test_the_promises_held_through_an_outage_and_its_end(series: dict[str, list[tuple]]) -> None:
    assert "serfor.restoration_areas" in series["stale"][4]
    assert "serfor.restoration_areas" not in series["stale"][5]


def test_the_promises_held_through_the_turn_of_the_year(series: dict[str, list[tuple]]) -> None:
    assert [years[0] for years in series["years"]] == [2025] * 5 + [2026] * 2


def test_the_promises_held_when_people_answered(series: dict[str, list[tuple]]) -> None:
    assert series["decisions"][2] == (0,)
    assert series["decisions"][3][0] > 0


def test_the_promises_held_when_submissions_came_and_were_corrected_and_withdrawn(
    series: dict[str, list[tuple]],
) -> None:
    nights = [set(night) for night in series["submissions"]]
    assert "gore_tacna--bofedales.kmz" in nights[4]
    assert "gore_tacna--bofedales.kmz" not in nights[5], "withdrawn on day 5"
    assert "gore_cusco--bofedales_02.geojson" not in nights[1]
    assert "gore_cusco--bofedales_02.geojson" in nights[2]


# -- the world ---------------------------------------------------------------------------------------------


def contents(world: World) -> dict[str, str]:
    return {str(p.relative_to(world.folder)): digest(p) for p in sorted(world.folder.rglob("*")) if p.is_file()}


def test_a_day_is_a_function_of_the_seed_alone(tmp_path: Path) -> None:
    """Whether the days before were asked for or not, and made by another life."""
    with Life(tmp_path / "one", 5, 0.02) as life:
        days = [contents(life.world(day)) for day in (0, 1, 2, 9)]
    assert contents(world_at(tmp_path / "other", 5, 0.02, 9)) == days[-1]
    assert contents(world_at(tmp_path / "other", 5, 0.02)) == days[0]
    assert days[1] != days[2]


def test_a_later_day_leaves_the_days_before_as_they_were(tmp_path: Path) -> None:
    """Files that did not change are shared by links; one that did must not be written through."""
    with Life(tmp_path, 5, 0.02) as life:
        first = contents(life.world(0))
        third = contents(life.world(3))
        life.world(30)
    assert contents(world_at(tmp_path, 5, 0.02)) == first
    assert contents(world_at(tmp_path, 5, 0.02, 3)) == third
