"""Logs of one JSON object per line: no text of a server breaks a line, and a torn line loses only itself."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from resources.errors import SourceError, first_line
from resources.jsonl import append_entry, read_lines


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\0"])
def test_what_looks_like_the_end_of_a_line_ends_none(separator: str, tmp_path: Path) -> None:
    entries = [{"title": f"one{separator}two"}, {"title": separator}]
    for entry in entries:
        append_entry(tmp_path / "log", entry)
    assert list(read_lines(tmp_path / "log")) == entries


def test_a_torn_line_loses_only_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log"
    for number in range(3):
        append_entry(path, {"number": number})
    path.write_bytes(path.read_bytes()[:-5])
    append_entry(path, {"number": 3})
    with caplog.at_level(logging.WARNING):
        assert [entry["number"] for entry in read_lines(path)] == [0, 1, 3]
    assert "a torn line" in caplog.text


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        (SourceError("minam.x", "down\nand more"), "minam.x: down"),
        (TimeoutError(), "TimeoutError"),
        (ValueError("\n \n"), "ValueError"),
        (OSError("\nsecond"), "second"),
    ],
)
def test_the_first_line_of_an_error_is_never_empty(error: Exception, reported: str) -> None:
    assert first_line(error) == reported
