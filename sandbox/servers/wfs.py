"""A WFS 2.0 as INEI's GeoServer speaks it: capabilities, hits, sorted pages, axis order by the form of srsName.

Belongs here: the protocol. Does not: the district polygons it serves.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from starlette.requests import Request
from starlette.responses import Response

from sandbox.catalogue import WFS_TYPES

_COUNT_DEFAULT = 1_000


class WfsService:
    """Answers GetCapabilities and GetFeature for the feature types of the catalogue."""

    def __init__(self, layers_folder: Path) -> None:
        self.folder = layers_folder
        self._frames: dict[str, pl.DataFrame] = {}

    def frame(self, type_name: str) -> pl.DataFrame:
        """All features of a type, in the natural (unsorted) order of the table."""
        if type_name not in self._frames:
            frame = pl.read_parquet(self.folder / f"{WFS_TYPES[type_name]}.parquet")
            self._frames[type_name] = frame.with_row_index("gid")
        return self._frames[type_name]

    async def respond(self, request: Request) -> Response:
        """Answer one key-value request; parameter names are case-insensitive."""
        asked = {k.lower(): v for k, v in request.query_params.items()}
        operation = asked.get("request", "").lower()
        if operation == "getcapabilities":
            return self._capabilities()
        if operation != "getfeature":
            return self._exception("OperationNotSupported", f"operation {operation!r}")
        type_name = asked.get("typenames", asked.get("typename", ""))
        if type_name not in WFS_TYPES:
            return self._exception("InvalidParameterValue", "unknown type name")
        if asked.get("resulttype") == "hits":
            return self._xml(
                f'<wfs:FeatureCollection {_NAMESPACES} numberMatched="{self.frame(type_name).height}" numberReturned="0"/>'
            )
        return self._page(asked, type_name)

    def _page(self, asked: dict[str, str], type_name: str) -> Response:
        start, count = int(asked.get("startindex", 0)), int(asked.get("count", _COUNT_DEFAULT))
        frame = whole = self.frame(type_name)
        if by := asked.get("sortby"):
            name, _, direction = by.partition(" ")
            if name not in frame.columns:
                return self._exception("InvalidParameterValue", f"sortBy {name!r}")
            frame = frame.sort(name, descending=direction.upper().startswith("D"))
        elif start > 0:
            return self._exception("NoApplicableCode", "Cannot do natural order without a primary key")
        page = frame.slice(start, min(count, _COUNT_DEFAULT))
        latitude_first = asked.get("srsname", "urn:ogc:def:crs:EPSG::4326").startswith(
            ("urn:", "http://www.opengis.net/def")
        )
        features = [
            {
                "type": "Feature",
                "id": f"{type_name}.{row['gid']}",
                "geometry": _flipped(json.loads(row["geometry"]))
                if latitude_first
                else orjson.Fragment(row["geometry"]),
                "geometry_name": "geom",
                "properties": {k: v for k, v in row.items() if k not in {"gid", "geometry"}},
            }
            for row in page.iter_rows(named=True)
        ]
        return Response(
            orjson.dumps(
                {
                    "type": "FeatureCollection",
                    "features": features,
                    "totalFeatures": whole.height,
                    "numberMatched": whole.height,
                    "numberReturned": page.height,
                    "timeStamp": dt.datetime.now(dt.UTC).isoformat(),
                    "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4326"}},
                }
            ),
            media_type="application/json",
        )

    @staticmethod
    def _xml(body: str, status: int = 200) -> Response:
        return Response(f'<?xml version="1.0" encoding="UTF-8"?>{body}', status_code=status, media_type="text/xml")

    def _exception(self, code: str, text: str) -> Response:
        return self._xml(
            '<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/1.1" version="2.0.0">'
            f'<ows:Exception exceptionCode="{code}"><ows:ExceptionText>{text}</ows:ExceptionText></ows:Exception>'
            "</ows:ExceptionReport>",
            status=400,
        )

    def _capabilities(self) -> Response:
        return self._xml(
            f'<wfs:WFS_Capabilities {_NAMESPACES} version="2.0.0"><ows:OperationsMetadata>'
            '<ows:Operation name="GetFeature"><ows:Parameter name="outputFormat"><ows:AllowedValues>'
            "<ows:Value>application/gml+xml; version=3.2</ows:Value><ows:Value>application/json</ows:Value>"
            "</ows:AllowedValues></ows:Parameter></ows:Operation>"
            '<ows:Constraint name="ImplementsResultPaging"><ows:DefaultValue>TRUE</ows:DefaultValue></ows:Constraint>'
            f'<ows:Constraint name="CountDefault"><ows:DefaultValue>{_COUNT_DEFAULT}</ows:DefaultValue></ows:Constraint>'
            "</ows:OperationsMetadata><FeatureTypeList>"
            + "".join(
                f"<FeatureType><Name>{name}</Name><DefaultCRS>urn:ogc:def:crs:EPSG::4326</DefaultCRS></FeatureType>"
                for name in WFS_TYPES
            )
            + "</FeatureTypeList></wfs:WFS_Capabilities>"
        )


_NAMESPACES = 'xmlns="http://www.opengis.net/wfs/2.0" xmlns:wfs="http://www.opengis.net/wfs/2.0" xmlns:ows="http://www.opengis.net/ows/1.1"'


def _flipped(geometry: Any) -> Any:
    """Coordinates with latitude first, as the urn form of EPSG:4326 demands."""

    def swapped(value: Any) -> Any:
        return [value[1], value[0]] if isinstance(value[0], float | int) else [swapped(v) for v in value]

    return geometry | {"coordinates": swapped(geometry["coordinates"])}
