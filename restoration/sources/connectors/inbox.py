"""Files that institutions leave in the inbox.

Belongs here: which submissions there are, and their rows in the template's columns. Does not: the folder (resources/inbox.py) or
the columns (restoration/submissions/columns.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from resources.cage import SUBMISSION
from resources.fetch_result import FetchResult
from resources.shared_folders import LARGEST_SUBMISSION
from resources.snapshots import Draft, Manifest
from restoration.sources.connectors.base import Connector, Tools, add_file, read_file
from restoration.sources.register import InboxLayer
from restoration.submissions.columns import SHEETS, to_template


class InboxConnector(Connector[InboxLayer]):
    """A part a file."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        self._submissions: dict[str, Path] = {}

    def list_parts(self, layer: InboxLayer) -> list[str]:  # noqa: ARG002
        """Names of the submissions that lie there now."""
        self._submissions = self.tools.inbox.submissions()
        return sorted(self._submissions)

    def fetch(self, layer: InboxLayer, partition: str | None, draft: Draft, current: Manifest | None) -> FetchResult:  # noqa: ARG002
        """The file."""
        if partition not in self._submissions:
            self._submissions = self.tools.inbox.submissions()  # looked through once, not once a file
        add_file(layer.source, self._submissions[partition or ""], draft, LARGEST_SUBMISSION)
        return FetchResult()

    def read(self, layer: InboxLayer, of: Draft | Manifest) -> Iterator[pl.DataFrame]:
        """A submission's areas, or the rows of another sheet of the template; only a workbook has one."""
        rows = read_file(self.tools.store, layer.source, of, SUBMISSION, layer.sheet)
        return iter([to_template(rows, SHEETS[layer.sheet]) if layer.sheet else to_template(rows)])
