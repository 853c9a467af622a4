"""What contract tests share: servers over the small world, a client that does not wait long, a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.http import Http
from resources.snapshots import Draft, SnapshotStore
from sandbox.servers.app import SandboxServers
from sandbox.world import World


@pytest.fixture
def servers(world: World) -> Iterator[SandboxServers]:
    with SandboxServers(world) as running:
        yield running


@pytest.fixture
def http(servers: SandboxServers) -> Http:
    return Http(hosts=servers.base_urls, connect_timeout=2, read_timeout=3, attempts=3, first_pause=0.01)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path)


@pytest.fixture
def draft(store: SnapshotStore) -> Draft:
    return store.draft()
