"""Feature types of WFS servers.

Belongs here: what a register entry asks of the client. Does not: the protocol (resources/wfs.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from resources import wfs
from resources.fetch_result import FetchResult
from resources.snapshots import Draft, Manifest
from restoration.sources.connectors.base import Connector
from restoration.sources.register import WfsLayer


class WfsConnector(Connector[WfsLayer]):
    """A feature type, its pages sorted by an attribute that identifies features."""

    def fetch(self, layer: WfsLayer, partition: str | None, draft: Draft, current: Manifest | None) -> FetchResult:  # noqa: ARG002
        """Every page of the feature type."""
        client = wfs.Wfs(self.tools.http)
        return client.read_type(layer.source, layer.url_for(partition), layer.layer, layer.unique_attribute, draft)

    def read(self, layer: WfsLayer, of: Draft | Manifest) -> Iterator[pl.DataFrame]:
        """One frame: pages may differ in their columns."""
        return iter([pl.concat(wfs.read_stored(layer.source, self.tools.store, of.parts), how="diagonal")])
