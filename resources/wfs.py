"""Complete feature types from a WFS 2.0.

Belongs here: capabilities, hits, sorted pages, formats, axis order checked by Peru's bounding box. Does not: storing
the result (snapshots.py).
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import polars as pl
import shapely
from defusedxml import DefusedXmlException, ElementTree

from resources.arcgis import check_whole
from resources.cage import CAGE, DOWNLOAD
from resources.errors import (
    ColumnsMissing,
    LayerChanged,
    ServiceFault,
    TransientSourceError,
    UnexpectedFormat,
    UnsafeXml,
    WrongReference,
)
from resources.fetch_result import FetchResult
from resources.http import Answer, Http
from resources.peru import PERU_BOX
from resources.snapshots import Draft, Part, SnapshotStore
from resources.web_pages import refuse_web_page

logger = logging.getLogger(__name__)

_PAGE = 1_000
_JSON = re.compile(r"json", re.IGNORECASE)
_GML = re.compile(r"gml", re.IGNORECASE)


@dataclass(frozen=True)
class Capabilities:
    """A server's capabilities: its largest page, whether it pages, the formats it writes."""

    page_size: int
    pages: bool
    output_format: str

    @property
    def is_json(self) -> bool:
        """GeoJSON; else GML."""
        return bool(_JSON.search(self.output_format))


class Wfs:
    """Reads feature types, as GeoJSON where the server writes it and as GML where it does not."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def read_type(self, source: str, url: str, type_name: str, unique_attribute: str, draft: Draft) -> FetchResult:
        """Fetch a complete feature type into `draft`; its rows are properties as text and WKB `geometry`.

        Pages are sorted by `unique_attribute`: sorting by one that repeats loses features while the totals agree. Where
        the server does not report the count ("unknown"), pages are requested until one is empty. Raises EmptyAnswer,
        ShortAnswer, DuplicateObjectIds, LayerChanged and the errors of resources.http.
        """
        base = {"service": "WFS", "version": "2.0.0", "request": "GetFeature", "typeNames": type_name}
        able = self.capabilities(source, url)
        asked = base | {"outputFormat": able.output_format, "srsName": "EPSG:4326"}
        expected = self.hits(source, url, base)
        for last_try in (False, True):
            ids, digests = self._pages(source, url, asked, unique_attribute, able, expected, draft)
            after = self.hits(source, url, base)
            if after == expected:
                break
            if last_try:
                raise LayerChanged(source, expected or 0, after or 0)
            draft.discard()
            expected = after
        if expected is not None and len(ids) > expected:
            logger.warning(
                "%s: the server counts %s features but has %s: its count is a cap", source, expected, len(ids)
            )
            expected = None
        check_whole(source, pl.Series(ids), expected)
        draft.parameters = {"typeNames": type_name, "srsName": "EPSG:4326", "outputFormat": able.output_format}
        draft.tls_verified = self.http.is_verified(url)
        draft.identity = hashlib.sha256(type_name.encode() + b"".join(sorted(digests))).hexdigest()
        parts = list(draft.parts)
        return FetchResult(len(ids), expected, lambda: read_stored(source, draft.store, parts))

    def _pages(
        self,
        source: str,
        url: str,
        asked: dict[str, Any],
        unique_attribute: str,
        able: Capabilities,
        expected: int | None,
        draft: Draft,
    ) -> tuple[list[str], list[bytes]]:
        """Fetch pages into the draft until one has nothing new; returns unique attribute and digest of each feature.

        A count may be a cap (MapServer's is), so it never ends the reading.
        """
        ids: list[str] = []
        got: set[str] = set()
        digests: list[bytes] = []
        while True:
            paging = {"sortBy": unique_attribute, "startIndex": len(ids), "count": able.page_size}
            try:
                frame, answer = self._page(source, url, asked | (paging if able.pages else {}), able)
            except ServiceFault:
                if expected is not None and len(ids) >= expected:
                    return ids, digests  # some servers refuse to look behind the last feature
                raise
            if frame.is_empty():
                return ids, digests
            if unique_attribute not in frame.columns:
                raise ColumnsMissing(source, [unique_attribute], frame.columns)
            received = [str(v) for v in frame[unique_attribute]]
            if ids and len(ids) == expected and got.issuperset(received):
                return ids, digests  # the server ignores startIndex, and the first page held everything
            draft.add("page", answer.body)
            draft.is_sandbox |= answer.is_sandbox
            ids += received
            digests += [hashlib.sha256(repr(row).encode()).digest()[:16] for row in frame.sort(unique_attribute).rows()]
            if not able.pages or got.intersection(received):
                return ids, digests  # no second page, or repeated rows: the count and the ids will show it
            got.update(received)

    def capabilities(self, source: str, url: str) -> Capabilities:
        """What the server can; a capabilities document that says nothing means the standard's own defaults."""

        def ask() -> Any:
            answer = self.http.get(source, url, {"service": "WFS", "version": "2.0.0", "request": "GetCapabilities"})
            return parse_xml(source, answer)

        root = self.http.retrying(source, ask)
        constraints: dict[str, str] = {}
        formats: list[str] = []
        for element in root.iter():
            name = element.tag.rpartition("}")[2]
            if name == "Constraint":
                default = next((e.text or "" for e in element.iter() if e.tag.endswith("DefaultValue")), "")
                constraints[str(element.get("name"))] = default.strip()
            if name in {"Parameter"} and str(element.get("name")).lower() == "outputformat":
                formats += [(e.text or "").strip() for e in element.iter() if e.tag.endswith("}Value")]
            if name == "Format":
                formats.append((element.text or "").strip())
        offered = [f for f in formats if _JSON.search(f) and "jsonp" not in f and "callback" not in f] or [
            f for f in formats if _GML.search(f)
        ]
        wanted = next((f for f in offered if f == "application/json"), offered[0] if offered else "application/json")
        default = constraints.get("CountDefault", "")
        return Capabilities(
            page_size=min(_PAGE, int(default)) if default.isdigit() and int(default) > 0 else _PAGE,
            pages=constraints.get("ImplementsResultPaging", "TRUE").upper() != "FALSE",
            output_format=wanted,
        )

    def hits(self, source: str, url: str, base: dict[str, Any]) -> int | None:
        """Features that the server counts; None where it says "unknown"."""

        def ask() -> str:
            answer = self.http.get(source, url, base | {"resultType": "hits"})
            return str(parse_xml(source, answer).attrib.get("numberMatched", "unknown"))

        text = self.http.retrying(source, ask)
        return int(text) if text.isdigit() else None

    def _page(
        self, source: str, url: str, parameters: dict[str, Any], able: Capabilities
    ) -> tuple[pl.DataFrame, Answer]:
        def ask() -> tuple[pl.DataFrame, Answer]:
            answer = self.http.get(source, url, parameters)
            refuse_web_page(source, able.output_format, answer.body)
            return read_page(source, answer.body), answer

        return self.http.retrying(source, ask)


def parse_xml(source: str, answer: Answer | bytes) -> Any:
    """A parsed document without entities or external references.

    Raises UnsafeXml, ServiceFault for an exception report (which can have HTTP status 200), or TransientSourceError
    for a truncated document.
    """
    body = answer if isinstance(answer, bytes) else answer.body
    refuse_web_page(source, "XML", body)
    try:
        root = ElementTree.fromstring(body, forbid_dtd=True)
    except DefusedXmlException as error:
        raise UnsafeXml(source, type(error).__name__) from error
    except ElementTree.ParseError as error:
        raise TransientSourceError(source, f"XML that ends early or is broken: {error}") from error
    if root.tag.endswith(("ExceptionReport", "ServiceExceptionReport")):
        texts = [(e.text or "").strip() for e in root.iter() if e.tag.endswith(("ExceptionText", "ServiceException"))]
        raise ServiceFault(source, 400, "; ".join(texts))
    return root


def read_page(source: str, body: bytes) -> pl.DataFrame:
    """One page, GeoJSON or GML, as properties in text and WKB `geometry`."""
    if body.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<":
        parse_xml(source, body)  # refuses what is unsafe before GDAL sees it
        return CAGE.read("vectors", source, body, "page.gml", DOWNLOAD)
    try:
        collection = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise TransientSourceError(source, f"GeoJSON that ends early ({len(body)} bytes)") from error
    if not isinstance(collection, dict) or "features" not in collection:
        raise UnexpectedFormat(source, "a GeoJSON feature collection", str(collection)[:120])
    return _frame(collection["features"])


def _frame(features: list[dict[str, Any]]) -> pl.DataFrame:
    if not features:
        return pl.DataFrame()
    names = list(dict.fromkeys(name for f in features for name in f["properties"] or {}))
    columns = [
        pl.Series(
            name,
            [None if (v := (f["properties"] or {}).get(name)) is None else str(v) for f in features],
            dtype=pl.String,
        )
        for name in names
    ]
    geometries = shapely.from_geojson(
        [orjson.dumps(f["geometry"]).decode() if f.get("geometry") else None for f in features]
    )
    return pl.DataFrame([*columns, pl.Series("geometry", shapely.to_wkb(geometries).tolist(), dtype=pl.Binary)])


def read_stored(source: str, store: SnapshotStore, parts: Sequence[Part]) -> Iterator[pl.DataFrame]:
    """The rows of a snapshot from its bodies, page by page, longitude first."""
    for part in parts:
        frame = read_page(source, store.read(part))
        turned = longitude_first(source, shapely.from_wkb(frame["geometry"].to_numpy()))
        yield frame.with_columns(pl.Series("geometry", shapely.to_wkb(turned).tolist(), dtype=pl.Binary))


def longitude_first(source: str, geometries: Any) -> Any:
    """Geometries with x = longitude; swapped ones are recognised by Peru's box and corrected.

    Raises WrongReference when neither order lies in Peru.
    """
    west, south, east, north = shapely.total_bounds(geometries)
    if np.isnan(west):
        return geometries  # no geometry at all
    if PERU_BOX[0] <= west and east <= PERU_BOX[2] and PERU_BOX[1] <= south and north <= PERU_BOX[3]:
        return geometries
    if PERU_BOX[0] <= south and north <= PERU_BOX[2] and PERU_BOX[1] <= west and east <= PERU_BOX[3]:
        return shapely.transform(geometries, lambda points: np.ascontiguousarray(points[:, ::-1]))
    raise WrongReference(source, 4326, f"coordinates in {[round(float(b), 2) for b in (west, south, east, north)]}")
