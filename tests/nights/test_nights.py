"""Six nights of a world that lives, with report, exports and quality site on; every promise after each."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.nights import summary
from sandbox.days.life import Life
from sandbox.world import DEFAULT_SEED, World, world_at
from tests.conftest import digest
from tests.nights.night import Nights
from tests.nights.series import CheckedNight, checked_nights

NIGHTS, SCALE = 6, 0.1
pytestmark = pytest.mark.timeout(1_800)  # the whole series counts for the first test that asks for it


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple]]:
    """What was seen night by night; the promises held, or this fails."""
    seen: dict[str, list[tuple]] = {
        name: [] for name in ("stale", "reasons", "years", "decisions", "submissions", "checked")
    }
    with Nights(tmp_path_factory.mktemp("nights"), DEFAULT_SEED, SCALE) as nights:
        for checked in checked_nights(nights, NIGHTS):
            assert checked.broken == []
            look(checked, seen)
    return seen


def look(checked: CheckedNight, seen: dict[str, list[tuple]]) -> None:
    asked = {
        "stale": "select source from quality.source_status where is_stale",
        "reasons": "select distinct reason from marts.changes_since_last_release",
        "years": "select max(fiscal_year) from core.spending",
        "decisions": "select count(*) from core.link_decisions",
        "submissions": "select distinct layer_name from core.areas where source = 'submissions'",
    }
    for name, query in asked.items():
        seen[name].append(tuple(sorted(row[0] for row in checked.night.rows(query))))
    seen["checked"].append((checked,))


def test_the_promises_held_on_a_revision_a_withdrawal_and_new_records(series: dict[str, list[tuple]]) -> None:
    reasons = {reason for night in series["reasons"] for reason in night}
    assert reasons >= {"revised_by_source", "withdrawn", "new_record", "sum_of_initiatives"}


def test_the_promises_held_through_an_outage_and_its_end(series: dict[str, list[tuple]]) -> None:
    assert "serfor.restoration_areas" in series["stale"][4]
    assert "serfor.restoration_areas" not in series["stale"][5]


def test_the_promises_held_through_the_turn_of_the_year(series: dict[str, list[tuple]]) -> None:
    assert [years[0] for years in series["years"]] == [2025] * 5 + [2026]


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


def test_the_benchmark_of_nights_tells_the_first_from_those_with_news(series: dict[str, list[tuple]]) -> None:
    """What `python -m benchmarks nights` prints, of these nights."""
    head, first, *later = summary([checked for (checked,) in series["checked"]])
    assert head.split() == ["kind", "nights", "run", "s", "ratio", "promises", "s", "stored", "kB"]
    assert first.split()[:2] == ["first", "1"]
    assert first.split()[3] == "1.00"
    assert later[0].startswith("new release")
    assert sum(int(line.split()[2]) for line in later) == NIGHTS - 1


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
