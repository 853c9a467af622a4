"""A process opens the published file for writing and dies: readers still see the release, and the next one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from resources.warehouse import WarehouseFiles
from tests.conftest import Pipeline

WRITER = """
import duckdb, os, sys
con = duckdb.connect(sys.argv[1])
con.execute("set checkpoint_threshold = '1 GB'")
con.execute("update core.areas set net_ha = 1e9")
os._exit(1)
"""
NET = "select sum(net_ha) from areas"


@pytest.fixture
def files(good_night: Pipeline, tmp_path: Path) -> WarehouseFiles:
    """The warehouse of a good night in which a writer died."""
    shutil.copytree(good_night.data_dir / "warehouse", tmp_path / "warehouse")
    copy = WarehouseFiles(tmp_path / "warehouse")
    assert copy.published.stat().st_mode & 0o222 == 0, "what is published is for reading"
    copy.published.chmod(0o644)
    subprocess.run([sys.executable, "-c", WRITER, str(copy.published)], check=False)
    assert Path(f"{copy.published}.wal").exists()
    return copy


def net(path: Path) -> float:
    with duckdb.connect(str(path), read_only=True) as con:
        return float(con.execute(NET).fetchall()[0][0])


def test_the_log_of_a_writer_that_died_is_set_aside(files: WarehouseFiles, good_night: Pipeline) -> None:
    assert net(files.published) > 1e9, "so it would be"
    reported = files.repair()
    assert reported
    assert "restauracion.duckdb.wal" in reported
    assert net(files.published) == net(good_night.published)
    assert files.damage(files.published) is None
    assert files.repair() is None


def test_a_release_published_beside_such_a_log_opens(files: WarehouseFiles, good_night: Pipeline) -> None:
    build = files.start_build("night")
    files.publish(build, "2026-11-27-00000000", files.state())
    assert net(files.published) == net(good_night.published)
    assert files.published.stat().st_mode & 0o222 == 0
