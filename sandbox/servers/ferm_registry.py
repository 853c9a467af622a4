"""FERM's write API as its manual of 2026-02-16 shows it: POST and GET of projects, with a key.

Belongs here: what FERM would refuse. Does not: what it makes of a project later. What the manual is silent about (codes of
refusals, the exact id) is assumed.
"""

from __future__ import annotations

import json
from typing import Any

import pyproj
import shapely
from shapely.ops import transform
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

SANDBOX_KEY = "sandbox-key"
PROJECTS = "/api/projects"
_TO_EQUAL_AREA = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True).transform
_ALLOWED = {
    "institutionId",
    "title",
    "startingYear",
    "restorationTypes",
    "pointsOfContact",
    "organizations",
    "country",
    "countries",
}


class FermRegistry:
    """Projects in memory, by the id that was given to them."""

    def __init__(self) -> None:
        self.projects: dict[str, dict[str, Any]] = {}

    async def respond(self, request: Request) -> Response:
        """One request of the API."""
        path = request.url.path
        if path == "/health":
            return JSONResponse({"status": "ok"})
        if request.headers.get("x-api-key") != SANDBOX_KEY:
            return JSONResponse({"error": "missing or unknown x-api-key"}, status_code=401)
        if path == PROJECTS and request.method == "POST":
            return self._create(await request.body())
        if path.startswith(PROJECTS + "/") and (project := self.projects.get(path.removeprefix(PROJECTS + "/"))):
            return JSONResponse(project)
        return JSONResponse({"error": "not found"}, status_code=404)

    def _create(self, body: bytes) -> Response:
        try:
            project = json.loads(body)
        except ValueError:
            return JSONResponse({"error": "no JSON"}, status_code=400)
        if problem := _problem(project):
            return JSONResponse({"error": problem}, status_code=422)
        name = f"ferm-{len(self.projects) + 1:06d}"
        self.projects[name] = project
        return JSONResponse({"id": name}, status_code=201)


def _problem(project: Any) -> str | None:
    """What is wrong with a payload, by FERM's fields and its rules for polygons."""
    if not isinstance(project, dict) or project.get("type") != "FeatureCollection":
        return "a GeoJSON FeatureCollection is expected"
    properties, features = project.get("properties") or {}, project.get("features") or []
    if not properties.get("title"):
        return "title is required"
    if extra := set(properties) - _ALLOWED:
        return f"unknown fields {sorted(extra)}"
    if not set(properties.get("restorationTypes", [])) <= {1, 2}:
        return "restorationTypes are 1 or 2"
    if not features:
        return "at least one area is expected"
    shapes = []
    for feature in features:
        if (feature.get("geometry") or {}).get("type") != "Polygon":
            return "one polygon an area"
        shape = shapely.geometry.shape(feature["geometry"])
        if not shape.is_valid:
            return f"invalid polygon: {shapely.is_valid_reason(shape)}"
        flat = transform(_TO_EQUAL_AREA, shape)
        reported = feature["properties"].get("area")
        if not isinstance(reported, int | float) or abs(flat.area / 10_000 - reported) > 0.001 * reported:
            return f"area {reported} is not what the polygon measures ({flat.area / 10_000:.4f} ha)"
        shapes.append(flat)
    for index, first in enumerate(shapes):
        if any(first.intersection(other).area > 1 for other in shapes[index + 1 :]):
            return "areas of one project overlap"
    return None
