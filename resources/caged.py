"""The isolated process of cage.py: it reads files from outside and returns their rows as Arrow.

Belongs here: what runs inside: one process that forks for each file, so that a file costs no start of
Python, and the limits of each fork. Does not: starting it and asking (cage.py), how a format is read (vectors.py, tables.py).

Nothing is opened by a path of the machine outside: a file is received as a descriptor, and its rows are
returned through another.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

import polars as pl
import zstandard

from resources import tables, vectors
from resources.errors import BrokenFile, SourceError, first_line

READERS: dict[str, Callable[..., pl.DataFrame]] = {"table": tables.read_stream, "vectors": vectors.read_stream}
LARGEST_REQUEST = 1 << 16
_OPEN_FILES = 128


def main() -> None:
    """Serve the socket that is standard input until the other side closes it, or ends.

    Not `PR_SET_PDEATHSIG`: it would end this process with the thread that started it, while other threads wait for their files.
    """
    vectors.keep_drivers()
    vectors.warm_up()  # 60 ms a small file became 35 (2026-11-28)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for what watches a file
    asked = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    asked.send(b"ready")
    while True:
        message, handles, _, _ = socket.recv_fds(asked, LARGEST_REQUEST, 3)
        if not message:
            return
        if os.fork() == 0:
            asked.close()
            _watch(json.loads(message), *handles)
        for handle in handles:
            os.close(handle)


def _watch(request: dict[str, Any], body: int, rows: int, answer: int) -> None:
    """Let a process read one file, end it when its time is over, and say so where it ended without an answer."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    scratch = tempfile.mkdtemp()
    reader = os.fork()
    if reader == 0:
        os.setpgid(0, 0)
        _read(request, body, rows, answer, scratch)
    timed_out = []

    def end(*_: object) -> None:
        timed_out.append(True)
        os.kill(reader, signal.SIGKILL)

    signal.signal(signal.SIGALRM, end)
    signal.alarm(request["seconds"])
    _, status = os.waitpid(reader, 0)
    signal.alarm(0)
    with suppress(ProcessLookupError):
        os.killpg(reader, signal.SIGKILL)
    shutil.rmtree(scratch, ignore_errors=True)
    if status:
        name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {status >> 8}"
        reason = (
            f"reading it took more than {request['seconds']} s"
            if timed_out or name == "SIGXCPU"
            else f"reading it ended the reader ({name}): it is too large or damaged"
        )
        _say(
            answer,
            {"error": BrokenFile.__name__, "message": str(BrokenFile(request["source"], request["name"], reason))},
        )
    os._exit(0)


def _read(request: dict[str, Any], body: int, rows: int, answer: int, scratch: str) -> None:
    """Read one file within limits; the process ends here."""
    source, name = request["source"], request["name"]
    try:
        _limit(request)
        tempfile.tempdir = scratch
        os.chdir(scratch)
        frame = READERS[request["reader"]](
            source, _stream(body, is_compressed=request["is_compressed"]), name, *request["options"]
        )
        with os.fdopen(rows, "wb") as out:
            frame.write_ipc(out)
        _say(answer, {"rows": frame.height})
    except SourceError as error:
        _say(answer, {"error": type(error).__name__, "message": str(error)})
    except MemoryError:
        reason = f"reading it takes more than {request['memory'] >> 20} MiB"
        _say(answer, {"error": BrokenFile.__name__, "message": str(BrokenFile(source, name, reason))})
    except zstandard.ZstdError as error:
        _say(answer, {"error": "CorruptSnapshot", "message": str(error)})
    except BaseException as error:  # noqa: BLE001 (a panic of Polars is no Exception, and whatever a file does is its own trouble)
        _say(answer, {"error": BrokenFile.__name__, "message": str(BrokenFile(source, name, first_line(error)))})
    os._exit(0)


def _limit(request: dict[str, Any]) -> None:
    """Memory beyond what the process has by now, processor time, size of a file written, open files; no core is dumped."""
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    for kind, limit in (
        (resource.RLIMIT_AS, now + request["memory"]),
        (resource.RLIMIT_CPU, request["seconds"]),
        (resource.RLIMIT_FSIZE, request["written"]),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead, with a reason


def _stream(body: int, *, is_compressed: bool) -> BinaryIO:
    raw = os.fdopen(body, "rb")
    return zstandard.ZstdDecompressor().stream_reader(raw) if is_compressed else raw


def _say(answer: int, reported: dict[str, Any]) -> None:
    with suppress(OSError):
        os.write(answer, json.dumps(reported).encode()[:LARGEST_REQUEST])
