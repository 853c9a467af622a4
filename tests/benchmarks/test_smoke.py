"""Each benchmark runs to its end on tiny input through its command; its comparisons agree. Nothing is timed.

The whole nights of `nightly` are in tests/integration/test_command_line.py, which has a folder that the command filled.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.world import World
from tests.conftest import SMALL, Pipeline

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data_dir(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder where benchmarks find the session's world."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "sandbox").symlink_to(world.folder.parent)
    return folder


def benchmark(data_dir: Path, *arguments: object) -> str:
    """What `python -m benchmarks` prints."""
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments), "--tries", "1", "--sizes", "2"]
    env = os.environ | {"RESTAURACION_DATA_DIR": str(data_dir)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_extraction_brings_what_gdal_brings(data_dir: Path) -> None:
    printed = benchmark(data_dir, "extraction", "--features", 1_200, "--vertices", 100)
    assert re.search(r"ours, first time .* 1,200 rows .*\nours, nothing new .*\n(ogr2ogr|pyogrio)", printed), printed
    assert "same features out: 1,200 ids and geometries compared" in printed
    assert "600 polygons of 100 vertices" in printed


def test_files_hold_the_lines_that_duckdb_counts(data_dir: Path) -> None:
    printed = benchmark(data_dir, "files", "--rows", 20_000, "--scales", SMALL)
    created = re.search(r"wide budget file: ([\d,]+) rows", printed)
    assert created, printed
    assert f"of {created[1]} lines" in printed
    assert "DuckDB counting the rows" in printed


def test_every_delivery_is_read_in_the_cage(data_dir: Path) -> None:
    printed = benchmark(data_dir, "cage", "--deliveries", 12, "--scales", SMALL)
    assert re.search(r"in the cage [\d.]+ s, in this process [\d.]+ s, cost of a night", printed), printed
    assert "an inbox of 12 files of one feature" in printed


def test_the_suite_counts_what_a_query_by_hand_and_pandas_count(data_dir: Path, good_night: Pipeline) -> None:
    printed = benchmark(data_dir, "quality", "--night", good_night.data_dir, "--lines", 20_000)
    assert "spending suite: 20,000 lines" in printed
    assert "   by hand " not in printed, "three ways, one count"
    counts = [int(n.replace(",", "")) for n in re.findall(r"^  spending\.\S+ +([\d,]+)$", printed, re.MULTILINE)]
    assert len(counts) == 14
    assert sum(n > 0 for n in counts) >= 9, "broken lines of most kinds"


def test_ground_is_cut_as_geopandas_cuts_it(data_dir: Path) -> None:
    printed = benchmark(data_dir, "ground", "--areas", 60, "--vertices", 400)
    assert "ground: 60 areas" in printed
    worst = re.search(r"largest difference .*: (\S+) of its hectares", printed)
    assert worst, printed
    assert float(worst[1]) < 1e-9
    assert all(float(off) < 1e-6 for off in re.findall(r"net − union (\S+) ha", printed))
    assert "growth exponent" in printed


def test_linkage_finds_pairs(data_dir: Path, good_night: Pipeline) -> None:
    printed = benchmark(data_dir, "linkage", "--night", good_night.data_dir, "--records", 240)
    sizes = re.findall(r"linkage: +([\d,]+) records, ([\d,]+) pairs, ([\d,]+) initiatives", printed)
    assert [size for size, _, _ in sizes] == ["60", "240"], printed
    assert int(sizes[-1][1]) > 0
    assert 0 < int(sizes[-1][2]) <= 240
    assert "growth exponent" in printed


def test_exports_write_every_kind(data_dir: Path, good_night: Pipeline) -> None:
    from assets.exports import KINDS

    printed = benchmark(data_dir, "exports", "--night", good_night.data_dir)
    files = dict(re.findall(r"^(\w+) +[\d.]+ +(\d+) +[\d.]+$", printed, re.MULTILINE))
    assert set(files) == {*(export.kind for export in KINDS), "report"}
    assert all(int(count) > 0 for count in files.values())
    assert re.search(r"^all +[\d.]+$", printed, re.MULTILINE)


def test_a_benchmark_that_is_not_there_is_named(data_dir: Path) -> None:
    with pytest.raises(AssertionError, match=r"no benchmark \['speed'\]"):
        benchmark(data_dir, "speed")
