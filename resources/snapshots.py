"""Bytes as received: append-only, content-addressed, each fetch with a manifest, each attempt in a ledger.

Belongs here: storing, naming and verifying snapshots. Does not: fetching (arcgis, wfs, downloads) or reading them (lake).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import zstandard

from resources.errors import CorruptSnapshot, Shrunk, SourceError, UnsafeName
from resources.jsonl import append_entry, read_lines

logger = logging.getLogger(__name__)

DROPPED = "dropped"  # in a snapshot's parameters: name of the file that lay in place of the server
_ZSTD_LEVEL = 1  # level 3 takes half as long again for 8 % less (2.4 GB of budget lines, 2026-11-23)
# bodies of this process's uncommitted drafts, and how many drafts hold each
_UNCOMMITTED: dict[Path, int] = {}
_UNCOMMITTED_LOCK = threading.Lock()


@dataclass(frozen=True)
class Part:
    """One stored body. `role` says what it is: metadata, page or file."""

    role: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What a snapshot is and its origin. Times are UTC."""

    snapshot_id: str
    source: str
    partition: str | None
    url: str
    parameters: dict[str, Any]
    fetched_at: str
    rows: int
    rows_at_server: int | None
    etag: str | None
    last_modified: str | None
    licence: str
    disclaimer: str
    is_sandbox: bool
    parts: list[Part]
    tls_verified: bool = True
    columns: list[str] | None = None

    @property
    def is_dropped(self) -> bool:
        """Whether it was read from a file that a person left in place of the server."""
        return DROPPED in self.parameters


@dataclass(frozen=True)
class Attempt:
    """One line of the ledger: the result of an attempt to read a source.

    `outcome` is new, unchanged, failed, corrupt or withdrawn. A withdrawal without a snapshot withdraws every
    earlier snapshot of the partition.
    """

    at: str
    outcome: str
    snapshot_id: str | None = None
    error: str | None = None
    message: str | None = None


@dataclass
class Draft:
    """Parts of a fetch in progress; nothing of it counts before `SnapshotStore.commit`.

    `identity` is a digest of the content where the bodies themselves are not it: pages may be cut elsewhere and carry
    the time of the answer while every feature is the same.
    """

    store: SnapshotStore
    parts: list[Part] = field(default_factory=list)
    identity: str | None = None
    is_sandbox: bool = False
    tls_verified: bool = True
    etag: str | None = None
    last_modified: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    created: list[Path] = field(default_factory=list)

    def add(self, role: str, chunks: bytes | Iterable[bytes]) -> Part:
        """Store one body, given in full or in chunks."""
        part = self.store.put(role, [chunks] if isinstance(chunks, bytes) else chunks, self.created)
        self.parts.append(part)
        return part

    def discard(self) -> None:
        """Forget the parts, and remove the bodies that no snapshot and no other draft holds."""
        with _UNCOMMITTED_LOCK:
            for path in self.created:
                drafts = _UNCOMMITTED.pop(path, 0)  # 0: another draft that holds it was committed meanwhile
                if drafts == 1:
                    path.unlink(missing_ok=True)
                elif drafts > 1:
                    _UNCOMMITTED[path] = drafts - 1
        self.created.clear()
        self.parts.clear()

    def keep(self) -> None:
        """The bodies are a snapshot's now: no draft removes them any more."""
        with _UNCOMMITTED_LOCK:
            for path in self.created:
                _UNCOMMITTED.pop(path, None)
        self.created.clear()

    @property
    def snapshot_id(self) -> str:
        """Named by content: the same content, or the same bodies in the same order, is the same snapshot."""
        if self.identity:
            return self.identity[:16]
        listing = "\n".join(f"{part.role} {part.sha256}" for part in self.parts)
        return hashlib.sha256(listing.encode()).hexdigest()[:16]


class BlobWriter:
    """Compresses and checksums bytes as received, into a scratch file that becomes a blob at `finish`.

    As a context it removes the scratch file of a body that was never finished.
    """

    def __init__(self, store: SnapshotStore, role: str) -> None:
        folder = store.folder / "blobs"
        folder.mkdir(parents=True, exist_ok=True)
        self._store, self.role, self.size = store, role, 0
        self._digest = hashlib.sha256()
        handle, self._scratch = tempfile.mkstemp(dir=folder, suffix=".part")
        self._raw = os.fdopen(handle, "wb")
        self._compressor = zstandard.ZstdCompressor(_ZSTD_LEVEL).stream_writer(self._raw, closefd=False)

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        self.count(chunk)
        self.compress(chunk)

    def count(self, chunk: bytes) -> None:
        """The first half of `write`: length and checksum. A second thread may compress what was counted, in order."""
        self._digest.update(chunk)
        self.size += len(chunk)

    def compress(self, chunk: bytes) -> None:
        """The second half of `write`."""
        self._compressor.write(chunk)

    def finish(self, created: list[Path] | None = None) -> Part:
        """Close the body and put it under its checksum."""
        self._compressor.close()  # type: ignore[no-untyped-call]
        self._raw.flush()
        os.fsync(self._raw.fileno())  # a name that outlives a power cut has to lead to bytes that did
        self._raw.close()
        sha256 = self._digest.hexdigest()
        target = self._store.blob_path(sha256)
        target.parent.mkdir(exist_ok=True)
        with _UNCOMMITTED_LOCK:
            is_there, drafts = target.exists(), _UNCOMMITTED.get(target, 0)
            if is_there:
                os.unlink(self._scratch)
            else:
                os.replace(self._scratch, target)
            if created is not None and target not in created and (drafts or not is_there):
                _UNCOMMITTED[target] = drafts + 1
                created.append(target)
        return Part(self.role, sha256, self.size)

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()
        with suppress(FileNotFoundError):
            os.unlink(self._scratch)


class SnapshotStore:
    """Snapshots below one folder. A source is `institution.layer`, a partition a year, a part or None.

    With `until` (UTC, ISO 8601) the store is as it was then: later attempts are not seen.
    """

    def __init__(self, folder: Path, until: str | None = None) -> None:
        self.folder, self.until = folder, until

    def draft(self) -> Draft:
        """Start collecting a fetch."""
        return Draft(self)

    # -- blobs -------------------------------------------------------------------------------------

    def blob_path(self, sha256: str) -> Path:
        """Where a body lies."""
        return self.folder / "blobs" / sha256[:2] / f"{sha256}.zst"

    def writer(self, role: str) -> BlobWriter:
        """Store a body bit by bit."""
        return BlobWriter(self, role)

    def put(self, role: str, chunks: Iterable[bytes], created: list[Path] | None = None) -> Part:
        """Compress and store bytes under their checksum; bytes already there are not written again.

        The path of a body that was not there before is added to `made`.
        """
        with self.writer(role) as writer:
            for chunk in chunks:
                writer.write(chunk)
            return writer.finish(created)

    def open(self, part: Part) -> Any:
        """A stored body as a stream of its bytes."""
        raw = self.blob_path(part.sha256).open("rb")
        return zstandard.ZstdDecompressor().stream_reader(raw, closefd=True)

    def read(self, part: Part) -> bytes:
        """One stored body, in full. Raises CorruptSnapshot."""
        path = self.blob_path(part.sha256)
        try:
            body = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
        except (OSError, zstandard.ZstdError) as error:
            raise CorruptSnapshot(part.sha256, str(path)) from error
        if hashlib.sha256(body).hexdigest() != part.sha256:
            raise CorruptSnapshot(part.sha256, str(path))
        return body

    # -- ledger and manifests ----------------------------------------------------------------------

    def _home(self, source: str, partition: str | None) -> Path:
        institution, _, layer = source.partition(".")
        home = self.folder / institution / layer
        return home / refuse_unsafe(source, partition) if partition else home

    def attempts(self, source: str, partition: str | None = None) -> list[Attempt]:
        """Every attempt, oldest first."""
        path = self._home(source, partition) / "ledger.jsonl"
        attempts = [a for entry in read_lines(path) if (a := _attempt(entry, path))]
        return [a for a in attempts if self.until is None or a.at <= self.until]

    def partitions(self, source: str) -> list[str]:
        """Partitions that were ever attempted, sorted."""
        home = self._home(source, None)
        tried = sorted(p.parent.name for p in home.glob("*/ledger.jsonl"))
        return [t for t in tried if self.until is None or self.attempts(source, t)]

    def good(self, source: str, partition: str | None = None) -> list[Attempt]:
        """Attempts that stored or confirmed a snapshot not withdrawn or found corrupt later, oldest first."""
        good: list[Attempt] = []
        for attempt in self.attempts(source, partition):
            if attempt.outcome in {"corrupt", "withdrawn"}:
                good = [a for a in good if attempt.snapshot_id and a.snapshot_id != attempt.snapshot_id]
            elif attempt.outcome in {"new", "unchanged"} and attempt.snapshot_id:
                good.append(attempt)
        return good

    def is_withdrawn(self, source: str, partition: str | None = None) -> bool:
        """Whether the last entry of a partition's ledger is a withdrawal."""
        attempts = self.attempts(source, partition)
        return bool(attempts) and attempts[-1].outcome == "withdrawn"

    def current(self, source: str, partition: str | None = None) -> Manifest | None:
        """The last good snapshot; the one before it where its manifest cannot be read, with a warning in the log.

        With `until` there is no other: raises CorruptSnapshot.
        """
        last_good = [a.snapshot_id or "" for a in self.good(source, partition)]
        for snapshot_id in dict.fromkeys(reversed(last_good)):
            try:
                return self.manifest(source, partition, snapshot_id)
            except CorruptSnapshot as error:
                if self.until is not None:
                    raise
                logger.warning("%s; the snapshot before it is used", error)
        return None

    def of_server(self, source: str, partition: str | None = None) -> Manifest | None:
        """The last good snapshot from the server, even if a file was since left in its place."""
        return next((m for m in self._kept(source, partition) if not m.is_dropped), None)

    def dropped(self, source: str, partition: str | None = None) -> list[Manifest]:
        """Snapshots of files in place of the server that were not withdrawn, the newest first."""
        return [m for m in self._kept(source, partition) if m.is_dropped]

    def _kept(self, source: str, partition: str | None) -> Iterator[Manifest]:
        """Snapshots that are still good and whose manifest is there, the newest first."""
        good = [a.snapshot_id or "" for a in self.good(source, partition)]
        for snapshot_id in dict.fromkeys(reversed(good)):
            with suppress(CorruptSnapshot):
                yield self.manifest(source, partition, snapshot_id)

    def previous(self, source: str, partition: str | None = None) -> Manifest | None:
        """The snapshot that was current before this one; None if there was no other."""
        ids = [a.snapshot_id or "" for a in self.good(source, partition) if a.outcome == "new"]
        now = self.current(source, partition)
        earlier = [
            i for i in ids if now and i != now.snapshot_id and self.has_manifest(source, partition, i)
        ]  # old ones may be let go
        return self.manifest(source, partition, earlier[-1]) if earlier else None

    def rows_of(self, source: str, partition: str | None, snapshot_id: str) -> int | None:
        """Rows of a snapshot that was committed once; None where there is none of that name."""
        try:
            return self.manifest(source, partition, snapshot_id).rows
        except CorruptSnapshot:
            return None

    def manifest(self, source: str, partition: str | None, snapshot_id: str) -> Manifest:
        """The manifest of one snapshot. Raises CorruptSnapshot for one that is not there or cannot be read."""
        path = self._home(source, partition) / f"{snapshot_id}.json"
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            return Manifest(**fields | {"parts": [Part(**p) for p in fields["parts"]]})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CorruptSnapshot(snapshot_id, str(path)) from error

    def has_manifest(self, source: str, partition: str | None, snapshot_id: str) -> bool:
        """Whether a snapshot was committed once and its manifest can be read."""
        try:
            self.manifest(source, partition, snapshot_id)
        except CorruptSnapshot:
            return False
        return True

    def _write_manifest(self, manifest: Manifest) -> None:
        path = self._home(manifest.source, manifest.partition) / f"{manifest.snapshot_id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".part")
        with scratch.open("w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(manifest), indent=1, ensure_ascii=False))
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)

    def has_bodies(self, manifest: Manifest) -> bool:
        """Whether every stored body of a snapshot is there."""
        return all(self.blob_path(part.sha256).exists() for part in manifest.parts)

    def unchanged(self, source: str, partition: str | None, current: Manifest) -> Manifest:
        """Record that the server has nothing new."""
        self._note(source, partition, Attempt(_now(), "unchanged", current.snapshot_id))
        return current

    def commit(
        self,
        draft: Draft,
        source: str,
        partition: str | None,
        *,
        url: str,
        rows: int,
        rows_at_server: int | None,
        licence: str,
        disclaimer: str,
        allowed_shrink: float,
        columns: list[str] | None = None,
    ) -> tuple[Manifest, bool]:
        """Make a draft the current snapshot; returns it and whether it is new. Raises Shrunk.

        `columns` are those that the source sent, by its own names.
        """
        current = before = self.current(source, partition)
        if current and current.is_dropped and DROPPED not in draft.parameters:
            before = (
                self.of_server(source, partition) or current
            )  # for a server, "new" is what it had not sent before the file was left in its place
        if before and rows < before.rows * (1 - allowed_shrink):
            raise Shrunk(source, before.rows, rows, before.fetched_at[:10], allowed_shrink)
        if current and before and before.snapshot_id == draft.snapshot_id:
            if [p.sha256 for p in before.parts] != [p.sha256 for p in draft.parts]:
                if self.has_bodies(before):
                    draft.discard()  # the same content in other bodies: the first ones are kept
                else:  # the first ones are damaged: the manifest records the new ones
                    self._write_manifest(replace(before, parts=list(draft.parts)))
            draft.keep()
            return self.unchanged(source, partition, current), False
        now = _now()
        manifest = Manifest(
            draft.snapshot_id,
            source,
            partition,
            url,
            draft.parameters,
            now,
            rows,
            rows_at_server,
            draft.etag,
            draft.last_modified,
            licence,
            disclaimer,
            draft.is_sandbox,
            draft.parts,
            draft.tls_verified,
            columns,
        )
        if not self.has_manifest(source, partition, manifest.snapshot_id):
            self._write_manifest(manifest)  # else the source returned to an earlier state: its manifest is kept
        draft.keep()
        self._note(source, partition, Attempt(now, "new", manifest.snapshot_id))
        return manifest, True

    def failed(self, source: str, partition: str | None, error: SourceError) -> None:
        """Record a failure; the last good snapshot stays current."""
        self._note(source, partition, Attempt(_now(), "failed", None, type(error).__name__, str(error)))

    def withdraw(self, source: str, partition: str | None, reason: str, snapshot_id: str | None = None) -> None:
        """Withdraw one snapshot, or all snapshots of a partition. Bytes and manifests are kept."""
        self._note(source, partition, Attempt(_now(), "withdrawn", snapshot_id, None, reason))

    def _note(self, source: str, partition: str | None, attempt: Attempt) -> None:
        append_entry(self._home(source, partition) / "ledger.jsonl", asdict(attempt))

    def mark_corrupt(
        self, source: str, partition: str | None, manifest: Manifest, error: CorruptSnapshot
    ) -> Manifest | None:
        """Mark a snapshot with damaged bytes as corrupt and remove those bodies: the next fetch stores them again.

        Returns the snapshot that is current now.
        """
        for part in manifest.parts:
            try:
                self.read(part)
            except CorruptSnapshot:
                self.blob_path(part.sha256).unlink(missing_ok=True)
        self._note(
            source, partition, Attempt(_now(), "corrupt", manifest.snapshot_id, type(error).__name__, str(error))
        )
        return self.current(source, partition)

    def remove_damaged(self) -> list[CorruptSnapshot]:
        """Check every blob and remove the damaged ones: the next fetch asks without condition and stores them again."""
        found = list(self.verify())
        for error in found:
            self.blob_path(error.sha256).unlink(missing_ok=True)
        return found

    def verify(self) -> Iterator[CorruptSnapshot]:
        """Check every blob against its name."""
        for path in sorted((self.folder / "blobs").glob("*/*.zst")):
            part = Part("blob", path.stem, 0)
            try:
                self.read(part)
            except CorruptSnapshot as error:
                yield error


def refuse_unsafe(source: str, name: str) -> str:
    """The name of a part, which becomes the name of a folder. Raises UnsafeName for one that leads elsewhere."""
    if not re.fullmatch(r"(?!\.)[\w .,()+-]{1,120}", name) or ".." in name:
        raise UnsafeName(source, name)
    return name


def _attempt(entry: dict[str, Any], path: Path) -> Attempt | None:
    """An entry of a ledger; None for one that is no attempt, with a warning in the log."""
    try:
        return Attempt(**entry)
    except TypeError:
        logger.warning("a line in %s is no attempt, and passed over: %r", path, str(entry)[:80])
        return None


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
