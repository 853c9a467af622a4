"""Files from file hosts: streamed, checksummed, resumed where the server supports it, only when they changed.

Belongs here: conditional requests, ranges and proof that a file is complete. Does not: what is in it (lake, archives).
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import time
from collections.abc import Iterator
from queue import Queue
from threading import Thread

import requests

from resources.deadlines import pieces
from resources.errors import TooHeavy, TransientSourceError
from resources.http import SANDBOX_HEADER, HostPolicy, Http
from resources.snapshots import BlobWriter, Draft, Manifest, Part
from resources.web_pages import refuse_web_page

logger = logging.getLogger(__name__)

_REPORT_EVERY = 10.0  # seconds
_AHEAD = 16  # chunks between the network and the compressor


class Downloads:
    """Reads files."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def read_file(
        self, source: str, url: str, draft: Draft, current: Manifest | None, *, web_page: bool = False
    ) -> Part | None:
        """Stream a file into `draft`; None when the server says that `current` still holds.

        A broken connection is resumed where it broke if the server proves that it sends the rest of the same
        file (206, matching Content-Range and validator); a server that ignores ranges starts again from the first
        byte. `web_page` allows HTML (an export that is one). Raises TransientSourceError when fewer bytes arrive than
        announced or the checksum differs, UnexpectedFormat for a web page.
        """
        with _Transfer(source, draft.store.writer("file"), self.http.policy(url), web_page=web_page) as transfer:

            def fetch() -> Part | None:
                with self.http.open(
                    source, url, headers=transfer.wanted() or _conditions(current), stream=True
                ) as response:
                    draft.is_sandbox |= SANDBOX_HEADER in response.headers
                    if response.status_code == 304:
                        return None
                    transfer.begin(response, draft)
                    transfer.run(response)
                    part = transfer.part(draft)
                    draft.etag = response.headers.get("ETag")
                    draft.last_modified = response.headers.get("Last-Modified")
                    draft.parts.append(part)
                    return part

            return self.http.retrying(source, fetch)


def _conditions(current: Manifest | None) -> dict[str, str]:
    """Ask for the file only if it is another than the one we have."""
    if current and current.etag:
        return {"If-None-Match": current.etag}
    if current and current.last_modified:
        return {"If-Modified-Since": current.last_modified}
    return {}


class _Transfer:
    """What was received of one file so far, over as many connections as it takes."""

    def __init__(self, source: str, writer: BlobWriter, limits: HostPolicy, *, web_page: bool) -> None:
        self.source, self.limits, self.web_page = source, limits, web_page
        self._writer = writer
        self._md5: str | None = None
        self._digest = hashlib.md5(usedforsecurity=False)
        self._total: int | None = None
        self._validator: str | None = None

    def __enter__(self) -> _Transfer:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.__exit__(*error)

    def wanted(self) -> dict[str, str]:
        """Ask for the rest, provided that the file is still the same."""
        if not self._writer.size or not self._validator:
            return {}
        return {"Range": f"bytes={self._writer.size}-", "If-Range": self._validator, "Accept-Encoding": "identity"}

    def begin(self, response: requests.Response, draft: Draft) -> None:
        """Decide by the status line whether this is the rest of the file or all of it again."""
        length = response.headers.get("Content-Length")
        encoded = response.headers.get("Content-Encoding", "identity") != "identity"
        if response.status_code == 206:
            match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if not match or int(match[1]) != self._writer.size or match[2] not in {"*", str(self._total)}:
                self._restart(draft)
                raise TransientSourceError(
                    self.source, f"asked for the rest from byte {self._writer.size}, got another"
                )
            logger.info("%s: taken up at %.0f MB", self.source, self._writer.size / 1e6)
            return
        if self._writer.size:  # 200: the server ignores ranges, or the file is another now
            self._restart(draft)
        # the length of a compressed body is not that of the file
        self._total = int(length) if length and not encoded else None
        self._md5 = None if encoded else response.headers.get("Content-MD5")
        strong = response.headers.get("ETag", "")
        self._validator = strong if strong and not strong.startswith("W/") else response.headers.get("Last-Modified")
        if encoded:
            self._validator = None

    def _restart(self, draft: Draft) -> None:
        self._writer.__exit__()
        self._writer = draft.store.writer("file")
        self._digest = hashlib.md5(usedforsecurity=False)
        self._total = None

    def run(self, response: requests.Response) -> None:
        """Receive the body and hash it; a second thread compresses while bytes are received."""
        queue: Queue[bytes | None] = Queue(_AHEAD)
        failed: list[Exception] = []

        def store() -> None:
            while (chunk := queue.get()) is not None:
                if failed:
                    continue  # keep reading, so that the network side never waits for ever
                try:
                    self._writer.compress(chunk)
                except Exception as error:  # noqa: BLE001 - passed to the thread that can raise it
                    failed.append(error)

        worker = Thread(target=store, name=f"store {self.source}")
        worker.start()
        try:
            for chunk in self._reported(self._chunks(response)):
                if failed:
                    break
                self._writer.count(chunk)
                if self._md5:
                    self._digest.update(chunk)
                queue.put(chunk)
        finally:
            queue.put(None)
            worker.join()
        if failed:
            raise failed[0]

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        first = not self._writer.size
        try:
            for chunk in pieces(response, self.limits.file_seconds):
                if self._writer.size > self.limits.file_bytes:
                    raise TooHeavy(self.source, response.url.partition("?")[0], self.limits.file_bytes)
                if first and not self.web_page:
                    refuse_web_page(self.source, "a data file", chunk)
                first = False
                yield chunk
        except OSError as error:  # requests' exceptions for a connection cut in the body derive from it
            raise TransientSourceError(self.source, f"the connection broke in the body: {error}") from error

    def _reported(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Log the progress of a long transfer from time to time."""
        size, began, reported = self._writer.size, time.monotonic(), time.monotonic()
        start = size
        for chunk in chunks:
            yield chunk
            size += len(chunk)
            if (now := time.monotonic()) - reported >= _REPORT_EVERY:
                reported = now
                of = f" of {self._total / 1e6:.0f} MB ({100 * size / self._total:.0f} %)" if self._total else ""
                logger.info(
                    "%s: %.0f MB%s, %.1f MB/s", self.source, size / 1e6, of, (size - start) / 1e6 / (now - began)
                )

    def part(self, draft: Draft) -> Part:
        """The stored body, if it is complete."""
        if self._total is not None and self._writer.size != self._total:
            received, announced = self._writer.size, self._total
            if received > announced:
                self._restart(draft)
            raise TransientSourceError(self.source, f"{received} bytes were received, {announced} were announced")
        if self._md5 and base64.b64encode(self._digest.digest()).decode() != self._md5:
            self._restart(draft)
            raise TransientSourceError(self.source, "the checksum is not the one that the server announced")
        return self._writer.finish(draft.created)
