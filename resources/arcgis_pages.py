"""Paging strategies for reading an ArcGIS layer, from the best server to the worst.

Belongs here: paging by offset, by the last object id, by lists of ids, by quadrants; page size by weight;
parallel requests. Does not: checking that the result is complete (arcgis.py) or parsing a page (esri.py).
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore
from typing import Any, ClassVar, Protocol

import numpy as np
import orjson

from resources.errors import (
    EmptyPage,
    ServiceFault,
    TokenRequired,
    TooHeavy,
    TransientSourceError,
    UnexpectedFormat,
    WrongReference,
)
from resources.http import Answer, Http
from resources.snapshots import Part, SnapshotStore
from resources.web_pages import refuse_web_page

WGS84 = 4326
_TRANSIENT_FAULTS = {500, 502, 503, 504}
_FIRST_PAGE = 10  # rows: enough to weigh them before asking for many; a hundred of 20,000 vertices weigh 44 MB
_WANTED_BYTES = 3 << 19  # 1.5 MiB: memory use stays low; with 2 MiB heavy polygons took 0.51 GiB (2026-11-23)
_WANTED_SECONDS = 20.0
_READ_MEANWHILE = 1  # a page that is read and stored while every connection asks for the next one
_SMALLEST_BOX = 1e-4  # degrees; rows that cannot be parted below it are too many at one place
_IDS_A_REQUEST = 2_000
_LARGE_PAGE = 32 << 10  # bytes
_FEATURE = b'{"attributes":'
_GEOMETRY = b'"geometry":'  # in a text value the quotes would be escaped
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Layer:
    """A layer as its server describes it."""

    url: str
    name: str
    object_id_field: str
    page_size: int
    supports_pagination: bool
    description: dict[str, Any]
    metadata: bytes

    @staticmethod
    def object_id_of(source: str, description: dict[str, Any]) -> str:
        """Name of the object id. Raises UnexpectedFormat for a layer without one."""
        fields = description.get("fields") or []
        oid = description.get("objectIdField") or next(
            (f["name"] for f in fields if f["type"] == "esriFieldTypeOID"), None
        )
        if oid is None:
            raise UnexpectedFormat(source, "a layer with an object id", f"fields {[f['name'] for f in fields]}")
        return str(oid)

    @classmethod
    def described(cls, source: str, url: str, description: dict[str, Any], metadata: bytes, wanted: int) -> Layer:
        """Read a layer's JSON."""
        limits = [description.get("maxRecordCount"), description.get("standardMaxRecordCount"), wanted]
        return cls(
            url=url,
            name=description["name"],
            object_id_field=cls.object_id_of(source, description),
            page_size=min(limit for limit in limits if limit),
            supports_pagination=bool(
                (description.get("advancedQueryCapabilities") or {}).get("supportsPagination")
                or description.get("supportsPagination")
            ),
            description=description,
            metadata=metadata,
        )


@dataclass(frozen=True)
class Page:
    """One stored answer: its rows' ids and digests. `is_overlapping`: rows may be on another page too."""

    part: Part
    ids: Any  # int64, one a row
    digests: Any  # uint64, two a row
    is_more: bool
    is_overlapping: bool = False


class PageReader:
    """Sends one layer's requests, stores the answers, and adapts the page size to what this layer can serve."""

    def __init__(
        self,
        http: Http,
        source: str,
        layer: Layer | None,
        store: SnapshotStore | None = None,
        created: list[Path] | None = None,
    ) -> None:
        self.http, self.source, self._layer, self._store = http, source, layer, store
        self._created = created if created is not None else []
        self._connections = Semaphore(http.policy(layer.url).connections if layer else 1)
        self.is_sandbox = False
        self.rows_read = 0
        self.on_new_body: Callable[[str, bytes], None] = lambda _sha256, _body: None
        self.page_size = min(_FIRST_PAGE, layer.page_size) if layer else 0
        self._largest = layer.page_size if layer else 0

    @property
    def layer(self) -> Layer:
        """The layer that is read."""
        assert self._layer is not None
        return self._layer

    @property
    def query_url(self) -> str:
        """Address of the query operation."""
        return f"{self.layer.url}/query"

    # -- one request -------------------------------------------------------------------------------

    def json(
        self,
        url: str,
        parameters: dict[str, Any],
        *,
        post: bool = False,
        attempts: int | None = None,
        expected: int | None = None,
    ) -> tuple[dict[str, Any], Answer]:
        """One answer as JSON, retried while that can help: errors hide in HTTP 200, bodies end early.

        With `expected` rows, an answer without features is worth a retry.
        """

        def ask() -> tuple[dict[str, Any], Answer]:
            with self._connections:
                answer = self.http.get(
                    self.source, url, None if post else parameters, data=parameters if post else None
                )
            payload = self._payload(answer)
            if expected and payload.get("features") == []:
                raise EmptyPage(self.source, expected)
            return payload, answer

        return self.http.retrying(self.source, ask, attempts)

    def _payload(self, answer: Answer) -> dict[str, Any]:
        refuse_web_page(self.source, "JSON", answer.body)
        if (skimmed := self._skimmed(answer.body)) is not None:
            return skimmed
        try:
            payload = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            if answer.body.lstrip()[:1] == b"<":
                raise UnexpectedFormat(self.source, "JSON", f"XML starting {answer.body[:60]!r}") from error
            raise TransientSourceError(
                self.source, f"JSON that ends early or is broken ({len(answer.body)} bytes): {error}", by_size=True
            ) from error
        if fault := payload.get("error"):
            code, message = int(fault.get("code", 0)), str(fault.get("message", ""))
            if code in {498, 499}:
                raise TokenRequired(self.source, code, message)
            if code in _TRANSIENT_FAULTS:
                raise TransientSourceError(self.source, f"the service answered error {code}: {message}", by_size=True)
            raise ServiceFault(self.source, code, message, str(fault.get("details", "")))
        return payload  # type: ignore[no-any-return]

    def _skimmed(self, body: bytes) -> dict[str, Any] | None:
        """Of a large page only what paging needs: ids, flag and reference, without an object for every coordinate.

        What surrounds the features and the last of them are parsed, so that a truncated page is noticed; of the others
        only the attributes are. None for a page that is small, is no page, or cannot be read this way: it is then read
        in full.
        """
        if self._layer is None or len(body) < _LARGE_PAGE or _FEATURE not in body:
            return None
        head, *pieces = body.split(_FEATURE)
        oid = self.layer.object_id_field
        try:
            last = (_FEATURE + pieces[-1]).decode()
            _, end = _DECODER.raw_decode(last)
            page = orjson.loads(head + last[end:].encode())
            if not isinstance(page, dict) or page.get("features") != []:
                return None
            page["features"] = [
                {"attributes": {oid: int(_DECODER.raw_decode(piece.partition(_GEOMETRY)[0].decode())[0][oid])}}
                for piece in pieces
            ]
        except (KeyError, TypeError, ValueError):  # ValueError: JSON that is none, text that is no UTF-8
            return None
        return page

    def all_ids(self) -> list[int] | None:
        """Every object id, sorted, which no page limit cuts; None where the server refuses."""
        try:
            answer, _ = self.json(self.query_url, {"where": "1=1", "returnIdsOnly": "true", "f": "json"}, post=True)
        except TokenRequired:
            raise
        except ServiceFault:
            return None
        return sorted(int(i) for i in answer.get("objectIds") or [])

    # -- one page ----------------------------------------------------------------------------------

    def page(
        self,
        parameters: dict[str, Any],
        *,
        post: bool,
        may_shrink: bool,
        expected: int | None = None,
        is_overlapping: bool = False,
    ) -> Page:
        """Request a page and store its body. `may_shrink`: a failing page will be requested again in pieces."""
        query = {"outFields": "*", "outSR": WGS84, "returnTrueCurves": "false", "returnGeometry": "true", "f": "json"}
        payload, answer = self.json(
            self.query_url,
            query | parameters,
            post=post,
            expected=expected,
            attempts=min(2, self.http.attempts) if may_shrink else None,
        )
        features = payload.get("features")
        if features is None:
            raise UnexpectedFormat(self.source, "features", f"an object with {sorted(payload)}")
        reference = payload.get("spatialReference")
        if features and reference and (reference.get("latestWkid") or reference.get("wkid")) != WGS84:
            raise WrongReference(self.source, WGS84, reference)
        self.is_sandbox |= answer.is_sandbox
        self.rows_read += len(features)
        self._learn(len(features), len(answer.body), answer.seconds)
        assert self._store is not None
        oid = self.layer.object_id_field
        is_more = payload.get("exceededTransferLimit") or (payload.get("properties") or {}).get("exceededTransferLimit")
        created: list[Path] = []
        part = self._store.put("page", [answer.body], created) if features else Part("page", "", 0)
        if created:
            self._created.extend(created)
            self.on_new_body(part.sha256, answer.body)
        return Page(
            part,
            np.array([f["attributes"][oid] for f in features], dtype=np.int64),
            _digests(answer.body, features),
            is_more=bool(is_more),
            is_overlapping=is_overlapping,
        )

    def _learn(self, rows: int, size: int, seconds: float) -> None:
        """The next pages are as large as the weight of these rows allows, and smaller after a slow one."""
        if rows:
            fitting = max(1, int(_WANTED_BYTES * rows / max(size, 1)))
            if seconds > _WANTED_SECONDS:
                fitting = min(fitting, max(1, int(rows * _WANTED_SECONDS / seconds)))
            self.page_size = min(fitting, self._largest)

    def limit(self, rows: int) -> None:
        """The server gives no more than this at a time, whatever it advertises."""
        self._largest = max(1, min(self._largest, rows))
        self.page_size = min(self.page_size, self._largest)

    # -- many pages --------------------------------------------------------------------------------

    def read(self, tasks: Iterable[Task]) -> list[Page]:
        """Pages of all tasks, a few requests side by side; a page that is too large is requested in pieces.

        The next task is taken from a generator when a connection is free, so that it can use the adapted page size.
        """
        coming, waiting = iter(tasks), deque[Task]()
        pages: list[Page] = []
        at_once = self.http.policy(self.layer.url).connections + _READ_MEANWHILE
        with ThreadPoolExecutor(at_once) as pool:
            running: dict[Future[Page], Task] = {}
            try:
                while True:
                    free = 1 if not pages else at_once  # the first page weighs the rows
                    while len(running) < free:
                        task = waiting.popleft() if waiting else next(coming, None)
                        if task is None:
                            break
                        running[pool.submit(task.fetch, self)] = task
                    if not running:
                        return pages
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        waiting.extend(self._after(running.pop(future), future, pages))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _after(self, task: Task, future: Future[Page], pages: list[Page]) -> list[Task]:
        """Store the page; returns what of the task is still to be requested."""
        try:
            page = future.result()
        except (TransientSourceError, TooHeavy) as error:
            pieces = task.pieces() if isinstance(error, TooHeavy) or error.by_size else []
            if not pieces:
                raise
            self.limit(max(1, task.rows // len(pieces)) if task.rows else self._largest)
            return pieces
        rest = task.rest(page, self)
        if len(page.ids) and not (task.is_overlapping and rest):
            pages.append(page)
        return rest


def _digests(body: bytes, features: list[dict[str, Any]]) -> Any:
    """Two numbers a feature, from its own bytes: the same feature has the same digest on any page."""
    pieces = body.split(_FEATURE)[1:]
    if len(pieces) == len(features) and len(features) > 0:
        tail = (_FEATURE + pieces[-1]).decode()
        _, end = _DECODER.raw_decode(tail)  # the last one is followed by the rest of the page
        created = [piece.rstrip(b", \r\n\t") for piece in pieces[:-1]]
        created.append(tail[len(_FEATURE) : end].encode())
    else:  # written another way: each feature read and written again, which is as stable
        created = [orjson.dumps(f) for f in orjson.loads(body).get("features", [])]
    joined = b"".join(hashlib.sha256(piece).digest()[:16] for piece in created)
    return np.frombuffer(joined, dtype=np.uint64).reshape(-1, 2)


# -- requests --------------------------------------------------------------------------------------


class Task(Protocol):
    """A piece of a layer that is requested at once."""

    @property
    def rows(self) -> int:
        """Rows requested; 0 where that is not known."""

    @property
    def is_overlapping(self) -> bool:
        """Rows may be returned by another task too, and a truncated page is of no use."""

    def fetch(self, reader: PageReader) -> Page:
        """Ask."""

    def pieces(self) -> list[Task]:
        """The same in smaller pieces; none where it cannot be cut."""

    def rest(self, page: Page, reader: PageReader) -> list[Task]:
        """What the page did not return."""


@dataclass(frozen=True)
class _Span:
    """Rows from one offset on."""

    start: int
    rows: int
    total: int | None
    is_overlapping: ClassVar[bool] = False

    def fetch(self, reader: PageReader) -> Page:
        where = {
            "where": "1=1",
            "orderByFields": f"{reader.layer.object_id_field} ASC",
            "resultOffset": self.start,
            "resultRecordCount": self.rows,
        }
        expected = self.total if self.total and self.start < self.total else None
        return reader.page(where, post=False, may_shrink=self.rows > 1, expected=expected)

    def pieces(self) -> list[Task]:
        size = -(-self.rows // 4)
        return (
            [
                _Span(start, min(size, self.start + self.rows - start), self.total)
                for start in range(self.start, self.start + self.rows, size)
            ]
            if self.rows > 1
            else []
        )

    def rest(self, page: Page, reader: PageReader) -> list[Task]:
        """The flag rules, not a short page; without a flag the server's own count does."""
        got, end = len(page.ids), self.start + self.rows
        if self.total is None:
            return [_Span(self.start + got, reader.page_size, None)] if got and page.is_more else []
        short = got < self.rows and (end < self.total or page.is_more or self.start + got < self.total)
        if short and got:
            reader.limit(got)
            return [_Span(self.start + got, self.rows - got, self.total)]
        return []


@dataclass(frozen=True)
class _Ids:
    """Rows by their object ids."""

    ids: tuple[int, ...]
    is_overlapping: ClassVar[bool] = False

    @property
    def rows(self) -> int:
        return len(self.ids)

    def fetch(self, reader: PageReader) -> Page:
        where = {"objectIds": ",".join(map(str, self.ids)), "orderByFields": f"{reader.layer.object_id_field} ASC"}
        return reader.page(where, post=True, may_shrink=self.rows > 1, expected=self.rows)

    def pieces(self) -> list[Task]:
        size = -(-self.rows // 4)
        return [_Ids(self.ids[i : i + size]) for i in range(0, self.rows, size)] if self.rows > 1 else []

    def rest(self, page: Page, reader: PageReader) -> list[Task]:
        received = set(page.ids.tolist())
        left = tuple(i for i in self.ids if i not in received)
        if left and received:
            reader.limit(len(received))
            return [_Ids(left)]
        return []


@dataclass(frozen=True)
class _Box:
    """Rows that touch a box of the layer's extent."""

    box: tuple[float, float, float, float]
    wkid: int
    rows: ClassVar[int] = 0
    is_overlapping: ClassVar[bool] = True

    def fetch(self, reader: PageReader) -> Page:
        where = {
            "where": "1=1",
            "geometry": ",".join(repr(float(v)) for v in self.box),
            "geometryType": "esriGeometryEnvelope",
            "spatialRel": "esriSpatialRelIntersects",
            "inSR": self.wkid,
        }
        return reader.page(where, post=True, may_shrink=bool(self.pieces()), is_overlapping=True)

    def pieces(self) -> list[Task]:
        west, south, east, north = self.box
        if max(east - west, north - south) < _SMALLEST_BOX:
            return []
        x, y = (west + east) / 2, (south + north) / 2
        quarters = ((west, south, x, y), (x, south, east, y), (west, y, x, north), (x, y, east, north))
        return [_Box(quarter, self.wkid) for quarter in quarters]

    def rest(self, page: Page, reader: PageReader) -> list[Task]:
        return self.pieces() if page.is_more or len(page.ids) >= reader.layer.page_size else []


# -- strategies ------------------------------------------------------------------------------------


class PagingStrategy(Protocol):
    """One way of asking for all rows."""

    name: ClassVar[str]

    def pages(self, reader: PageReader, expected: int | None) -> list[Page]:
        """Every page."""


class ByOffset:
    """resultOffset and resultRecordCount over rows in the order of their ids: several pages at once."""

    name: ClassVar[str] = "offset"

    def pages(self, reader: PageReader, expected: int | None) -> list[Page]:
        """Spans over the count; where the server does not count, one after the other."""

        def spans() -> Iterable[Task]:
            start = 0
            while start == 0 or (expected is not None and start < expected):
                rows = min(reader.page_size, expected - start) if expected is not None else reader.page_size
                yield _Span(start, rows, expected)
                start += rows

        return reader.read(spans())


class ByLastId:
    """Every row after the last id: needs no paging support, one request after the other."""

    name: ClassVar[str] = "last_object_id"

    def pages(self, reader: PageReader, expected: int | None) -> list[Page]:
        """Pages until none is left."""
        oid, pages, got, last = reader.layer.object_id_field, list[Page](), 0, -1
        while True:
            where: dict[str, Any] = {"where": f"{oid} > {last}", "orderByFields": f"{oid} ASC"}
            if reader.layer.supports_pagination:
                where["resultRecordCount"] = reader.page_size
            page = reader.page(where, post=False, may_shrink=False, expected=None if pages else expected)
            if not len(page.ids):
                return pages
            pages.append(page)
            got += len(page.ids)
            if (highest := int(page.ids.max())) <= last:
                return pages  # the server ignores the condition; the row count will show it
            last = highest
            if not page.is_more and expected is not None and got >= expected:
                return pages


class ByIds:
    """The list of ids, which no limit cuts, then rows by their ids in POST requests."""

    name: ClassVar[str] = "id_list"

    def pages(self, reader: PageReader, expected: int | None) -> list[Page]:  # noqa: ARG002 - the ids are the count
        """Rows of every id."""
        ids = reader.all_ids()
        if not ids:
            raise ServiceFault(reader.source, 400, "the service lists no object ids")

        def chunks() -> Iterable[Task]:
            start = 0
            while start < len(ids):
                size = min(reader.page_size, _IDS_A_REQUEST)
                yield _Ids(tuple(ids[start : start + size]))
                start += size

        return reader.read(chunks())


class ByQuadrants:
    """Boxes of the extent, cut in four until each returns all its rows."""

    name: ClassVar[str] = "quadrants"

    def pages(self, reader: PageReader, expected: int | None) -> list[Page]:  # noqa: ARG002 - boxes end by themselves
        """Rows of every box; a row on a border is returned by both."""
        extent = reader.layer.description.get("extent") or {}
        reference = extent.get("spatialReference") or {}
        wkid = reference.get("latestWkid") or reference.get("wkid")
        try:
            box = tuple(float(extent[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
        except (KeyError, TypeError, ValueError) as error:
            raise ServiceFault(reader.source, 400, "the layer has no extent to cut in quadrants") from error
        return reader.read([_Box(box, int(wkid or WGS84))])  # type: ignore[arg-type]


def paging_strategies(layer: Layer) -> list[PagingStrategy]:
    """The ways to try, the best first."""
    paged: list[PagingStrategy] = [ByOffset()] if layer.supports_pagination else []
    return [*paged, ByLastId(), ByIds(), ByQuadrants()]
