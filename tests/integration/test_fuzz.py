"""Random content in place of a register, contract, submission or answer: a named error, and current data are kept.

FUZZ=5000 for a long look (docs/reliability.md says what was run and found); a short one here.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from expectations.contracts import FOLDER as CONTRACTS
from expectations.contracts import PROTOCOL, ContractError, read_contract
from resources.http import Http
from resources.inbox import Inbox
from resources.lake import Lake
from resources.snapshots import SnapshotStore
from restoration.sources.extraction import Extraction
from restoration.sources.register import FOLDER as REGISTERS
from restoration.sources.register import RegisterError, all_layers, all_registers
from sandbox.servers.app import SandboxServers
from sandbox.world import World

EXAMPLES = int(os.environ.get("FUZZ", "12"))
FUZZED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES <= 50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
SEEDS = st.integers(0, 2**32)
ODD = [
    None,
    True,
    -1,
    10**30,
    1e308,
    "",
    "x" * 5000,
    "\x00",
    "../..",
    "'; --",
    [],
    {},
    [[]],
    {"a": {"b": []}},
    "2026-02-30",
    "NaN",
]


def disturbed(body: bytes, seed: int) -> bytes:
    """Some bytes of a body changed, cut, doubled or moved."""
    chance, out = random.Random(seed), bytearray(body)
    for _ in range(chance.randint(1, 6)):
        if not out:
            break
        at = chance.randrange(len(out))
        match chance.randrange(5):
            case 0:
                out[at] = chance.randrange(256)
            case 1:
                del out[at : at + chance.randint(1, max(1, len(out) // 3))]
            case 2:
                out[at:at] = out[at : at + chance.randint(1, 200)]
            case 3:
                out[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 20)))
            case 4:
                del out[at:]
    return bytes(out)


def bent(tree: object, chance: random.Random) -> object:
    """A tree of YAML or JSON with some values replaced, dropped or moved."""
    if isinstance(tree, dict):
        created = {k: bent(v, chance) for k, v in tree.items() if chance.random() > 0.02}
        if created and chance.random() < 0.05:
            created[chance.choice(list(created))] = chance.choice(ODD)
        return created
    if isinstance(tree, list):
        created_list = [bent(v, chance) for v in tree if chance.random() > 0.02]
        return created_list * 2 if chance.random() < 0.02 else created_list
    return chance.choice(ODD) if chance.random() < 0.01 else tree


@pytest.fixture(scope="module")
def there(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SandboxServers, Path, dict[str, str]]]:
    """Servers, and a data folder in which each kind of source was read once."""
    folder = tmp_path_factory.mktemp("fuzz")
    with SandboxServers(world) as servers:
        extraction = extraction_of(servers, folder)
        received = extraction.refresh_all([(layer, "2024" if layer.is_by_fiscal_year else None) for layer in sources()])
        assert not [r.error for r in received if r.error]
        yield servers, folder, {r.layer.source: r.manifest.snapshot_id for r in received if r.manifest}


def sources() -> list:
    """One source of each way of reading."""
    names = (
        "serfor.restoration_areas",
        "inei.provinces",
        "ferm.initiatives",
        "mef.budget_execution",
        "inei.district_file",
        "mef.consulta_amigable",
    )
    return [all_layers()[name] for name in names]


def extraction_of(servers: SandboxServers, folder: Path) -> Extraction:
    http = Http(hosts=servers.base_urls, connect_timeout=2, read_timeout=5, attempts=1)
    return Extraction(http, SnapshotStore(folder / "snapshots"), Lake(folder / "lake"), Inbox(folder / "inbox"))


@FUZZED
@given(seed=SEEDS, place=st.integers(0, 5))
def test_any_answer_of_a_server_is_taken_whole_or_named(there: tuple, seed: int, place: int) -> None:
    servers, folder, last_good = there
    chosen = sources()
    layer = chosen[place % len(chosen)]
    chance = random.Random(seed)

    def odd(request: Request, response: Response) -> Response:
        body = getattr(response, "body", b"") or b"[]"
        if chance.random() < 0.3:
            return response
        if chance.random() < 0.4:
            try:
                return Response(json.dumps(bent(json.loads(body), chance)).encode(), media_type="application/json")
            except ValueError:
                pass
        return Response(disturbed(bytes(body), chance.randrange(2**32)), media_type=response.media_type)

    servers.faults.by_path["/"] = odd
    try:
        copy = folder.with_name(f"{folder.name}-copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        extraction = extraction_of(servers, copy)
        partition = "2024" if layer.is_by_fiscal_year else None
        refreshed = extraction.refresh(layer, partition)
        assert refreshed.manifest is not None
        if refreshed.error:
            assert refreshed.manifest.snapshot_id == last_good[layer.source]
            assert len(str(refreshed.error)) > 20
        assert Lake.is_whole(
            extraction.lake.path(layer.source, partition, refreshed.manifest.snapshot_id), every_byte=True
        )
        assert list(extraction.store.verify()) == []
    finally:
        servers.faults.by_path.clear()


@FUZZED
@given(seed=SEEDS, place=st.integers(0, 20))
def test_any_file_in_the_inbox_is_read_or_named(
    world: World, tmp_path_factory: pytest.TempPathFactory, seed: int, place: int
) -> None:
    given_files = [p for p in sorted((world.folder / "inbox").rglob("*")) if p.is_file() and not p.name.startswith(".")]
    original = given_files[place % len(given_files)]
    folder = tmp_path_factory.mktemp("one")
    target = folder / "inbox" / original.parent.name / original.name
    target.parent.mkdir(parents=True)
    target.write_bytes(disturbed(original.read_bytes(), seed))
    extraction = Extraction(Http(), SnapshotStore(folder / "snapshots"), Lake(folder / "lake"), Inbox(folder / "inbox"))
    for layer in (x for x in all_layers().values() if x.kind == "inbox"):
        for refreshed in extraction.refresh_all([(layer, None)]):
            assert (refreshed.manifest is None) == (refreshed.error is not None)
            if refreshed.manifest:
                assert Lake.is_whole(
                    extraction.lake.path(layer.source, refreshed.partition, refreshed.manifest.snapshot_id),
                    every_byte=True,
                )
    shutil.rmtree(folder)


@FUZZED
@given(seed=SEEDS, place=st.integers(0, 10))
def test_any_register_is_valid_or_says_what_is_not(
    tmp_path_factory: pytest.TempPathFactory, seed: int, place: int
) -> None:
    registers = sorted(REGISTERS.glob("*.yml"))
    path, folder, chance = registers[place % len(registers)], tmp_path_factory.mktemp("register"), random.Random(seed)
    if chance.random() < 0.5:
        (folder / path.name).write_bytes(disturbed(path.read_bytes(), seed))
    else:
        (folder / path.name).write_text(yaml.safe_dump(bent(yaml.safe_load(path.read_text()), chance)))
    try:
        all_registers(folder)
        all_layers(folder)
    except RegisterError as error:
        said = str(error)
    else:
        said = path.name
    assert ".yml" in said
    shutil.rmtree(folder)


@FUZZED
@given(seed=SEEDS, place=st.integers(0, 10))
def test_any_contract_is_valid_or_says_what_is_not(
    tmp_path_factory: pytest.TempPathFactory, seed: int, place: int
) -> None:
    name, folder, chance = (
        sorted(PROTOCOL)[place % len(PROTOCOL)],
        tmp_path_factory.mktemp("contract"),
        random.Random(seed),
    )
    original = CONTRACTS / f"{name}.odcs.yml"
    if chance.random() < 0.5:
        (folder / original.name).write_bytes(disturbed(original.read_bytes(), seed))
    else:
        (folder / original.name).write_text(yaml.safe_dump(bent(yaml.safe_load(original.read_text()), chance)))
    try:
        read_contract(name, folder)
    except ContractError as error:
        said = str(error)
    else:
        said = name
    assert name in said
    shutil.rmtree(folder)
