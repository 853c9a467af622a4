"""What can go wrong with a source or a release, as classes with fields and the remedy in the message.

Belongs here: errors, each either transient (a retry can fix it) or final. Does not: deciding what to do about them.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def first_line(error: object) -> str:
    """The first line of an error's message, of an exception or of what Dagster keeps of one; its class where it says nothing."""
    lines = str(getattr(error, "message", error)).strip().splitlines()
    return lines[0] if lines else str(getattr(error, "cls_name", None) or type(error).__name__)


class RestorationError(Exception):
    """Root of this project's own errors."""


class SourceError(RestorationError):
    """A source did not deliver what it should. `source` is `institution.layer`."""

    transient = False

    def __init__(self, source: str, message: str) -> None:
        self.source = source
        super().__init__(f"{source}: {message}")


class TransientSourceError(SourceError):
    """A retry may fix it: broken connection, time-out, 408, 429, 5xx, a truncated answer.

    `by_size` marks failures that a smaller request may avoid.
    """

    transient = True

    def __init__(self, source: str, message: str, retry_after: float | None = None, *, by_size: bool = False) -> None:
        self.retry_after, self.by_size = retry_after, by_size
        super().__init__(source, message)


class Refused(SourceError):
    """The server answered with a final HTTP status."""

    def __init__(self, source: str, url: str, status: int) -> None:
        self.url, self.status = url, status
        super().__init__(source, f"HTTP {status} from {url}; check the url in the source's register")


class CertificateProblem(SourceError):
    """TLS could not be verified."""

    def __init__(self, source: str, url: str, reason: str) -> None:
        self.url = url
        super().__init__(
            source,
            f"the certificate of {url} cannot be verified ({reason}). TLS stays verified: add the missing authority as "
            "`ca_file` of the host in the register, or, knowingly, name the host in RESTAURACION_INSECURE_HOSTS",
        )


class ServiceFault(SourceError):
    """An error object inside an HTTP 200, as ArcGIS sends them."""

    def __init__(self, source: str, code: int, message: str, details: str = "") -> None:
        self.code = code
        super().__init__(source, f"the service answered error {code}: {message} {details}".rstrip())


class TokenRequired(ServiceFault):
    """ArcGIS 498/499: the layer asks for credentials."""

    def __init__(self, source: str, code: int, message: str) -> None:
        institution = source.partition(".")[0].upper()
        super().__init__(
            source,
            code,
            message,
            f"; the layer is restricted: ask the institution for a token and set RESTAURACION_TOKEN_{institution}",
        )


class TooHeavy(SourceError):
    """A body larger than what one answer may be; smaller pages may pass."""

    def __init__(self, source: str, url: str, limit: int) -> None:
        self.url, self.limit = url, limit
        super().__init__(source, f"an answer of {url} exceeds {limit >> 20} MiB")


class UnexpectedFormat(SourceError):
    """The body is not what was requested, for instance an HTML login page."""

    def __init__(self, source: str, expected: str, got: str) -> None:
        self.expected, self.got = expected, got
        super().__init__(source, f"expected {expected}, got {got}")


class UnreadableAnswer(SourceError):
    """The answer has an unexpected structure; only this source is affected."""

    def __init__(self, source: str, cause: Exception) -> None:
        self.cause = cause
        super().__init__(source, f"the answer cannot be read ({type(cause).__name__}: {cause}); see the log for where")


class LayerNotFound(SourceError):
    """No layer has the name given in the register."""

    def __init__(self, source: str, pattern: str, available: list[str]) -> None:
        self.pattern, self.available = pattern, available
        super().__init__(
            source,
            f"no layer matches {pattern!r}; the service has {available}. "
            "If the institution renamed it, mend `layer` in the register",
        )


class LayerAmbiguous(SourceError):
    """More than one layer has the name given in the register."""

    def __init__(self, source: str, pattern: str, matches: list[str]) -> None:
        self.pattern, self.matches = pattern, matches
        super().__init__(
            source, f"{len(matches)} layers match {pattern!r}: {matches}; make `layer` in the register narrower"
        )


class EmptyAnswer(SourceError):
    """No rows at all: never accepted as the current state."""

    def __init__(self, source: str) -> None:
        super().__init__(source, "the answer holds no rows; an empty answer never replaces a good snapshot")


class EmptyPage(TransientSourceError):
    """No features although the server counts some: seen for minutes on servers that restart."""

    def __init__(self, source: str, expected: int | None) -> None:
        super().__init__(source, f"a page without features where the server counts {expected}")


class ShortAnswer(SourceError):
    """Fewer or more rows than the server itself counts."""

    def __init__(self, source: str, expected: int, got: int) -> None:
        self.expected, self.got = expected, got
        super().__init__(source, f"the server counts {expected} rows but sent {got}; the answer is not whole")


class LayerChanged(SourceError):
    """The count moved while pages were read."""

    def __init__(self, source: str, before: int, after: int) -> None:
        self.before, self.after = before, after
        super().__init__(source, f"the layer changed while it was read ({before} rows, then {after})")


class DuplicateObjectIds(SourceError):
    """One object id on several rows: a page was sent twice or the layer is broken."""

    def __init__(self, source: str, count: int, sample: list[int]) -> None:
        self.count, self.sample = count, sample
        super().__init__(
            source, f"{count} object ids occur more than once, for example {sample}; rows would be counted twice"
        )


class Shrunk(SourceError):
    """Far fewer rows than the last good snapshot."""

    def __init__(self, source: str, expected: int, got: int, since: str, allowed_shrink: float) -> None:
        self.expected, self.got, self.since = expected, got, since
        lost = 100 * (1 - got / expected)
        super().__init__(
            source,
            f"lost {lost:.0f} % since {since} ({expected} rows, now {got}; allowed {allowed_shrink:.0%}). "
            f"If this is real, raise allowed_shrink in {source.partition('.')[0]}.yml",
        )


class ColumnsMissing(SourceError):
    """Columns the staging model needs are gone. `likely` names, for a missing one, what it may be called now.

    `wanted` are all columns that are needed: one of these is no new name of another.
    """

    def __init__(self, source: str, missing: list[str], got: list[str], wanted: Sequence[str] = ()) -> None:
        self.missing, self.got = missing, got
        free = {g.casefold(): g for g in got if g not in wanted and not g.startswith("_")}
        close = {m: difflib.get_close_matches(m.casefold(), free, n=1, cutoff=0.6) for m in missing}
        self.likely = {m: free[found[0]] for m, found in close.items() if found}
        said = "".join(
            f"; {m} may be {name!r} now: correct `fields` in the register" for m, name in self.likely.items()
        )
        super().__init__(source, f"columns {missing} are missing{said}; the source sends {got}")


class WrongReference(SourceError):
    """Coordinates in a reference that was not requested."""

    def __init__(self, source: str, expected: int, got: object) -> None:
        self.expected, self.got = expected, got
        super().__init__(source, f"asked for EPSG:{expected}, the server says {got}; coordinates are not trusted")


class OutsidePeru(SourceError):
    """Most geometries lie elsewhere: a wrong reference or swapped axes, not a few bad rows."""

    def __init__(self, source: str, outside: int, rows: int, bounds: tuple[float, ...]) -> None:
        self.outside, self.rows, self.bounds = outside, rows, bounds
        super().__init__(
            source,
            f"{outside} of {rows} geometries lie outside Peru (bounds {[round(b, 2) for b in bounds]}); the reference is "
            "not the one declared or the axes are swapped, and no coordinate of this answer is trusted",
        )


class WrongPartition(SourceError):
    """A file of one fiscal year that holds another's rows."""

    def __init__(self, source: str, partition: str, column: str, got: list[str]) -> None:
        self.partition, self.got = partition, got
        super().__init__(
            source,
            f"the file of {partition} has {column} {got}: it is (a copy of) another year's; the last good one is kept",
        )


class SameAsAnother(SourceError):
    """A file of one fiscal year with the very bytes of another year's."""

    def __init__(self, source: str, partition: str, other: str) -> None:
        self.partition, self.other = partition, other
        super().__init__(source, f"the file of {partition} is byte for byte the file of {other}; it is not taken")


class UnplacedFile(SourceError):
    """A file left in place of a server, of a year or part that cannot be determined."""

    def __init__(self, source: str, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        super().__init__(
            source,
            f"nothing tells the {kind} that the file {name} is for, and it is not read: put it into a folder of its {kind}, "
            f"inbox/fuentes/{source}/<{kind}>/{name}",
        )


class UnsafeArchive(SourceError):
    """An archive that would write outside its folder or exceed the size limits."""

    def __init__(self, source: str, name: str, reason: str) -> None:
        self.name = name
        super().__init__(source, f"{name} is not opened: {reason}")


class UnsafeXml(SourceError):
    """XML with entities or external references, which data never needs."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, f"the XML is not parsed: {reason}; entities and external references are refused")


class BrokenFile(SourceError):
    """A file that is truncated or inconsistent."""

    def __init__(self, source: str, name: str, reason: str) -> None:
        self.name = name
        super().__init__(source, f"{name} cannot be read whole: {reason}")


class CorruptSnapshot(RestorationError):
    """A stored body is not what its checksum says, or a manifest cannot be read."""

    def __init__(self, sha256: str, path: str) -> None:
        self.sha256, self.path = sha256, path
        super().__init__(f"stored bytes at {path} are not what was stored as {sha256}; delete the file and fetch again")


class CorruptWarehouse(RestorationError):
    """The published file is not what was published, and no release that is left is either."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} is damaged ({reason}) and no release beside it is intact; put back a backup (docs/runbook.md) "
            "before the next run, since identifiers and history live in it"
        )


class AnotherRun(RestorationError):
    """Another run writes in this data folder."""

    def __init__(self, folder: str, holder: str, waited: float) -> None:
        self.folder, self.holder = folder, holder
        super().__init__(
            f"another run ({holder}) writes in {folder}; this one waited {waited:.0f} s and steps aside. Nothing is wrong: run again later, or "
            "raise RESTAURACION_LOCK_WAIT_SECONDS"
        )


class NoSpace(RestorationError):
    """Too little disk to begin."""

    def __init__(self, folder: str, free: int, needed: int) -> None:
        self.free, self.needed = free, needed
        super().__init__(
            f"{free / 1e6:,.0f} MB are free at {folder} and a run needs {needed / 1e6:,.0f}: nothing was begun. Free some "
            "(`python -m pipelines.operations.housekeeping` says what may go), or lower RESTAURACION_MIN_FREE_MB"
        )


class NotWritable(RestorationError):
    """The data folder cannot be written."""

    def __init__(self, folder: str, cause: OSError) -> None:
        super().__init__(
            f"{folder} cannot be written ({cause.strerror}): nothing was begun; check owner, rights and mount"
        )


class UnsafeName(SourceError):
    """A name from outside that would lead out of its folder."""

    def __init__(self, source: str, name: str) -> None:
        self.name = name
        super().__init__(
            source,
            f"{name!r} cannot be the name of a part: letters, digits, spaces and .,()_- are; nothing is stored under it",
        )


class RedirectRefused(SourceError):
    """A server redirects to a host that no register names."""

    def __init__(self, source: str, url: str, target: str) -> None:
        self.target = target
        super().__init__(
            source,
            f"{url} leads to {target}, a host that no register names; if that is meant, add it under `hosts:` of the register",
        )


class NoSnapshot(SourceError):
    """The source was never read successfully."""

    def __init__(self, source: str) -> None:
        super().__init__(source, "no good snapshot yet; what depends on it cannot be built")


class PublishRefused(RestorationError):
    """The build may not replace the published file."""


class MixedOrigin(RestorationError):
    """A live run on a data folder of the sandbox, or the other way round."""

    def __init__(self, folder: str, holds: str, run: str) -> None:
        self.folder, self.holds, self.run = folder, holds, run
        super().__init__(
            f"{folder} holds {holds} data and this run is {run}: figures would mix. Set RESTAURACION_DATA_DIR to another folder"
        )
