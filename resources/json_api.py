"""Lists of records from JSON APIs.

Belongs here: asking for a list and reading its records as text. Does not: keeping it (snapshots.py).
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import polars as pl

from resources.errors import EmptyAnswer, TransientSourceError, UnexpectedFormat
from resources.http import Http
from resources.snapshots import Draft
from resources.web_pages import refuse_web_page


def read_records(http: Http, source: str, url: str, parameters: dict[str, str], key: str | None, draft: Draft) -> None:
    """Fetch all records into `draft`; their order and the time of the answer do not make another snapshot."""

    def ask() -> tuple[bytes, list[dict[str, Any]], bool]:
        answer = http.get(source, url, parameters or None)
        refuse_web_page(source, "JSON", answer.body)
        return answer.body, _records(source, answer.body, key), answer.is_sandbox

    body, records, is_sandbox = http.retrying(source, ask)
    if not records:
        raise EmptyAnswer(source)
    draft.add("file", body)
    draft.is_sandbox = is_sandbox
    draft.identity = hashlib.sha256(
        b"".join(sorted(orjson.dumps(r, option=orjson.OPT_SORT_KEYS) for r in records))
    ).hexdigest()


def rows(source: str, body: bytes, key: str | None) -> pl.DataFrame:
    """Records as columns of text; lists and objects stay JSON."""
    records = _records(source, body, key)
    names = list(dict.fromkeys(name for record in records for name in record))
    return pl.DataFrame(
        [pl.Series(name, [_text(record.get(name)) for record in records], dtype=pl.String) for name in names]
    )


def _records(source: str, body: bytes, key: str | None) -> list[dict[str, Any]]:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise TransientSourceError(source, f"JSON that ends early or is broken ({len(body)} bytes)") from error
    found = payload.get(key) if key and isinstance(payload, dict) else payload
    if not isinstance(found, list) or any(not isinstance(r, dict) for r in found):
        raise UnexpectedFormat(source, f"a list of records{f' under {key!r}' if key else ''}", str(payload)[:120])
    return found


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
