"""Where Dagster keeps the history of runs: one place for the shell and the UI.

Belongs here: making the folder with its dagster.yaml. Does not: production's instance (deploy/).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

CONFIG = Path(__file__).parent.parent / "deploy" / "dagster.local.yaml"


def dagster_home(data_dir: Path, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variable that leads Dagster to its home, below the data folder unless set otherwise."""
    home = Path(env.get("DAGSTER_HOME") or data_dir / "dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(CONFIG, home / "dagster.yaml")
    return {"DAGSTER_HOME": str(home)}
