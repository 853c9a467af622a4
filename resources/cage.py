"""An isolated process ("cage") for files from outside: no network, no secrets, no access to this machine's files.

Belongs here: starting that process, handing it a file and taking its rows or its error. Does not: what happens inside (caged.py),
how a format is read (vectors.py, tables.py).

Where bubblewrap is installed the process sees Python and this folder, and nothing else; elsewhere it runs without a network where the
kernel lets it. Environment, memory, time, open files and output are limited everywhere. `make doctor` says which it is.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from resources import errors
from resources.errors import BrokenFile, CorruptSnapshot, SourceError

logger = logging.getLogger(__name__)

HERE = Path(__file__).parent
# pyogrio and pyarrow load pandas where it is installed: a third of the start, and memory that each fork copies
_PROGRAM = (
    "import sys; sys.modules['pandas'] = sys.modules['geopandas'] = None; from resources.caged import main; main()"
)
_INSIDE = "/scratch"  # where the process inside bubblewrap may write
_GRACE_SECONDS = 15  # between the end of a file's time and the answer that says so
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",  # a process is forked for each file
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",
    "GML_DOWNLOAD_SCHEMA": "NO",
    "GML_SKIP_RESOLVE_ELEMS": "ALL",
}


@dataclass(frozen=True)
class Limits:
    """What reading one file may take: seconds, bytes of memory, bytes of a file that is written."""

    seconds: int
    memory: int
    written: int


SUBMISSION = Limits(60, 2 << 30, 1 << 30)  # what a person sends
DOWNLOAD = Limits(900, 6 << 30, 4 << 30)  # layers that cover the country


class Cage:
    """One process inside; it is started for the first file and ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: socket.socket | None = None
        self._scratch = ""
        self.started_by: list[str] = []  # bubblewrap, unshare, or nothing
        self._owner = 0

    def read(
        self, reader: str, source: str, body: Path | bytes, name: str, limits: Limits, *options: object
    ) -> pl.DataFrame:
        """Rows of a file: `body` is a zstd-compressed file of the snapshot store, or bytes. `reader` is `table` or `vectors`.

        Raises what the reader raises, and BrokenFile for a file that takes more than its limits or ends the reader.
        """
        request = {
            "reader": reader,
            "source": source,
            "name": name,
            "options": options,
            "is_compressed": isinstance(body, Path),
            "seconds": limits.seconds,
            "memory": limits.memory,
            "written": limits.written,
        }
        here, there = socket.socketpair()
        with here, os.fdopen(_opened(body), "rb") as given, os.fdopen(os.memfd_create("rows"), "r+b") as rows:
            with there:
                self._ask(json.dumps(request).encode(), [given.fileno(), rows.fileno(), there.fileno()])
            reported = _answer(here, limits.seconds + _GRACE_SECONDS)
            if reported is None:  # killed from outside; the next file starts it again
                raise BrokenFile(source, name, "the process that reads files ended")
            if reported.get("error") == CorruptSnapshot.__name__ and isinstance(body, Path):
                raise CorruptSnapshot(body.stem, str(body))
            if "error" in reported:
                raise _error(source, reported)
            rows.seek(0)
            try:
                return pl.read_ipc(rows)
            except (pl.exceptions.PolarsError, OSError) as error:  # the reader's output is not trusted either
                raise BrokenFile(source, name, f"its rows cannot be taken over: {error}") from error

    def _ask(self, message: bytes, handles: list[int]) -> None:
        with self._lock:
            if self._owner != os.getpid() or self._process is None or self._process.poll() is not None:
                self._start()
            assert self._asked is not None
            socket.send_fds(self._asked, [message], handles)

    def _start(self) -> None:
        """Inside bubblewrap where it is installed and may be used, else without a network where the kernel lets it, else with limits alone."""
        if self._owner == os.getpid():  # a fork of this process leaves its parent's alone
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch, self._owner = tempfile.mkdtemp(prefix="cage-"), os.getpid()
        for around in (*filter(None, (bubblewrap(self._scratch), _without_network())), list[str]()):
            here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            inner = _INSIDE if _INSIDE in around else self._scratch
            with there:
                self._process = subprocess.Popen(  # noqa: S603 (our own interpreter)
                    [*around, sys.executable, "-c", _PROGRAM],
                    stdin=there.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=HERE.parent,
                    env=_ENVIRONMENT | {"TMPDIR": inner},
                    start_new_session=True,
                )
            here.settimeout(60)
            if here.recv(16) == b"ready":
                here.settimeout(None)
                self._asked, self.started_by = here, around[:1]
                atexit.register(self.close)
                return
            here.close()
            self._process.wait()
            if around:
                logger.warning("%s does not run here: files from outside are read with less around them", around[0])
        raise RuntimeError("the process that reads files from outside does not start")

    def close(self) -> None:
        """End the process."""
        if self._owner != os.getpid():
            return
        with self._lock:
            if self._asked is not None:
                self._asked.close()
                self._asked = None
            if self._process is not None:
                self._process.kill()
                self._process.wait()
                self._process = None
            shutil.rmtree(self._scratch, ignore_errors=True)


def bubblewrap(scratch: str) -> list[str]:
    """The command that shows a process Python, the folder of the readers and a scratch folder, read-only but for that; none without it."""
    program = shutil.which("bwrap")
    if program is None:
        return []
    command = [program, "--unshare-all", "--new-session", "--proc", "/proc", "--dev", "/dev"]
    for place in map(Path, ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache")):
        if place.is_symlink():
            command += ["--symlink", str(place.readlink()), str(place)]
        elif place.exists():
            command += ["--ro-bind", str(place), str(place)]
    command += ["--bind", scratch, _INSIDE]
    for place in dict.fromkeys(Path(folder).resolve() for folder in (sys.base_prefix, sys.prefix, HERE)):
        if not place.is_relative_to("/usr"):
            command += ["--ro-bind", str(place), str(place)]
    return [*command, "--chdir", str(HERE.parent)]


def _without_network() -> list[str]:
    """The command that gives a process a network of its own with nothing in it; none without it."""
    program = shutil.which("unshare")
    return [program, "--user", "--net"] if program else []


def _opened(body: Path | bytes) -> int:
    """A descriptor to read from. Raises CorruptSnapshot where a stored body is gone."""
    if isinstance(body, Path):
        try:
            return os.open(body, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise CorruptSnapshot(body.stem, str(body)) from error
    handle = os.memfd_create("body")
    with os.fdopen(os.dup(handle), "wb") as out:
        out.write(body)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


def _answer(here: socket.socket, seconds: float) -> dict[str, Any] | None:
    """What the process says of a file; None where it says nothing."""
    here.settimeout(seconds)
    said = b""
    try:
        while chunk := here.recv(1 << 16):
            said += chunk
        return dict(json.loads(said))
    except (OSError, ValueError):
        return None


def _error(source: str, reported: dict[str, Any]) -> SourceError:
    """An error of the reader as it would have been raised here; its class by name, from this project's alone."""
    kind = getattr(errors, str(reported["error"]), None)
    if not (isinstance(kind, type) and issubclass(kind, SourceError)):
        kind = SourceError
    error = kind.__new__(kind)
    Exception.__init__(error, str(reported.get("message")))
    error.source = source
    return error


CAGE = Cage()
