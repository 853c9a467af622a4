"""Whole layers from ArcGIS REST services.

Belongs here: finding a layer by name, paging through it and proving that it came whole. Does not: keeping it (snapshots).
The order of questions follows what clients of such servers learned: metadata, count, sorted pages, count again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import polars as pl

from resources.errors import (
    DuplicateObjectIds,
    EmptyAnswer,
    LayerAmbiguous,
    LayerChanged,
    LayerNotFound,
    ServiceFault,
    ShortAnswer,
    TokenRequired,
    TransientSourceError,
    UnexpectedFormat,
    WrongReference,
)
from resources.esri import read_attributes, read_geometries
from resources.http import Answer, Http
from resources.snapshots import Draft

WGS84 = 4326
_TRANSIENT_FAULTS = {500, 502, 503, 504}


@dataclass(frozen=True)
class Fetched:
    """A layer that came whole: the server's own count, and its rows (attributes, WKB `geometry`) when they are wanted.

    Rows are made only on demand: bytes that are the same as the last time need no reading.
    """

    count: int
    rows: Callable[[], pl.DataFrame]


@dataclass(frozen=True)
class Layer:
    """A layer as its server describes it."""

    url: str
    name: str
    object_id_field: str
    page_size: int
    supports_pagination: bool
    fields: list[dict[str, Any]]
    metadata: bytes


class ArcGIS:
    """Reads layers. `source` is `institution.layer` and names the layer in every error."""

    def __init__(self, http: Http, wanted_page_size: int = 1_000) -> None:
        self.http = http
        self.wanted_page_size = wanted_page_size

    def read_layer(self, source: str, service_url: str, name_pattern: str, draft: Draft) -> Fetched:
        """Fetch a layer whole into `draft`.

        Raises LayerNotFound, LayerAmbiguous, EmptyAnswer, ShortAnswer, DuplicateObjectIds, LayerChanged and the errors
        of resources.http.
        """
        layer = self.find_layer(source, service_url, name_pattern)
        draft.parameters = {"layer": layer.name, "outSR": WGS84}
        expected = self.count(source, layer)
        for last_try in (False, True):
            draft.parts.clear()
            draft.add("metadata", layer.metadata)
            if expected == 0:
                raise EmptyAnswer(source)
            pages = []
            for answer, page in self._pages(source, layer, expected):
                draft.add("page", answer.body)
                draft.is_sandbox |= answer.is_sandbox
                pages.append(page)
            after = self.count(source, layer)
            if after == expected:
                break
            if last_try:
                raise LayerChanged(source, expected, after)
            expected = after
        oids = [f["attributes"][layer.object_id_field] for page in pages for f in page["features"]]
        check_whole(source, pl.Series(oids), expected)
        return Fetched(expected, lambda: pl.concat([page_frame(source, layer.fields, page) for page in pages]))

    # -- metadata ----------------------------------------------------------------------------------

    def find_layer(self, source: str, service_url: str, name_pattern: str) -> Layer:
        """The one layer whose name matches; ids shift whenever a year or a layer is added, names do not.

        A pattern with a group `year` means the latest year.
        """
        service, _ = self._json(source, service_url, {"f": "json"})
        layers = [x for x in service.get("layers", []) if x.get("type", "Feature Layer") == "Feature Layer"]
        found = [(m, x) for x in layers if (m := re.fullmatch(name_pattern, x["name"].strip()))]
        if not found:
            raise LayerNotFound(source, name_pattern, [x["name"] for x in layers])
        if "year" in (found[0][0].groupdict()):
            latest = max(m["year"] for m, _ in found)
            found = [(m, x) for m, x in found if m["year"] == latest]
        if len(found) > 1:
            raise LayerAmbiguous(source, name_pattern, [f"{x['name']} (id {x['id']})" for _, x in found])
        url = f"{service_url}/{found[0][1]['id']}"
        metadata, answer = self._json(source, url, {"f": "json"})
        fields = metadata.get("fields") or []
        oid = metadata.get("objectIdField") or next(
            (f["name"] for f in fields if f["type"] == "esriFieldTypeOID"), None
        )
        if oid is None:
            raise UnexpectedFormat(source, "a layer with an object id", f"fields {[f['name'] for f in fields]}")
        limits = [metadata.get("maxRecordCount"), metadata.get("standardMaxRecordCount"), self.wanted_page_size]
        return Layer(
            url=url,
            name=metadata["name"],
            object_id_field=oid,
            page_size=min(limit for limit in limits if limit),
            supports_pagination=bool((metadata.get("advancedQueryCapabilities") or {}).get("supportsPagination")),
            fields=fields,
            metadata=answer.body,
        )

    def count(self, source: str, layer: Layer) -> int:
        """Rows the server says the layer has."""
        answer, _ = self._json(source, f"{layer.url}/query", {"where": "1=1", "returnCountOnly": "true", "f": "json"})
        if not isinstance(answer.get("count"), int):
            raise UnexpectedFormat(source, "a count", str(answer)[:200])
        return int(answer["count"])

    # -- pages -------------------------------------------------------------------------------------

    def _pages(self, source: str, layer: Layer, expected: int) -> Iterator[tuple[Answer, dict[str, Any]]]:
        """By offset where the server can, else from the last object id on."""
        query = {
            "outFields": "*",
            "outSR": WGS84,
            "orderByFields": f"{layer.object_id_field} ASC",
            "returnTrueCurves": "false",
            "returnGeometry": "true",
            "f": "json",
        }
        got, last = 0, -1
        while True:
            if layer.supports_pagination:
                where = {"where": "1=1", "resultOffset": got, "resultRecordCount": layer.page_size}
            else:
                where = {"where": f"{layer.object_id_field} > {last}"}
            page, answer = self._json(source, f"{layer.url}/query", query | where)
            features = page.get("features")
            if features is None:
                raise UnexpectedFormat(source, "features", f"an object with {sorted(page)}")
            self._check_reference(source, page)
            if features:
                yield answer, page
                got += len(features)
                last = max(f["attributes"][layer.object_id_field] for f in features)
            # the flag rules, not a short page; without it the server's own count does
            if not features or (not page.get("exceededTransferLimit") and got >= expected):
                return

    @staticmethod
    def _check_reference(source: str, page: dict[str, Any]) -> None:
        reference = page.get("spatialReference")
        if reference and (reference.get("latestWkid") or reference.get("wkid")) != WGS84:
            raise WrongReference(source, WGS84, reference)

    # -- one request -------------------------------------------------------------------------------

    def _json(self, source: str, url: str, parameters: dict[str, Any]) -> tuple[dict[str, Any], Answer]:
        """One answer as JSON, retried while that can help: errors hide in HTTP 200, bodies end early."""

        def ask() -> tuple[dict[str, Any], Answer]:
            answer = self.http.get(source, url, parameters)
            head = answer.body[:200].lstrip()
            if head[:1] == b"<":
                raise UnexpectedFormat(source, "JSON", f"HTML or XML starting {head[:60]!r}")
            try:
                payload = orjson.loads(answer.body)
            except orjson.JSONDecodeError as error:
                raise TransientSourceError(
                    source, f"JSON that ends early or is broken ({len(answer.body)} bytes): {error}"
                ) from error
            if fault := payload.get("error"):
                code, message = int(fault.get("code", 0)), str(fault.get("message", ""))
                if code in {498, 499}:
                    raise TokenRequired(source, code, message)
                if code in _TRANSIENT_FAULTS:
                    raise TransientSourceError(source, f"the service answered error {code}: {message}")
                raise ServiceFault(source, code, message, str(fault.get("details", "")))
            return payload, answer

        return self.http.retrying(source, ask)


def page_frame(source: str, fields: list[dict[str, Any]], page: dict[str, Any]) -> pl.DataFrame:
    """One page as columns: attributes, WKB `geometry` and the fault of a geometry that could not be read."""
    return read_attributes(source, fields, page["features"]).with_columns(*read_geometries(page["features"]))


def read_stored(source: str, metadata: bytes, pages: Iterable[bytes]) -> pl.DataFrame:
    """The same rows again, from a snapshot's bodies."""
    fields = orjson.loads(metadata)["fields"]
    return pl.concat([page_frame(source, fields, orjson.loads(page)) for page in pages])


def check_whole(source: str, ids: pl.Series, expected: int) -> None:
    """Prove that as many rows came as the server counts and each of them once.

    Raises EmptyAnswer, DuplicateObjectIds or ShortAnswer.
    """
    if ids.is_empty():
        raise EmptyAnswer(source)
    twice = ids.filter(ids.is_duplicated()).unique().sort()
    if len(twice):
        raise DuplicateObjectIds(source, len(twice), twice.head(5).to_list())
    if len(ids) != expected:
        raise ShortAnswer(source, expected, len(ids))
