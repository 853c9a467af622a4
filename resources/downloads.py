"""Files from file hosts: streamed, checksummed, only when they changed.

Belongs here: conditional requests and proof that a file came whole. Does not: what is in it (lake).
"""

from __future__ import annotations

from collections.abc import Iterator

from resources.errors import TransientSourceError, UnexpectedFormat
from resources.http import SANDBOX_HEADER, Http
from resources.snapshots import Draft, Manifest, Part

_CHUNK = 1 << 20


class Downloads:
    """Reads files."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def read_file(self, source: str, url: str, draft: Draft, current: Manifest | None) -> Part | None:
        """Stream a file into `draft`; None when the server says that `current` still holds.

        Raises TransientSourceError when fewer bytes come than announced, UnexpectedFormat for a web page.
        """

        def fetch() -> Part | None:
            headers = {}
            if current and current.etag:
                headers["If-None-Match"] = current.etag
            elif current and current.last_modified:
                headers["If-Modified-Since"] = current.last_modified
            with self.http.open(source, url, headers=headers, stream=True) as response:
                draft.is_sandbox |= SANDBOX_HEADER in response.headers
                if response.status_code == 304:
                    return None
                announced = response.headers.get("Content-Length")
                encoded = "Content-Encoding" in response.headers  # then the length is that of the compressed body
                part = draft.store.put("file", _checked(source, response.iter_content(_CHUNK)))
                if announced and not encoded and part.size != int(announced):
                    raise TransientSourceError(source, f"{part.size} bytes came, {announced} were announced")
                draft.etag = response.headers.get("ETag")
                draft.last_modified = response.headers.get("Last-Modified")
                draft.parts.append(part)
                return part

        return self.http.retrying(source, fetch)


def _checked(source: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Chunks as they come; a page of a portal or a firewall in place of the file is refused at its first bytes."""
    first = True
    try:
        for chunk in chunks:
            if first and chunk.lstrip()[:1] == b"<":
                raise UnexpectedFormat(source, "a CSV file", f"HTML starting {chunk[:60]!r}")
            first = False
            yield chunk
    except OSError as error:  # requests' exceptions for a connection cut in the body derive from it
        raise TransientSourceError(source, f"the connection broke in the body: {error}") from error
