"""Sending to FERM: over real HTTP to a simulated server, never twice, never without being requested."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dagster as dg
import orjson
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from pipelines.definitions import build_definitions
from resources.errors import SourceError
from resources.http import Http
from restoration.exports.ferm import PAYLOADS
from restoration.exports.ferm_push import BOOK, KEY_VARIABLE, SentLog, push
from sandbox.servers.app import SandboxServers
from sandbox.servers.ferm_registry import SANDBOX_KEY
from sandbox.world import World
from tests.conftest import Pipeline, settings_for


@pytest.fixture
def registry(world: World) -> SandboxServers:
    servers = SandboxServers(world)
    servers.start()
    yield servers
    servers.stop()


@pytest.fixture
def http(registry: SandboxServers) -> Http:
    return Http(hosts=registry.base_urls, connect_timeout=2, read_timeout=10, attempts=1)


@pytest.fixture
def folder(good_night: Pipeline, tmp_path: Path) -> Path:
    """Twenty payloads of the export."""
    lines = (good_night.data_dir / "exports" / "ferm" / PAYLOADS).read_bytes().splitlines()
    (tmp_path / PAYLOADS).write_bytes(b"\n".join(lines[:20]) + b"\n")
    return tmp_path


def test_a_dry_run_sends_nothing_and_a_push_sends_each_initiative_once(
    folder: Path, http: Http, registry: SandboxServers
) -> None:
    dry = push(folder, SentLog(folder / BOOK), http, None)
    assert (dry.planned["new"], dry.sent) == (20, 0)
    assert registry.faults.requests == []
    assert not (folder / BOOK).exists()
    done = push(folder, SentLog(folder / BOOK), http, SANDBOX_KEY, is_dry_run=False)
    assert (done.sent, done.refused, done.stopped) == (20, [], None)
    assert len(registry.registry.projects) == 20
    again = push(folder, SentLog(folder / BOOK), http, SANDBOX_KEY, is_dry_run=False)
    assert (again.planned["unchanged"], again.sent) == (20, 0)
    assert len(registry.registry.projects) == 20
    log = SentLog(folder / BOOK)
    sent = {
        orjson.loads(line)["initiative_id"]: orjson.loads(line)["payload"]
        for line in (folder / PAYLOADS).read_bytes().splitlines()
    }
    for initiative, entry in log.last.items():
        assert registry.registry.projects[entry["ferm_id"]] == sent[initiative]


def test_what_changed_after_it_was_sent_is_reported_and_not_sent_again(
    folder: Path, http: Http, registry: SandboxServers
) -> None:
    push(folder, SentLog(folder / BOOK), http, SANDBOX_KEY, is_dry_run=False)
    reported = [orjson.loads(line) for line in (folder / PAYLOADS).read_bytes().splitlines()]
    reported[0]["payload"]["properties"]["title"] += ", ampliado"
    (folder / PAYLOADS).write_bytes(b"\n".join(orjson.dumps(t) for t in reported))
    done = push(folder, SentLog(folder / BOOK), http, SANDBOX_KEY, is_dry_run=False)
    assert (done.planned["changed"], done.planned["unchanged"], done.sent) == (1, 19, 0)
    assert len(registry.registry.projects) == 20


def test_a_request_without_an_answer_is_not_repeated(folder: Path, http: Http, registry: SandboxServers) -> None:
    def arrived_and_lost(request: Request, response: Response) -> Response:
        return Response(status_code=502) if len(registry.registry.projects) == 5 else response

    registry.faults.by_path["/api/projects"] = arrived_and_lost
    done = push(folder, SentLog(folder / BOOK), http, SANDBOX_KEY, is_dry_run=False)
    assert done.sent == 4
    assert "look for it in FERM" in str(done.stopped)
    registry.faults.by_path.clear()
    after = push(folder, SentLog(folder / BOOK), http, SANDBOX_KEY, is_dry_run=False)
    assert (after.planned["unsure"], after.sent) == (1, 15)
    assert len(registry.registry.projects) == 20  # the one whose answer was lost is there once


def test_a_refused_payload_is_noted_and_the_next_one_goes(folder: Path, http: Http, registry: SandboxServers) -> None:
    reported = [orjson.loads(line) for line in (folder / PAYLOADS).read_bytes().splitlines()]
    reported[0]["payload"]["features"][0]["properties"]["area"] *= 2
    (folder / PAYLOADS).write_bytes(b"\n".join(orjson.dumps(t) for t in reported))
    done = push(folder, SentLog(folder / BOOK), http, SANDBOX_KEY, is_dry_run=False)
    assert (done.sent, len(done.refused)) == (19, 1)
    assert SentLog(folder / BOOK).last[reported[0]["initiative_id"]]["event"] == "refused"


def test_without_a_key_or_with_a_wrong_one_nothing_arrives(folder: Path, http: Http, registry: SandboxServers) -> None:
    with pytest.raises(SourceError, match=KEY_VARIABLE):
        push(folder, SentLog(folder / BOOK), http, None, is_dry_run=False)
    done = push(folder, SentLog(folder / BOOK), http, "another key", is_dry_run=False)
    assert KEY_VARIABLE in str(done.stopped)
    assert "another key" not in (folder / BOOK).read_text() + str(done)
    assert registry.registry.projects == {}


def test_the_key_follows_no_redirect(folder: Path, http: Http, registry: SandboxServers) -> None:
    registry.faults.by_path["/api/projects"] = lambda request, response: RedirectResponse(
        "http://127.0.0.1:9/elsewhere", 307
    )
    done = push(folder, SentLog(folder / BOOK), http, SANDBOX_KEY, is_dry_run=False)
    assert done.sent == 0
    assert len(done.refused) == 20
    assert all("elsewhere" not in address for address in registry.faults.requests)


def test_a_torn_line_of_the_log_is_skipped_and_nothing_is_sent_twice(
    folder: Path, http: Http, registry: SandboxServers
) -> None:
    push(folder, SentLog(folder / BOOK), http, SANDBOX_KEY, is_dry_run=False)
    log = folder / BOOK
    log.write_text(log.read_text()[:-40])  # the answer to the last one was not written to its end
    done = push(folder, SentLog(log), http, SANDBOX_KEY, is_dry_run=False)
    assert (done.sent, done.planned["unsure"], done.planned["unchanged"]) == (0, 1, 19)
    assert len(registry.registry.projects) == 20


def test_an_answer_without_an_id_counts_as_unsure(folder: Path, http: Http, registry: SandboxServers) -> None:
    registry.faults.by_path["/api/projects"] = lambda request, response: JSONResponse({"status": "ok"}, 201)
    done = push(folder, SentLog(folder / BOOK), http, SANDBOX_KEY, is_dry_run=False)
    assert "no id" in str(done.stopped)


def test_the_job_is_a_dry_run_by_default_and_the_nightly_job_never_starts_it(
    good_night: Pipeline, registry: SandboxServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert good_night.last is not None
    assert not [e for e in good_night.last.get_asset_materialization_events() if e.asset_key.path[-1] == "ferm_push"]
    definitions = build_definitions(good_night.settings)
    graph = definitions.resolve_asset_graph()
    targets = [target for sensor in definitions.sensors or () for target in sensor.targets]
    assert len(targets) == 1, "the inbox sensor is the one that starts assets"
    assert dg.AssetKey("ferm_push") not in targets[0].resolvable_to_job.selection.resolve(graph)
    shutil.copytree(good_night.data_dir / "exports" / "ferm", tmp_path / "data" / "exports" / "ferm")
    monkeypatch.setenv(KEY_VARIABLE, SANDBOX_KEY)
    settings = settings_for(tmp_path / "data", registry.write_hosts(tmp_path / "hosts.json"))
    job = build_definitions(settings).resolve_job_def("push_ferm")
    with dg.DagsterInstance.ephemeral() as instance:
        dry = job.execute_in_process(instance=instance)
        assert dry.success
        assert registry.registry.projects == {}
        real = job.execute_in_process(instance=instance, run_config={"ops": {"ferm_push": {"config": {"send": True}}}})
    assert real.success
    lines = (tmp_path / "data" / "exports" / "ferm" / PAYLOADS).read_bytes().splitlines()
    assert len(registry.registry.projects) == len(lines)
    assert SANDBOX_KEY not in json.dumps([str(e) for e in real.all_events])
