"""What a client returns for a source that was read completely.

Belongs here: that value. Does not: any client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class FetchResult:
    """A source's bodies are in the draft.

    `rows` is the number of rows received and `rows_at_server` the server's own count, None where there is none.
    `frames` gives the rows (attributes, WKB `geometry`) on demand, some of them parsed while others were still being
    fetched: content that is the same as last time is not parsed.
    """

    rows: int | None = None
    rows_at_server: int | None = None
    frames: Callable[[], Iterator[pl.DataFrame]] | None = None
