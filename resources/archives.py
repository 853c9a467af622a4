"""Members of zip and rar archives, taken out without trusting them.

Belongs here: what may be unpacked, how much and where to. Does not: reading what was unpacked (vectors.py).
"""

from __future__ import annotations

import errno
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

from resources.errors import BrokenFile, UnsafeArchive

LARGEST_MEMBERS = 1 << 32  # bytes of all members together
MOST_MEMBERS = 10_000
LARGEST_RATIO = 200  # shapefiles compress to a tenth; a bomb to a thousandth
_SMALL = 16 << 20  # below this a high ratio is harmless
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Member:
    """One entry as its archive describes it; `open` gives its bytes."""

    name: str
    size: int
    mode: int
    is_folder: bool
    open: Any


def unpack(source: str, archive: Path, name: str, folder: Path) -> list[Path]:
    """Write the members of a zip or rar below `folder`; returns the files. `name` is what errors call the archive.

    Raises UnsafeArchive for a member outside the folder, a link, too many members or too many bytes, and BrokenFile
    for an archive that cannot be read completely. Whatever was written must then be ignored.
    """
    taken: list[Path] = []
    written = 0
    limit = min(LARGEST_MEMBERS, max(_SMALL, LARGEST_RATIO * archive.stat().st_size))
    too_large = UnsafeArchive(
        source, name, f"its members exceed {limit >> 20} MiB, {LARGEST_RATIO} times its own size (a bomb?)"
    )
    try:
        members = list(_members(archive))
        if len(members) > MOST_MEMBERS:
            raise UnsafeArchive(source, name, f"it holds more than {MOST_MEMBERS} files")
        if sum(m.size for m in members) > limit:
            raise too_large
        for member in members:
            target = _inside(source, name, folder, member.name, member.mode)
            if member.is_folder:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as body, target.open("wb") as out:
                while chunk := body.read(_CHUNK):  # the bytes are counted; the header is not trusted
                    written += len(chunk)
                    if written > limit:
                        raise too_large
                    out.write(chunk)
            taken.append(target)
    except _damaged() as error:
        raise BrokenFile(source, name, str(error)) from error
    except OSError as error:
        if error.errno not in {
            errno.EINVAL,
            errno.ENAMETOOLONG,
            errno.ENOTDIR,
            errno.EISDIR,
            errno.EEXIST,
            errno.EILSEQ,
        }:
            raise  # the disk's trouble, not the file's
        raise BrokenFile(source, name, f"its directory leads nowhere ({error.strerror})") from error
    if not taken:
        raise BrokenFile(source, name, "the archive holds no file")
    return taken


def save(stream: BinaryIO, path: Path) -> Path:
    """Write a stream to a file."""
    with path.open("wb") as out:
        shutil.copyfileobj(stream, out, _CHUNK)
    return path


def _members(archive: Path) -> Iterator[_Member]:
    with archive.open("rb") as handle:
        is_rar = handle.read(4) == b"Rar!"
    if is_rar:
        from unrar.cffi import rarfile  # loads a library of its own

        opened = rarfile.RarFile(str(archive))
        for entry in opened.infolist():
            yield _Member(entry.filename, entry.file_size, 0, bool(entry.is_dir()), lambda e=entry: opened.open(e))
        return
    opened = zipfile.ZipFile(archive)
    for info in opened.infolist():
        yield _Member(
            info.filename, info.file_size, info.external_attr >> 16, info.is_dir(), lambda i=info: opened.open(i)
        )


def _damaged() -> tuple[type[Exception], ...]:
    """What the two libraries raise for an archive that does not hold together or is encrypted."""
    from unrar.cffi import rarfile

    return (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, rarfile.BadRarFile)


def _inside(source: str, name: str, folder: Path, member: str, mode: int) -> Path:
    """Where a member may go. Raises UnsafeArchive."""
    if stat.S_ISLNK(mode):
        raise UnsafeArchive(source, name, f"its member {member!r} is a link")
    path = PurePosixPath(member.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(member).drive or "\0" in member:
        raise UnsafeArchive(source, name, f"its member {member!r} lies outside the archive's folder")
    target = folder.joinpath(*path.parts)
    if not target.resolve().is_relative_to(folder.resolve()):
        raise UnsafeArchive(source, name, f"its member {member!r} lies outside the archive's folder")
    return target
