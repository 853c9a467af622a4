"""The data folder as a Dagster resource: sessions, snapshots and lake, and whether this is the sandbox.

Belongs here: putting the tools of a run together from its configuration. Does not: the tools.
"""

from __future__ import annotations

from pathlib import Path

from dagster import ConfigurableResource
from pydantic import Field

from resources.errors import MixedOrigin
from resources.http import Http
from resources.lake import Lake
from resources.snapshots import SnapshotStore


class DataFolder(ConfigurableResource):  # type: ignore[type-arg]
    """Where a run keeps what it reads, and how it reaches institutions."""

    data_dir: str = Field(description="Folder of snapshots, lake and warehouse")
    hosts_file: str | None = Field(None, description="Map of hosts to a running sandbox; none for the real servers")
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 120.0
    attempts: int = Field(4, description="Tries of a request that another try can mend")

    @property
    def origin(self) -> str:
        """`sandbox` or `live`."""
        return "sandbox" if self.hosts_file else "live"

    def claim(self) -> None:
        """Mark the folder with this run's origin. Raises MixedOrigin where it holds the other's data."""
        folder = Path(self.data_dir)
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / "ORIGIN"
        if not mark.exists():
            mark.write_text(self.origin + "\n")
        elif (holds := mark.read_text().strip()) != self.origin:
            raise MixedOrigin(self.data_dir, holds, self.origin)

    def http(self) -> Http:
        """Requests that go to the sandbox or to the real servers."""
        return Http.with_hosts_file(
            Path(self.hosts_file) if self.hosts_file else None, connect_timeout=self.connect_timeout_seconds,
            read_timeout=self.read_timeout_seconds, attempts=self.attempts,
        )  # fmt: skip

    def snapshots(self) -> SnapshotStore:
        """Stored bodies and ledgers."""
        return SnapshotStore(Path(self.data_dir) / "snapshots")

    def lake(self) -> Lake:
        """Raw Parquet."""
        return Lake(Path(self.data_dir) / "lake")
