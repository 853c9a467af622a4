"""Complete layers from ArcGIS REST services.

Belongs here: finding a layer by name, its count, and the proof that it was read completely. Does not: requesting pages
(arcgis_pages.py), parsing them (esri.py) or storing them (snapshots.py).
The order of requests is the one that works with such servers: metadata, count, sorted pages, count again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
import orjson
import polars as pl

from resources.arcgis_pages import Layer, Page, PageReader, paging_strategies
from resources.errors import (
    DuplicateObjectIds,
    EmptyAnswer,
    EmptyPage,
    LayerAmbiguous,
    LayerChanged,
    LayerNotFound,
    ServiceFault,
    ShortAnswer,
    SourceError,
    TokenRequired,
    UnexpectedFormat,
)
from resources.esri import page_frame
from resources.fetch_result import FetchResult
from resources.http import Http
from resources.snapshots import Draft, Part, SnapshotStore

WGS84 = 4326
_AHEAD_BYTES = 64 << 20  # of bodies; the rows of a page are smaller
_AHEAD_PAGES = 4


class ArcGIS:
    """Reads layers. `source` is `institution.layer` and names the layer in every error."""

    def __init__(self, http: Http, wanted_page_size: int = 1_000) -> None:
        self.http = http
        self.wanted_page_size = wanted_page_size

    def read_layer(
        self,
        source: str,
        service_url: str,
        name_pattern: str,
        draft: Draft,
        part: str | None = None,
        group: str | None = None,
    ) -> FetchResult:
        """Fetch a complete layer into `draft`; `part` is one value of the pattern's group of that name (year or part).

        Paging strategies are tried one after the other until one gives every row once. Raises LayerNotFound,
        LayerAmbiguous, EmptyAnswer, ShortAnswer, DuplicateObjectIds, LayerChanged, WrongReference and the errors of
        resources.http.
        """
        layer = self.find_layer(source, service_url, name_pattern, part, group)
        reader = PageReader(self.http, source, layer, draft.store, draft.created)
        ahead = PagePrefetcher(source, layer.description)
        reader.on_new_body = ahead.take
        draft.tls_verified = self.http.is_verified(service_url)
        expected = self.count(reader)
        for last_try in (False, True):
            if expected == 0:
                raise EmptyAnswer(source)
            try:
                pages, way = _first_whole(reader, expected)
                error = None
            except TokenRequired:
                raise
            except (ServiceFault, EmptyAnswer, ShortAnswer, DuplicateObjectIds) as caught:
                error = caught
            after = self.count(reader)
            if after == expected and error is None:
                break
            if after == expected and error is not None:
                raise error
            if last_try:
                raise LayerChanged(source, expected or 0, after or 0)
            draft.discard()
            expected = after
        draft.parameters = {"layer": layer.name, "outSR": WGS84, "paging": way}
        metadata = draft.add("metadata", layer.metadata)
        pages.sort(key=lambda page: int(page.ids.min()))
        draft.parts += [page.part for page in pages]
        draft.is_sandbox = reader.is_sandbox
        draft.identity = _identity(layer, pages)
        parts = list(draft.parts)
        rows = len(np.unique(np.concatenate([page.ids for page in pages])))
        return FetchResult(
            rows, expected, lambda: read_stored(source, draft.store, [metadata, *parts[1:]], ahead.frame)
        )

    # -- metadata ----------------------------------------------------------------------------------

    def _service_layers(self, source: str, service_url: str) -> list[dict[str, Any]]:
        service, _ = PageReader(self.http, source, None).json(service_url, {"f": "json"})
        names = {x["id"]: x["name"] for x in service.get("layers", [])}
        layers = [x for x in service.get("layers", []) if x.get("type", "Feature Layer") == "Feature Layer"]
        return [x | {"group": names.get(x.get("parentLayerId", -1), "")} for x in layers]

    def parts(self, source: str, service_url: str, name_pattern: str) -> list[str]:
        """Every year or part that the service has now: the values of the pattern's one group. Raises LayerNotFound."""
        layers = self._service_layers(source, service_url)
        matches = [m for x in layers if (m := re.fullmatch(name_pattern, x["name"].strip()))]
        if not matches:
            raise LayerNotFound(source, name_pattern, [x["name"] for x in layers])
        return sorted({part_name(m) for m in matches})

    def find_layer(
        self, source: str, service_url: str, name_pattern: str, part: str | None = None, group: str | None = None
    ) -> Layer:
        """The one layer whose name matches; ids shift whenever a year or a layer is added, names do not."""
        layers = self._service_layers(source, service_url)
        found = [
            x
            for x in layers
            if (m := re.fullmatch(name_pattern, x["name"].strip()))
            and (part is None or part_name(m) == part)
            and (group is None or re.fullmatch(group, x["group"].strip()))
        ]
        wanted = name_pattern if part is None else f"{name_pattern} for {part}"
        if not found:
            raise LayerNotFound(source, wanted, [x["name"] for x in layers])
        if len(found) > 1:
            raise LayerAmbiguous(source, wanted, [f"{x['name']} (id {x['id']})" for x in found])
        url = f"{service_url}/{found[0]['id']}"
        metadata, answer = PageReader(self.http, source, None).json(url, {"f": "json"})
        return Layer.described(source, url, metadata, answer.body, self.wanted_page_size)

    def count(self, reader: PageReader) -> int | None:
        """Rows the server says the layer has; None where it neither counts nor lists ids."""
        try:
            answer, _ = reader.json(reader.query_url, {"where": "1=1", "returnCountOnly": "true", "f": "json"})
        except TokenRequired:
            raise
        except ServiceFault:
            ids = reader.all_ids()
            return None if ids is None else len(ids)
        if not isinstance(answer.get("count"), int):
            raise UnexpectedFormat(reader.source, "a count", str(answer)[:200])
        return int(answer["count"])


def part_name(match: re.Match[str]) -> str:
    """The value of a pattern's one group as a folder's name: years as they are, names folded."""
    text = str(match.group(1)).strip().lower()
    return re.sub(r"[^\w]+", "-", text).strip("-")


def _first_whole(reader: PageReader, expected: int | None) -> tuple[list[Page], str]:
    """Pages of the first paging strategy that gives every row once; the first strategy's error where none does."""
    first: SourceError | None = None
    for way in paging_strategies(reader.layer):
        reader.rows_read = 0
        try:
            pages = way.pages(reader, expected)
            _check_pages(reader.source, pages, expected)
        except EmptyPage:
            received = reader.rows_read
            first = first or (
                ShortAnswer(reader.source, expected or 0, received) if received else EmptyAnswer(reader.source)
            )
            continue
        except TokenRequired:
            raise
        except (ServiceFault, EmptyAnswer, ShortAnswer, DuplicateObjectIds) as error:
            if first is None or (isinstance(first, DuplicateObjectIds) and isinstance(error, ShortAnswer)):
                first = error  # offsets that overlap because a row is missing: report the missing row
            continue
        return pages, way.name
    assert first is not None
    raise first


def _check_pages(source: str, pages: Sequence[Page], expected: int | None) -> None:
    """One feature sent twice, word for word (quadrants share borders), is one; two features of one id are not."""
    if not pages:
        raise EmptyAnswer(source)
    ids = np.concatenate([page.ids for page in pages])
    digests = np.concatenate([page.digests for page in pages])
    each = pl.DataFrame({"id": ids, "a": digests[:, 0], "b": digests[:, 1]}).unique()
    if sum(page.is_overlapping for page in pages) == 0 and each.height < len(ids):
        check_whole(source, pl.Series(ids), expected)
    check_whole(source, each["id"], expected)


def _identity(layer: Layer, pages: Sequence[Page]) -> str:
    """A digest of fields and features, independent of how they were paged."""
    digests = np.unique(np.concatenate([page.digests for page in pages]), axis=0)
    described = orjson.dumps([layer.name, layer.description.get("fields"), layer.description.get("types")])
    return hashlib.sha256(described + digests.tobytes()).hexdigest()


class PagePrefetcher:
    """Parses new pages in a thread of its own while others are still being fetched, within a memory limit.

    Bodies that were stored before are not among them: of a layer that did not change nothing is read.
    """

    def __init__(self, source: str, description: dict[str, Any]) -> None:
        self._source, self._description = source, description
        self._pool = ThreadPoolExecutor(1)
        self._frames: dict[str, Future[pl.DataFrame]] = {}
        self._room = _AHEAD_BYTES
        self._lock = Lock()

    def take(self, sha256: str, body: bytes) -> None:
        """Read this body soon, if there is room."""
        with self._lock:
            if len(body) > self._room or sum(not f.done() for f in self._frames.values()) > _AHEAD_PAGES:
                return
            self._room -= len(body)
            self._frames[sha256] = self._pool.submit(page_frame, self._source, self._description, body)

    def frame(self, sha256: str) -> pl.DataFrame | None:
        """The rows of a body that was parsed already; they are returned once."""
        with self._lock:
            future = self._frames.pop(sha256, None)
        return future.result() if future else None


def read_stored(
    source: str,
    store: SnapshotStore,
    parts: Sequence[Part],
    ready: Callable[[str], pl.DataFrame | None] = lambda _: None,
) -> Iterator[pl.DataFrame]:
    """The rows of a snapshot from its bodies, page by page; a feature that is on two pages is given once.

    `ready` gives the rows of bodies that were read already.
    """
    metadata = orjson.loads(store.read(next(p for p in parts if p.role == "metadata")))
    oid = Layer.object_id_of(source, metadata)
    seen: set[int] = set()
    for part in parts:
        if part.role == "page":
            frame = ready(part.sha256)
            if frame is None:
                frame = page_frame(source, metadata, store.read(part))
            ids = frame[oid]
            again = seen.intersection(ids.to_list())
            seen.update(ids.to_list())
            yield frame.filter(~pl.col(oid).is_in(list(again))) if again else frame


def check_whole(source: str, ids: pl.Series, expected: int | None) -> None:
    """Check that as many rows were received as the server counts, each of them once.

    Raises EmptyAnswer, DuplicateObjectIds or ShortAnswer.
    """
    if ids.is_empty():
        raise EmptyAnswer(source)
    twice = ids.filter(ids.is_duplicated()).unique().sort()
    if len(twice):
        raise DuplicateObjectIds(source, len(twice), twice.head(5).to_list())
    if expected is not None and len(ids) != expected:
        raise ShortAnswer(source, expected, len(ids))
