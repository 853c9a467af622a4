"""Whole feature types from a WFS 2.0.

Belongs here: hits, sorted pages, axis order proved by where Peru lies. Does not: keeping the result (snapshots).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson
import polars as pl
import shapely
from defusedxml import ElementTree

from resources.arcgis import Fetched, check_whole
from resources.errors import ColumnsMissing, ServiceFault, TransientSourceError, UnexpectedFormat, WrongReference
from resources.http import Answer, Http
from resources.snapshots import Draft

PERU_BOX = (-82.0, -19.0, -68.0, 1.0)  # west, south, east, north
_PAGE = 1_000


class Wfs:
    """Reads feature types as GeoJSON."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def read_type(self, source: str, url: str, type_name: str, unique_attribute: str, draft: Draft) -> Fetched:
        """Fetch a feature type whole into `draft`; its rows are properties as text and WKB `geometry`.

        Pages are sorted by `unique_attribute`: sorting by one that repeats loses features while the totals agree.
        """
        base = {"service": "WFS", "version": "2.0.0", "request": "GetFeature", "typeNames": type_name}
        expected = self._hits(source, url, base)
        draft.parameters = {"typeNames": type_name, "srsName": "EPSG:4326"}
        pages: list[list[dict[str, Any]]] = []
        got = 0
        while got < expected:
            page = base | {
                "outputFormat": "application/json",
                "srsName": "EPSG:4326",
                "sortBy": unique_attribute,
                "startIndex": got,
                "count": _PAGE,
            }
            collection, answer = self._features(source, url, page)
            features = collection["features"]
            if not features:
                break
            draft.add("page", answer.body)
            draft.is_sandbox |= answer.is_sandbox
            pages.append(features)
            got += len(features)
        if pages and unique_attribute not in pages[0][0]["properties"]:
            raise ColumnsMissing(source, [unique_attribute], list(pages[0][0]["properties"]))
        check_whole(source, pl.Series([f["properties"][unique_attribute] for page in pages for f in page]), expected)
        return Fetched(expected, lambda: pl.concat([_frame(source, page) for page in pages]))

    def _hits(self, source: str, url: str, base: dict[str, Any]) -> int:
        def ask() -> int:
            answer = self.http.get(source, url, base | {"resultType": "hits"})
            return int(_xml(source, answer).attrib["numberMatched"])

        return self.http.retrying(source, ask)

    def _features(self, source: str, url: str, parameters: dict[str, Any]) -> tuple[dict[str, Any], Answer]:
        def ask() -> tuple[dict[str, Any], Answer]:
            answer = self.http.get(source, url, parameters)
            if answer.body.lstrip()[:1] == b"<":
                _xml(source, answer)
                raise UnexpectedFormat(source, "GeoJSON", "XML")
            try:
                return orjson.loads(answer.body), answer
            except orjson.JSONDecodeError as error:
                raise TransientSourceError(source, f"GeoJSON that ends early ({len(answer.body)} bytes)") from error

        return self.http.retrying(source, ask)


def _xml(source: str, answer: Answer) -> Any:
    """A parsed document; an exception report, which can come with HTTP 200, is raised."""
    try:
        root = ElementTree.fromstring(answer.body)
    except ElementTree.ParseError as error:
        raise TransientSourceError(source, f"XML that ends early or is broken: {error}") from error
    if root.tag.endswith("ExceptionReport"):
        texts = [e.text or "" for e in root.iter() if e.tag.endswith("ExceptionText")]
        raise ServiceFault(source, 400, "; ".join(texts))
    return root


def _frame(source: str, features: list[dict[str, Any]]) -> pl.DataFrame:
    names = list(features[0]["properties"])
    columns = [
        pl.Series(
            name, [None if (v := f["properties"].get(name)) is None else str(v) for f in features], dtype=pl.String
        )
        for name in names
    ]
    geometries = shapely.from_geojson([orjson.dumps(f["geometry"]).decode() for f in features])
    return pl.DataFrame(
        [*columns, pl.Series("geometry", shapely.to_wkb(longitude_first(source, geometries)).tolist(), dtype=pl.Binary)]
    )


def read_stored(source: str, pages: Iterable[bytes]) -> pl.DataFrame:
    """The same rows again, from a snapshot's bodies."""
    return pl.concat([_frame(source, orjson.loads(page)["features"]) for page in pages])


def longitude_first(source: str, geometries: Any) -> Any:
    """Geometries with x = longitude; swapped ones are recognised by Peru's box and turned.

    Raises WrongReference when neither order lies in Peru.
    """
    west, south, east, north = shapely.total_bounds(geometries)
    if PERU_BOX[0] <= west and east <= PERU_BOX[2] and PERU_BOX[1] <= south and north <= PERU_BOX[3]:
        return geometries
    if PERU_BOX[0] <= south and north <= PERU_BOX[2] and PERU_BOX[1] <= west and east <= PERU_BOX[3]:
        return shapely.transform(geometries, lambda points: np.ascontiguousarray(points[:, ::-1]))
    raise WrongReference(source, 4326, f"coordinates in {[round(float(b), 2) for b in (west, south, east, north)]}")
