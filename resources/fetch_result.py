"""What a client gives back of a source that came whole.

Belongs here: that value. Does not: any client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class FetchResult:
    """A source's bodies are in the draft.

    `rows` and `rows_at_server` are what came and the server's own count, None where nobody counts. `frames` gives the rows
    (attributes, WKB `geometry`) on demand, some of them read while others were still coming: content that is the same as
    last time needs no reading.
    """

    rows: int | None = None
    rows_at_server: int | None = None
    frames: Callable[[], Iterator[pl.DataFrame]] | None = None
