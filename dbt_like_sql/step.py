"""The interface of code that builds a model.

Belongs here: the base class of steps. Does not: the steps themselves, or building a table (runner.py).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import duckdb


class Step(ABC):
    """Builds one model: gives a SELECT over what it put on the connection."""

    @property
    def code(self) -> Sequence[Path]:
        """The files that determine its result: the module of the step unless it names more."""
        return [Path(inspect.getfile(type(self)))]

    @property
    def code_version(self) -> str:
        """Changes with any of these files, and differs between steps of the same files."""
        content = b"".join(path.read_bytes() for path in self.code)
        return hashlib.sha256(type(self).__name__.encode() + content).hexdigest()[:16]

    @property
    def about(self) -> dict[str, str]:
        """What an engineer should see of it in the UI, as Markdown by name."""
        return {}

    def problems(self) -> list[str]:
        """Input from people that it could not use, and why."""
        return []

    def fingerprint(self, con: duckdb.DuckDBPyConnection, as_of: dt.date) -> str:  # noqa: ARG002
        """Changes when anything but the tables it reads changes its result."""
        return self.code_version

    @abstractmethod
    def make(self, con: duckdb.DuckDBPyConnection, as_of: dt.date, query: str) -> str:
        """The SELECT that the model's table is built from; `query` is the SQL beside its .yml, if there is any."""
