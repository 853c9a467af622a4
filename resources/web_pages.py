"""Web pages in place of data: what a portal, a login or a firewall answers.

Belongs here: recognising one by its first bytes. Does not: asking (http.py).
"""

from __future__ import annotations

from resources.errors import UnexpectedFormat


def refuse_web_page(source: str, expected: str, body: bytes) -> None:
    """Raise UnexpectedFormat for a page of a portal, a login or a firewall in place of data."""
    head = body[:400].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<script")):
        raise UnexpectedFormat(source, expected, f"a web page (HTML) starting {bytes(body[:60])!r}")
