"""One run at a time in a data folder, whoever started it: a schedule, a person, another machine's mount.

Belongs here: the lock, who holds it, and whether there is room to begin. Does not: Dagster's own queue (deploy/dagster.yaml).
"""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import logging
import os
import shutil
import socket
import time
from pathlib import Path
from typing import IO

from resources.errors import AnotherRun, NoSpace, NotWritable

logger = logging.getLogger(__name__)

LOCK = ".run.lock"
_LOOK_AGAIN_SECONDS = 0.5
_NO_RIGHT = {errno.EACCES, errno.EROFS, errno.EPERM}


class RunLock:
    """The lock of a data folder; the system releases it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: IO[str] | None = None

    @property
    def is_held(self) -> bool:
        """By this object."""
        return self._file is not None

    def acquire(self, wait_seconds: float, holder: str) -> None:
        """Take the lock, waiting for another run to end. Raises AnotherRun or NotWritable."""
        if self._file is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / LOCK).open("a+", encoding="utf-8")
        except OSError as error:
            if error.errno in _NO_RIGHT:
                raise NotWritable(str(self.folder), error) from None
            raise
        started, reported = time.monotonic(), False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                file.seek(0)
                other, waited = file.read().strip() or "unknown", time.monotonic() - started
                if waited >= wait_seconds:
                    file.close()
                    raise AnotherRun(str(self.folder), other, waited) from None
                if not reported:
                    logger.warning(
                        "another run (%s) writes in %s; waiting up to %.0f s", other, self.folder, wait_seconds
                    )
                    reported = True
                time.sleep(_LOOK_AGAIN_SECONDS)
        file.seek(0)
        file.truncate()
        file.write(
            f"{holder}, process {os.getpid()} on {socket.gethostname()} since {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC\n"
        )
        file.flush()
        self._file = file

    def release(self) -> None:
        """Release the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None


def refuse_without_room(folder: Path, published: Path, least: int) -> None:
    """Raise NoSpace where the build, the kept release and the exports would not fit; `least` in bytes."""
    size = published.stat().st_size if published.exists() else 0
    needed = max(least, 4 * size if least else 0)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoSpace(str(folder), free, needed)
