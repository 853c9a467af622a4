"""Records that a server answers as JSON.

Belongs here: what a register entry asks of the client. Does not: the client (resources/json_api.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from resources import json_api
from resources.fetch_result import FetchResult
from resources.snapshots import Draft, Manifest
from restoration.sources.connectors.base import Connector, file_part
from restoration.sources.register import JsonApiLayer


class JsonApiConnector(Connector[JsonApiLayer]):
    """One answer with a list of records."""

    def fetch(self, layer: JsonApiLayer, partition: str | None, draft: Draft, current: Manifest | None) -> FetchResult:  # noqa: ARG002
        """The answer."""
        url = layer.url_for(partition)
        json_api.read_records(self.tools.http, layer.source, url, layer.parameters, layer.records, draft)
        return FetchResult()

    def read(self, layer: JsonApiLayer, of: Draft | Manifest) -> Iterator[pl.DataFrame]:
        """One frame of all records."""
        body = self.tools.store.read(file_part(of.parts))
        return iter([json_api.rows(layer.source, body, layer.records)])
