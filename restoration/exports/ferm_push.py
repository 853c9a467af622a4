"""Sending initiatives to FAO's FERM: off by default, a dry run first, never the same initiative twice.

Belongs here: what was sent and what may be sent now. Does not: what an initiative looks like there (ferm.py).

FERM's manual names no way to change or remove what was sent, and no key of ours that it would recognise. So a log here
(`data/ferm/sent.jsonl`) records each initiative with FERM's id and the digest of what was sent. A line is written
before a request and after its answer: one without an answer may have arrived, and is not sent again until a person has
checked.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from resources.errors import RedirectRefused, Refused, SourceError, TokenRequired, TransientSourceError
from resources.http import Http
from resources.jsonl import append_entry, read_lines
from restoration.exports.ferm import PAYLOADS, ferm_settings

BOOK = "sent.jsonl"
KEY_VARIABLE = "RESTAURACION_FERM_API_KEY"
SOURCE = "ferm_push"

State = Literal["new", "unchanged", "changed", "unsure"]
_WHAT_TO_DO = {
    "changed": "it has changed since it was sent: FERM documents no update; edit it there, then record it in the log",
    "unsure": "a request was sent and no answer received: look for it in FERM, then record its id in the log",
}


@dataclass(frozen=True)
class Planned:
    """One initiative and what may happen to it."""

    initiative_id: str
    institution: str
    state: State
    sha256: str
    body: bytes
    ferm_id: str | None

    @property
    def advice(self) -> str:
        """What a person has to do, where nothing is sent."""
        return _WHAT_TO_DO.get(self.state, "")


@dataclass(frozen=True)
class Pushed:
    """The result of a push."""

    planned: dict[State, int]
    sent: int
    refused: list[str]
    stopped: str | None


class SentLog:
    """The lines of what was sent; the last line of an initiative is the valid one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last: dict[str, dict[str, Any]] = {}
        for entry in read_lines(path):
            self.last[entry["initiative_id"]] = entry

    def note(self, initiative_id: str, sha256: str, event: str, ferm_id: str | None = None, reason: str = "") -> None:
        """Add a line and flush it to disk before anything else happens."""
        entry = {
            "initiative_id": initiative_id,
            "event": event,
            "ferm_id": ferm_id,
            "sha256": sha256,
            "reason": reason,
            "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        }
        append_entry(self.path, entry)
        self.last[initiative_id] = entry

    def state(self, initiative_id: str, sha256: str) -> tuple[State, str | None]:
        """What is known of an initiative whose payload has this digest."""
        known = self.last.get(initiative_id)
        if known is None or known["event"] == "refused":
            return "new", None
        if known["event"] == "sending":
            return "unsure", None
        return ("unchanged" if known["sha256"] == sha256 else "changed"), known["ferm_id"]


def plan(folder: Path, log: SentLog) -> Iterator[Planned]:
    """Every payload of the export `folder` with its state in the log."""
    for line in (folder / PAYLOADS).read_bytes().splitlines():
        reported = orjson.loads(line)
        body = orjson.dumps(reported["payload"], option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha256(body).hexdigest()
        state, ferm_id = log.state(reported["initiative_id"], digest)
        yield Planned(reported["initiative_id"], reported["institution"], state, digest, body, ferm_id)


def push(folder: Path, log: SentLog, http: Http, key: str | None, *, is_dry_run: bool = True) -> Pushed:
    """Send what is new. A dry run says what would be sent and sends nothing.

    Raises SourceError where there is no key to send with. A payload that FERM refuses is noted with its reason and the next one
    goes; a server that does not answer ends the push, what was sent stays in the log.
    """
    if not is_dry_run and not key:
        raise SourceError(SOURCE, f"there is no key to send with; set {KEY_VARIABLE}")
    entries = list(plan(folder, log))
    planned: dict[State, int] = {
        state: sum(e.state == state for e in entries) for state in ("new", "unchanged", "changed", "unsure")
    }
    sent, refused = 0, []
    for entry in entries if not is_dry_run else ():
        if entry.state != "new":
            continue
        log.note(entry.initiative_id, entry.sha256, "sending")
        try:
            ferm_id = _post(http, entry.body, key or "")
        except (Refused, RedirectRefused, TokenRequired) as error:  # FERM said no: nothing arrived
            reason = f"{error}; {KEY_VARIABLE} is not accepted" if _is_about_the_key(error) else str(error)
            log.note(entry.initiative_id, entry.sha256, "refused", reason=reason)
            refused.append(f"{entry.initiative_id}: {reason}")
            if _is_about_the_key(error):
                return Pushed(planned, sent, refused, reason)
        except SourceError as error:
            return Pushed(planned, sent, refused, f"{error}; {entry.initiative_id}: {_WHAT_TO_DO['unsure']}")
        else:
            log.note(entry.initiative_id, entry.sha256, "sent", ferm_id)
            sent += 1
    return Pushed(planned, sent, refused, None)


def _is_about_the_key(error: Refused | RedirectRefused | TokenRequired) -> bool:
    return isinstance(error, TokenRequired) or (isinstance(error, Refused) and error.status == 403)


def _post(http: Http, body: bytes, key: str) -> str:
    """Send one payload; returns FERM's id. Not retried: nobody could know whether the first attempt arrived."""
    headers = {"x-api-key": key, "Content-Type": "application/json"}
    with http.open(SOURCE, ferm_settings().endpoint, headers=headers, body=body) as response:
        if response.is_redirect:
            raise Refused(SOURCE, ferm_settings().endpoint, response.status_code)
        try:
            answer = response.json()
        except ValueError:
            raise TransientSourceError(SOURCE, "the answer is no JSON") from None
    if not isinstance(answer, dict) or not answer.get("id"):
        raise TransientSourceError(SOURCE, f"the answer holds no id: {str(answer)[:200]}")
    return str(answer["id"])
