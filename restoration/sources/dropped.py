"""Files that people leave in place of a server: which year or part each is for.

Belongs here: `inbox/fuentes/<source>/`. Does not: reading files (connectors.py), how long one is used (extraction.py).
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from resources.errors import UnplacedFile
from resources.inbox import Inbox
from restoration.sources.register import SourceLayer

_HEAD = 256 << 10  # bytes that surely hold the header and the first record


class DroppedFiles:
    """Files of the inbox by source and year or part."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    def of(self, layer: SourceLayer, partition: str | None) -> Path | None:
        """The newest file for a source, or for one of its years or parts."""
        files, home = self.inbox.dropped(layer.source), self.inbox.source_folder(layer.source)
        if not layer.is_partitioned:
            mine = [path for path in files if path.parent == home]
        else:
            mine = [path for path in files if partition and self._part_of(layer, path) == partition]
        return mine[-1] if mine else None

    def partitions(self, layer: SourceLayer) -> set[str]:
        """Years or parts that a file lies there for."""
        files = self.inbox.dropped(layer.source) if layer.is_partitioned else []
        return {part for path in files if (part := self._part_of(layer, path))}

    def unplaced(self, layer: SourceLayer) -> list[UnplacedFile]:
        """Files whose year or part cannot be determined."""
        kind = "year" if layer.is_by_fiscal_year else "part"
        files = self.inbox.dropped(layer.source) if layer.is_partitioned else []
        return [UnplacedFile(layer.source, path.name, kind) for path in files if self._part_of(layer, path) is None]

    def _part_of(self, layer: SourceLayer, path: Path) -> str | None:
        """Of its folder, else of its first record, else of a year in its name."""
        folder = path.parent.name if path.parent != self.inbox.source_folder(layer.source) else None
        if not layer.is_by_fiscal_year:
            return folder
        if folder is not None:
            return folder if re.fullmatch(r"\d{4}", folder) else None
        reported = _first_value(path, layer.partition_column) if layer.partition_column else None
        named = set(re.findall(r"(?<!\d)(?:19|20)\d{2}(?!\d)", path.stem))
        return reported or (named.pop() if len(named) == 1 else None)


def _first_value(path: Path, column: str) -> str | None:
    """A year that a CSV's first record has in a column; None where it has none or the file cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD).decode("utf-8-sig", errors="replace")
        record = next(csv.DictReader(io.StringIO(head, newline="")), {})
    except (OSError, csv.Error):
        return None
    value = str(record.get(column) or "").strip()
    return value if re.fullmatch(r"\d{4}", value) else None
