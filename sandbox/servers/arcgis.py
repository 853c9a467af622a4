"""ArcGIS REST map services over synthetic layers, as MINAM, SERFOR and SERNANP speak it.

Belongs here: service and layer JSON and the `query` operation with its habits (errors inside HTTP 200, page caps,
dates as epoch milliseconds). Does not: what the layers hold.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import duckdb
import numpy as np
import orjson
import polars as pl
import shapely
from pyproj import Transformer
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sandbox.catalogue import Field, Layer, Service

_TRUE = {"true", "1", "True"}


class QueryError(Exception):
    """What ArcGIS answers inside an HTTP 200."""

    def __init__(self, code: int, message: str, *details: str) -> None:
        self.payload = {"error": {"code": code, "message": message, "details": list(details)}}
        super().__init__(message)


@lru_cache(maxsize=16)
def _transformer(wkid: int) -> Transformer:
    return Transformer.from_crs(4326, wkid, always_xy=True)


def _moved(geometry: Any, wkid: int) -> Any:
    """Esri geometry JSON from EPSG:4326 to another reference."""
    transformer = _transformer(wkid)
    if "x" in geometry:
        x, y = transformer.transform(geometry["x"], geometry["y"])
        return {"x": x, "y": y}
    rings: list[Any] = []
    for ring in geometry["rings"]:
        if not ring:
            rings.append([])
            continue
        points = np.asarray(ring)
        x, y = transformer.transform(points[:, 0], points[:, 1])
        rings.append(np.column_stack([x, y]).tolist())
    return {"rings": rings}


def _geojson_geometry(geometry: Any) -> Any:
    """RFC 7946 geometry of Esri JSON; rings that are no ring are left out as the server would."""
    if geometry is None:
        return None
    if "x" in geometry:
        return {"type": "Point", "coordinates": [geometry["x"], geometry["y"]]}
    polygons = [shapely.Polygon(ring) for ring in geometry["rings"] if len(ring) > 3]
    return json.loads(shapely.to_geojson(shapely.MultiPolygon(polygons)))


@dataclass
class LayerData:
    """Attributes and geometry of one layer, kept in object-id order, and a database that answers its `where`."""

    layer: Layer
    path: Path

    def __post_init__(self) -> None:
        """Loading happens at the first request; two requests must not both do it."""
        self._lock = threading.Lock()

    @cached_property
    def frame(self) -> pl.DataFrame:
        """All features, ordered by object id (rows of one id keep the file's order)."""
        return pl.read_parquet(self.path).sort("OBJECTID", maintain_order=True).with_row_index("__row")

    @cached_property
    def attributes(self) -> list[dict[str, Any]]:
        """Attribute dicts in row order."""
        return self.frame.drop("__row", "geometry").to_dicts()

    @cached_property
    def geometries(self) -> list[str | None]:
        """Esri JSON in row order, EPSG:4326."""
        return self.frame["geometry"].to_list()

    @cached_property
    def database(self) -> duckdb.DuckDBPyConnection:
        """An in-memory table `layer`."""
        con = duckdb.connect(":memory:")
        table = self.frame.drop("geometry").to_arrow()
        con.register("arrow_layer", table)
        con.execute("create table layer as select * from arrow_layer")
        con.unregister("arrow_layer")
        return con

    @cached_property
    def shapes(self) -> Any:
        """Geometries in row order, EPSG:4326; those that are no polygon are missing, as in a spatial index."""
        created = []
        for text in self.geometries:
            try:
                created.append(
                    shapely.from_geojson(json.dumps(_geojson_geometry(orjson.loads(text)))) if text else None
                )
            except (ValueError, shapely.errors.ShapelyError):
                created.append(None)
        return np.array(created, dtype=object)

    def touching(self, parameters: dict[str, str], ids: list[int] | None) -> list[int]:
        """Object ids of features that an envelope in `inSR` touches."""
        west, south, east, north = (float(v) for v in parameters["geometry"].split(","))
        wkid = int(parameters.get("inSR") or 4326)
        if wkid != 4326:
            x, y = _transformer(wkid).transform(
                [west, west, east, east], [south, north, south, north], direction="INVERSE"
            )
            west, south, east, north = min(x), min(y), max(x), max(y)
        with self._lock:
            found = shapely.intersects(self.shapes, shapely.box(west, south, east, north))
        oids = self.frame["OBJECTID"].to_numpy()[found].tolist()
        return [i for i in oids if ids is None or i in ids]

    def rows(self, where: str, order: str, offset: int, limit: int | None, ids: list[int] | None) -> list[int]:
        """Row numbers that answer a query; a clause the database cannot read is the caller's error."""
        clause = f"({where})" + (f" and OBJECTID in ({','.join(map(str, ids)) or 'null'})" if ids is not None else "")
        sql = f"select __row from layer where {clause} order by {order}, __row"
        if limit is not None:
            sql += f" limit {limit} offset {offset}"
        with self._lock:
            try:
                return [row for (row,) in self.database.execute(sql).fetchall()]
            except duckdb.Error as error:
                raise QueryError(400, "Unable to complete operation.", "Unable to perform query operation.") from error


class ArcGISService:
    """Answers one map service."""

    def __init__(self, service: Service, layers_folder: Path) -> None:
        self.service = service
        self.data = {
            layer.id: LayerData(layer, layers_folder / f"{layer.data}.parquet")
            for layer in service.layers
            if layer.data is not None
        }

    async def respond(self, request: Request, rest: str) -> Response:
        """Answer the part of the path after `MapServer`."""
        parameters = dict(request.query_params)
        if request.method == "POST":
            parameters |= dict(parse_qsl((await request.body()).decode()))
        try:
            if parameters.get("f", "html") not in {"json", "pjson", "geojson"}:
                return HTMLResponse(f"<html><body><h1>{self.service.path} (MapServer)</h1></body></html>")
            parts = [p for p in rest.split("/") if p]
            if not parts:
                return self._json(self._service_json())
            layer = self._layer(parts[0])
            if len(parts) == 1:
                return self._json(self._layer_json(layer))
            if parts[1] == "query":
                if layer.data is None:
                    raise QueryError(400, "Invalid or missing input parameters.")
                return await run_in_threadpool(self._query, layer, parameters)
            raise QueryError(404, "Not Found")
        except QueryError as error:
            return self._json(error.payload)

    @staticmethod
    def _json(payload: Any) -> Response:
        return Response(orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    def _layer(self, text: str) -> Layer:
        for layer in self.service.layers:
            if str(layer.id) == text:
                return layer
        raise QueryError(404, "Layer not found", f"layer {text}")

    def _service_json(self) -> dict[str, Any]:
        return {
            "currentVersion": 10.91,
            "serviceDescription": "Miniature Peru: made data, not of any institution",
            "mapName": self.service.path,
            "capabilities": "Map,Query,Data",
            "maxRecordCount": self.service.max_record_count,
            "spatialReference": {"wkid": 4326, "latestWkid": 4326},
            "layers": [
                {
                    "id": layer.id,
                    "name": layer.name,
                    "parentLayerId": layer.group,
                    "type": "Feature Layer" if layer.data else "Group Layer",
                    "geometryType": layer.geometry if layer.data else None,
                }
                for layer in self.service.layers
            ],
            "tables": [],
            "supportedQueryFormats": "JSON, geoJSON",
        }

    def _layer_json(self, layer: Layer) -> dict[str, Any]:
        if layer.data is None:
            return {"currentVersion": 10.91, "id": layer.id, "name": layer.name, "type": "Group Layer"}
        return {
            "currentVersion": 10.91,
            "id": layer.id,
            "name": layer.name,
            "type": "Feature Layer",
            "geometryType": layer.geometry,
            "copyrightText": "Sandbox",
            "objectIdField": "OBJECTID",
            "displayField": layer.fields[1].name,
            "maxRecordCount": self.service.max_record_count,
            "standardMaxRecordCount": self.service.max_record_count,
            "supportedQueryFormats": "JSON, geoJSON",
            "advancedQueryCapabilities": {"supportsPagination": layer.supports_pagination, "supportsOrderBy": True},
            "extent": {
                "xmin": -82,
                "ymin": -19,
                "xmax": -68,
                "ymax": 1,
                "spatialReference": self._reference(layer.stored_wkid),
            },
            "fields": [_field_json(f) for f in layer.fields],
            "typeIdField": layer.subtype_field or None,
            "types": [
                {"id": code, "name": name, "domains": {field: _domain_json(field, coded) for field, coded in domains}}
                for code, name, domains in layer.subtypes
            ],
        }

    @staticmethod
    def _reference(wkid: int) -> dict[str, int]:
        return {"wkid": wkid, "latestWkid": wkid}

    def _query(self, layer: Layer, parameters: dict[str, str]) -> Response:
        data = self.data[layer.id]
        where = parameters.get("where") or ""
        ids = [int(i) for i in parameters["objectIds"].split(",")] if parameters.get("objectIds") else None
        if not where and ids is None:
            raise QueryError(400, "Unable to complete operation.", "'where' clause or 'objectIds' is missing.")
        where = where or "1=1"
        names = [f.name for f in layer.fields]
        order = self._order(parameters.get("orderByFields", ""), names)
        if parameters.get("geometry"):
            ids = data.touching(parameters, ids)
        if parameters.get("returnCountOnly") in _TRUE:
            return self._json({"count": len(data.rows(where, order, 0, None, ids))})
        if parameters.get("returnIdsOnly") in _TRUE:
            oids = data.frame["OBJECTID"].to_list()
            return self._json(
                {"objectIdFieldName": "OBJECTID", "objectIds": [oids[r] for r in data.rows(where, order, 0, None, ids)]}
            )
        if not layer.supports_pagination and ("resultOffset" in parameters or "resultRecordCount" in parameters):
            raise QueryError(400, "Unable to complete operation.", "Pagination is not supported.")
        offset = int(parameters.get("resultOffset") or 0)
        asked = int(parameters.get("resultRecordCount") or self.service.max_record_count)
        limit = min(asked, self.service.max_record_count)
        rows = data.rows(where, order, offset, limit + 1, ids)
        exceeded, rows = len(rows) > limit, rows[:limit]
        fields = self._fields(parameters.get("outFields", ""), names)
        with_geometry = parameters.get("returnGeometry", "true") not in {"false", "0"}
        if parameters.get("f") == "geojson":
            return self._geojson(data, rows, fields, with_geometry, exceeded)
        wkid = int(parameters.get("outSR") or layer.stored_wkid)
        features = []
        for row in rows:
            attributes = data.attributes[row]
            feature: dict[str, Any] = {"attributes": {name: attributes[name] for name in fields}}
            geometry = data.geometries[row]
            if with_geometry and geometry is not None:
                feature["geometry"] = (
                    orjson.Fragment(geometry) if wkid == 4326 else _moved(orjson.loads(geometry), wkid)
                )
            features.append(feature)
        answer: dict[str, Any] = {
            "displayFieldName": layer.fields[1].name,
            "geometryType": layer.geometry,
            "spatialReference": self._reference(wkid),
            "fields": [_field_json(f) for f in layer.fields if f.name in fields],
            "features": features,
        }
        if exceeded:
            answer["exceededTransferLimit"] = True
        return self._json(answer)

    def _geojson(
        self, data: LayerData, rows: list[int], fields: list[str], with_geometry: bool, exceeded: bool
    ) -> Response:
        features = [
            {
                "type": "Feature",
                "id": data.attributes[row]["OBJECTID"],
                "geometry": _geojson_geometry(orjson.loads(text))
                if with_geometry and (text := data.geometries[row])
                else None,
                "properties": {name: data.attributes[row][name] for name in fields},
            }
            for row in rows
        ]
        answer: dict[str, Any] = {"type": "FeatureCollection", "features": features}
        if exceeded:
            answer["properties"] = {"exceededTransferLimit": True}
        return self._json(answer)

    @staticmethod
    def _fields(asked: str, names: list[str]) -> list[str]:
        if asked.strip() == "*":
            return names
        wanted = [a.strip() for a in asked.split(",") if a.strip()] or ["OBJECTID"]
        if unknown := [w for w in wanted if w not in names]:
            raise QueryError(400, "Failed to execute query.", f"'outFields' parameter is invalid: {unknown}")
        return wanted

    @staticmethod
    def _order(asked: str, names: list[str]) -> str:
        parts = []
        for item in filter(None, (a.strip() for a in asked.split(","))):
            name, _, direction = item.partition(" ")
            if name not in names or direction.strip().upper() not in {"", "ASC", "DESC"}:
                raise QueryError(400, "Failed to execute query.", f"'orderByFields' parameter is invalid: {item}")
            parts.append(f'"{name}" {direction}')
        return ", ".join(parts) or "OBJECTID"


def _field_json(field: Field) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": field.name,
        "type": f"esriFieldType{field.kind}",
        "alias": field.alias or field.name,
    }
    if field.kind == "String":
        described["length"] = field.length
    if field.domain:
        described["domain"] = _domain_json(field.name, field.domain)
    return described


def _domain_json(name: str, coded: tuple[tuple[int | str, str], ...]) -> dict[str, Any]:
    return {
        "type": "codedValue",
        "name": f"D_{name}",
        "codedValues": [{"name": meaning, "code": code} for code, meaning in coded],
    }
