"""The data folder as a Dagster resource: sessions, snapshots and lake, and whether this is the sandbox.

Belongs here: putting the tools of a run together from its configuration. Does not: the tools.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dagster import ConfigurableResource, InitResourceContext, MetadataValue
from pydantic import Field, PrivateAttr

from resources.errors import MixedOrigin, NoSpace
from resources.http import HostPolicy, Http
from resources.inbox import Inbox
from resources.lake import Lake
from resources.run_lock import RunLock, refuse_without_room
from resources.secrets import secret
from resources.snapshots import SnapshotStore
from resources.warehouse import WarehouseFiles

_PRIVATE = ("snapshots", "lake")  # unchanged source data, personal data included: not readable by the group either


def keep_private() -> None:
    """What this process makes from now on is for the service's user and group alone, whatever started it."""
    os.umask(0o027)


class DataFolder(ConfigurableResource):  # type: ignore[type-arg]
    """Where a run keeps what it reads, and how it reaches institutions."""

    data_dir: str = Field(description="Folder of snapshots, lake and warehouse")
    hosts_file: str | None = Field(None, description="Map of hosts to a running sandbox; none for the real servers")
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 120.0
    attempts: int = Field(4, description="Attempts for a request that a retry can fix")
    policies: dict[str, dict[str, Any]] = Field(default_factory=dict, description="How each host wants to be treated")
    token_variables: dict[str, str] = Field(
        default_factory=dict, description="Host -> environment variable of its token; the token itself stays there"
    )
    quality_url: str = Field(
        "", description="Where the folder quality/ is served; empty where it is opened from the disk"
    )
    lock_wait_seconds: float = Field(900.0, description="Patience for another run that writes in the same folder")
    min_free_mb: float = Field(500.0, description="A run does not begin with less free disk; 0 begins anyway")
    _lock: RunLock | None = PrivateAttr(default=None)
    insecure_hosts: list[str] = Field(default_factory=list, description="Hosts whose certificate is NOT verified")

    @property
    def origin(self) -> str:
        """`sandbox` or `live`."""
        return "sandbox" if self.hosts_file else "live"

    def claim(self, holder: str = "a run") -> None:
        """Take the folder for this run alone, to the run's end, and mark it with its origin.

        Raises AnotherRun, NotWritable, NoSpace, or MixedOrigin where it holds the other's data.
        """
        keep_private()
        folder = Path(self.data_dir)
        if self._lock is None:
            self._lock = RunLock(folder)
        if not self._lock.is_held:
            self._lock.acquire(self.lock_wait_seconds, holder)
            try:
                refuse_without_room(folder, WarehouseFiles(folder / "warehouse").published, int(self.min_free_mb * 1e6))
            except NoSpace:
                self._lock.release()
                raise
        for name in _PRIVATE:
            (folder / name).mkdir(exist_ok=True)
            with suppress(OSError):  # somebody else's folder
                (folder / name).chmod(0o700)
        mark = folder / "ORIGIN"
        if not mark.exists():
            mark.write_text(self.origin + "\n")
        elif (holds := mark.read_text().strip()) != self.origin:
            raise MixedOrigin(self.data_dir, holds, self.origin)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[DataFolder]:  # noqa: ARG002
        """Release the folder at the end of the run."""
        try:
            yield self
        finally:
            if self._lock is not None:
                self._lock.release()

    def http(self) -> Http:
        """Requests that go to the sandbox or to the real servers."""
        policies = {
            host: HostPolicy(
                connections=int(p["connections"]),
                pause_seconds=0 if self.hosts_file else float(p["pause_seconds"]),  # the sandbox needs no rest
                answer_seconds=float(p["answer_seconds"]),
                answer_bytes=int(p["answer_mib"] * 2**20),
                file_seconds=float(p["file_seconds"]),
                file_bytes=int(p["file_mib"] * 2**20),
                headers=p["headers"],
                ca_file=Path(p["ca_file"]) if p["ca_file"] else None,
            )
            for host, p in self.policies.items()
        }
        tokens = {host: token for host, name in self.token_variables.items() if (token := secret(name))}
        return Http.with_hosts_file(
            Path(self.hosts_file) if self.hosts_file else None,
            connect_timeout=self.connect_timeout_seconds,
            read_timeout=self.read_timeout_seconds,
            attempts=self.attempts,
            policies=policies,
            tokens=tokens,
            insecure_hosts=frozenset(self.insecure_hosts),
        )

    def quality_page(self, page: str) -> MetadataValue:
        """A page of the newest quality site, as a link that the UI can follow or a path to open."""
        if self.quality_url:
            return MetadataValue.url(f"{self.quality_url.rstrip('/')}/latest/{page}")
        return MetadataValue.path(str(Path(self.data_dir) / "quality" / "latest" / page))

    def snapshots(self) -> SnapshotStore:
        """Stored bodies and ledgers."""
        return SnapshotStore(Path(self.data_dir) / "snapshots")

    def inbox(self) -> Inbox:
        """Where people leave files."""
        return Inbox(Path(self.data_dir) / "inbox")

    def lake(self) -> Lake:
        """Raw Parquet."""
        return Lake(Path(self.data_dir) / "lake")
