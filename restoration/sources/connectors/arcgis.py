"""Layers of ArcGIS servers.

Belongs here: what a register entry asks of the client. Does not: the protocol (resources/arcgis.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from resources import arcgis
from resources.fetch_result import FetchResult
from resources.snapshots import Draft, Manifest
from restoration.sources.connectors.base import Connector
from restoration.sources.register import ArcgisLayer


class ArcgisConnector(Connector[ArcgisLayer]):
    """A layer found by its name, or several that differ in a year or part."""

    def list_parts(self, layer: ArcgisLayer) -> list[str]:
        """The years or parts that layers of the service have in their names now."""
        return arcgis.ArcGIS(self.tools.http).parts(layer.source, layer.url, layer.layer)

    def fetch(self, layer: ArcgisLayer, partition: str | None, draft: Draft, current: Manifest | None) -> FetchResult:  # noqa: ARG002
        """Every page of the layer."""
        client, part = arcgis.ArcGIS(self.tools.http), partition if layer.is_in_parts else None
        return client.read_layer(layer.source, layer.url_for(partition), layer.layer, draft, part, layer.group)

    def read(self, layer: ArcgisLayer, of: Draft | Manifest) -> Iterator[pl.DataFrame]:
        """A frame a page."""
        return arcgis.read_stored(layer.source, self.tools.store, of.parts)
