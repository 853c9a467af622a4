"""One connector a kind of source. A new kind is a file of its own, an entry in register.py, and a line here."""

from __future__ import annotations

from typing import Any

from restoration.sources.connectors.arcgis import ArcgisConnector
from restoration.sources.connectors.base import Connector, Tools
from restoration.sources.connectors.files import CsvConnector, HtmlTableConnector, VectorFileConnector
from restoration.sources.connectors.inbox import InboxConnector
from restoration.sources.connectors.json_api import JsonApiConnector
from restoration.sources.connectors.wfs import WfsConnector

CONNECTORS: dict[str, type[Connector[Any]]] = {
    "arcgis": ArcgisConnector,
    "wfs": WfsConnector,
    "csv": CsvConnector,
    "vector_file": VectorFileConnector,
    "html_table": HtmlTableConnector,
    "json_api": JsonApiConnector,
    "inbox": InboxConnector,
}


def all_connectors(tools: Tools) -> dict[str, Connector[Any]]:
    """A connector for each kind of source, over the same tools."""
    return {kind: connector(tools) for kind, connector in CONNECTORS.items()}
