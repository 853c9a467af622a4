"""Append-only logs with one JSON object per line: the ledgers of snapshots, the log of what was sent.

Belongs here: adding a line that is on the disk before anything else happens, and skipping an incomplete one.
Does not: the content of lines.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def append_entry(path: Path, entry: dict[str, Any]) -> None:
    """Add an entry, on a line of its own even where the one before was torn; on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(entry, ensure_ascii=False) + "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(line if _ends_whole(path) else "\n" + line)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Every complete entry, oldest first.

    A line left incomplete by a full disk or a machine that stopped is skipped, with a warning in the log.
    """
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        if not line.strip("\0 "):
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict):
            yield entry
        else:
            logger.warning("a torn line in %s is passed over: %r", path, line[:80])


def _ends_whole(path: Path) -> bool:
    """Whether the last line was written to its end."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
