"""Secrets: from a variable, or from the file that `<variable>_FILE` names, as container secrets are provided.

Belongs here: reading them. Does not: keeping or printing them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def secret(name: str, env: Mapping[str, str] = os.environ) -> str | None:
    """The secret, or None. Raises OSError where the file that is named cannot be read."""
    if value := env.get(name):
        return value
    path = env.get(f"{name}_FILE")
    return Path(path).read_text(encoding="utf-8").strip() or None if path else None
