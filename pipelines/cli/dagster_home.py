"""Where Dagster keeps the history of runs: one place for the shell and the UI.

Belongs here: making the folder with its dagster.yaml. Does not: production's instance (deploy/).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine

CONFIG = Path(__file__).parents[2] / "deploy" / "dagster.local.yaml"


def without_waiting_for_the_disk() -> None:
    """For runs over synthetic data: their event log need not survive a power cut, so SQLite does not wait for the disk.

    Dagster writes some 400 events a run, each its own transaction (0.8 s of an unchanged run, 2026-11-23).
    """

    @event.listens_for(Engine, "connect")
    def hurry(connection: object, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("pragma synchronous = off")


def dagster_home(data_dir: Path, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variable that gives Dagster its home, below the data folder unless set otherwise."""
    home = Path(env.get("DAGSTER_HOME") or data_dir / "dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(CONFIG, home / "dagster.yaml")
    return {"DAGSTER_HOME": str(home)}
