"""The warehouse as a Dagster resource: the published file to read, and the one build of a run.

Belongs here: the life of connection and session within a run. Does not: the files (warehouse.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import duckdb
from dagster import InitResourceContext
from dagster_duckdb import DuckDBResource
from pydantic import Field, PrivateAttr

from resources.warehouse import WarehouseFiles


class Closable(Protocol):
    """What a run closes at its end."""

    def close(self) -> None:
        """Release the build file."""


Session = TypeVar("Session", bound=Closable)


class WarehouseResource(DuckDBResource):
    """Readers get the published file, read-only; a run gets one build session, closed at its end whatever happens.

    The stock resource opens read-write and leaves its connection open after an exception.
    """

    data_dir: str = Field(description="Folder of snapshots, lake and warehouse")
    _session: Any = PrivateAttr(default=None)

    @property
    def files(self) -> WarehouseFiles:
        """The files of the warehouse."""
        return WarehouseFiles(Path(self.data_dir) / "warehouse")

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection to the published file."""
        con = duckdb.connect(self.database, read_only=True)
        try:
            yield con
        finally:
            con.close()

    def session(self, make: Callable[[], Session]) -> Session:
        """This run's build session, created at its first use."""
        if self._session is None:
            self._session = make()
        return self._session  # type: ignore[no-any-return]

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[WarehouseResource]:  # noqa: ARG002
        """Close the run's session at the end of the run."""
        try:
            yield self
        finally:
            if self._session is not None:
                self._session.close()
                self._session = None
