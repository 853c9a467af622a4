"""An ArcGIS layer of many polygons whose every page takes a while, as a process of its own.

Belongs here: a server for the extraction benchmark, its pages built before the first request. Does not: a faithful
ArcGIS (sandbox/servers/arcgis.py).
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import numpy as np
import orjson
import uvicorn
from starlette.requests import Request
from starlette.responses import Response

PAGE = 1_000
DELAY_SECONDS = 0.1


def features(count: int, vertices: int) -> list[bytes]:
    """Esri JSON features of small polygons in Peru, one string each."""
    random = np.random.default_rng(1)
    angles = -np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    created = []
    for number in range(1, count + 1):
        x, y = random.uniform(-80, -70), random.uniform(-16, -2)
        ring = np.column_stack([x + 0.002 * np.cos(angles), y + 0.002 * np.sin(angles)]).round(6)
        rings = [[*ring.tolist(), ring[0].tolist()]]
        attributes = {
            "OBJECTID": number,
            "NOMBRE": f"Área {number}",
            "ESTADO": number % 3 + 1,
            "HA": float(number % 977),
        }
        created.append(orjson.dumps({"attributes": attributes, "geometry": {"rings": rings}}))
    return created


FIELDS = [
    {"name": "OBJECTID", "type": "esriFieldTypeOID", "alias": "OBJECTID"},
    {"name": "NOMBRE", "type": "esriFieldTypeString", "alias": "NOMBRE", "length": 255},
    {"name": "ESTADO", "type": "esriFieldTypeInteger", "alias": "ESTADO"},
    {"name": "HA", "type": "esriFieldTypeDouble", "alias": "HA"},
]
_HEAD = orjson.dumps(
    {
        "displayFieldName": "NOMBRE",
        "geometryType": "esriGeometryPolygon",
        "fields": FIELDS,
        "spatialReference": {"wkid": 4326, "latestWkid": 4326},
    }
)[:-1]


class App:
    """ASGI app of one service with one layer."""

    def __init__(self, count: int, vertices: int) -> None:
        self.features = features(count, vertices)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            request = Request(scope, receive)
            await (await self._respond(request))(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        asked = request.query_params
        if not request.url.path.endswith("/query"):
            layer = {"id": 0, "name": "Areas", "type": "Feature Layer"}
            described: dict[str, Any] = {
                "layers": [layer],
                "fields": FIELDS,
                "name": "Areas",
                "objectIdField": "OBJECTID",
            }
            described |= {"maxRecordCount": PAGE, "advancedQueryCapabilities": {"supportsPagination": True}}
            return Response(orjson.dumps(described), media_type="application/json")
        if asked.get("returnCountOnly"):
            return Response(orjson.dumps({"count": len(self.features)}), media_type="application/json")
        await asyncio.sleep(DELAY_SECONDS)
        start = int(asked.get("resultOffset") or 0)
        end = start + min(int(asked.get("resultRecordCount") or PAGE), PAGE)
        more = b',"exceededTransferLimit":true' if end < len(self.features) else b""
        body = _HEAD + more + b',"features":[' + b",".join(self.features[start:end]) + b"]}"
        return Response(body, media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(App(int(sys.argv[1]), int(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[3]), log_level="warning")
