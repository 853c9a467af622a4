"""Files in folders that other people can write in, such as the inbox: no link is followed, and nobody reads half a file.

Belongs here: opening and replacing one file. Does not: which files (inbox.py).
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

from resources.errors import BrokenFile

LARGEST_SUBMISSION = 512 << 20  # bytes


def open_file(source: str, path: Path, largest: int) -> BufferedReader:
    """Open a file. Raises BrokenFile for one that is gone, may not be read, is a link, is no file, or is too large."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BrokenFile(source, path.name, f"{error.strerror}; see that it lies there and may be read") from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > largest:
        os.close(handle)
        reason = f"it has more than {largest >> 20} MiB" if stat.S_ISREG(found.st_mode) else "it is no file"
        raise BrokenFile(source, path.name, reason)
    return os.fdopen(handle, "rb")


def replace_file(path: Path, content: bytes) -> None:
    """Replace whatever has the file's name, a link too. Raises OSError where the folder cannot be written."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    scratch = f".{secrets.token_hex(8)}.part"
    try:
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
        try:
            os.fchmod(handle, 0o644)  # the rights of the folder say who reads it
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(scratch, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(scratch, dir_fd=folder)
            raise
    finally:
        os.close(folder)


def remove_file(path: Path) -> None:
    """Remove a file or link, if it is there; never a link's target, and nothing where the folder cannot be written."""
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.unlink(path.name, dir_fd=folder)
        finally:
            os.close(folder)
