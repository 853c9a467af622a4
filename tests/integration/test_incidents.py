"""Notifications, each sent once: real webhook, real mail server, real runs."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from aiosmtpd.controller import Controller
from starlette.responses import Response

from pipelines.definitions import build_definitions
from pipelines.jobs import year_range_tags
from pipelines.operations.digest import digest
from pipelines.operations.incidents import LOG_FILE, IncidentLog, after_run
from resources.notifications import Message, Notifier
from resources.secrets import secret
from restoration.sources.register import all_layers
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline, free_port, keys_to_publish, keys_without_exports


class Letters:
    """A mail server's memory."""

    def __init__(self) -> None:
        self.envelopes: list[str] = []

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802 - the library's name
        self.envelopes.append(envelope.content.decode())  # type: ignore[attr-defined]
        return "250 OK"


@pytest.fixture
def mail() -> Iterator[tuple[str, Letters]]:
    letters = Letters()
    controller = Controller(letters, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield f"smtp://127.0.0.1:{controller.port}", letters
    controller.stop()


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    received: list[dict[str, str]] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/services/very-secret", received
    server.shutdown()


def night(
    pipeline: Pipeline, notifier: Notifier, chosen: Callable[[dg.Definitions], list[dg.AssetKey]] = keys_to_publish
) -> Message | None:
    """A run, and what the sensor after it does."""
    definitions = build_definitions(pipeline.settings)
    job = definitions.resolve_job_def("nightly")
    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(
            instance=instance,
            tags=year_range_tags(pipeline.settings.fiscal_years(2020)),
            run_config=config,
            raise_on_error=False,
            asset_selection=chosen(definitions),
        )
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        return after_run(instance, run, pipeline.data_dir, all_layers(), notifier)


def test_an_incident_is_reported_once_when_it_begins_and_once_when_it_ends(
    make_pipeline: MakePipeline, world: World, hook: tuple[str, list[dict[str, str]]], mail: tuple[str, Letters]
) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    notifier = Notifier(webhook_url=hook[0], smtp_url=mail[0], mail_to=("datos@ministerio.gob.pe",))
    assert night(pipeline, notifier) is None
    pipeline.servers.faults.by_path["ferm"] = lambda request, response: Response(status_code=503)
    reported = night(pipeline, notifier)
    assert reported is not None
    for said in ("ferm.initiatives", "HTTP 503", "transitorio", "se usa su copia del", "se vuelve a pedir cada noche"):
        assert said in reported.text, reported.text
    pipeline.servers.faults.by_path["ferm"] = lambda request, response: Response(status_code=404)
    assert night(pipeline, notifier) is None, (
        "the same source, though for another reason: the same incident is not reported again"
    )
    pipeline.servers.faults.by_path.clear()
    repaired = night(pipeline, notifier)
    assert repaired is not None
    assert "Terminó (1)" in repaired.text
    assert len(hook[1]) == len(mail[1].envelopes) == 2
    assert "ferm.initiatives" in hook[1][0]["text"]
    assert "datos@ministerio.gob.pe" in mail[1].envelopes[0]


def test_a_failed_run_says_what_is_published_and_what_to_do(make_pipeline: MakePipeline, own_world: World) -> None:
    pipeline = make_pipeline(own_world, after_a_good_night=True)
    path = own_world.files / "2024-Gasto-Devengado.csv"
    path.write_text(path.read_text().replace('"MONTO_PIM"', '"MONTO_OTRO"', 1))
    object.__setattr__(pipeline.settings, "min_free_mb", 10**9)
    reported = night(pipeline, Notifier())
    assert reported is not None
    assert "nothing was begun" in reported.text
    assert "sigue intacta" in reported.text
    assert "Libere espacio en disco" in reported.text
    assert "permanente" in reported.text
    object.__setattr__(pipeline.settings, "min_free_mb", 0)
    after = night(pipeline, Notifier())
    assert after is not None
    assert "Corrija `fields`" in after.text.replace("corrija", "Corrija")
    assert "Terminó" in after.text


def test_a_message_that_cannot_be_sent_stops_nothing_and_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    notifier = Notifier(
        webhook_url=f"http://127.0.0.1:{port}/services/very-secret",
        smtp_url=f"smtp://user:very-secret@127.0.0.1:{port}",
        mail_to=("a@b.pe",),
    )
    problems = notifier.send(Message("asunto", "texto"))
    assert len(problems) == 2
    assert "very-secret" not in caplog.text + repr(problems) + repr(notifier)


def test_a_torn_log_of_incidents_is_reported_again_rather_than_lost(tmp_path: Path) -> None:
    (tmp_path / LOG_FILE).write_text('[{"key": "source:a", "wh')
    assert IncidentLog(tmp_path).open() == {}


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hidden\n")
    assert secret("KEY", {"KEY_FILE": str(tmp_path / "key")}) == "hidden"
    assert secret("KEY", {"KEY": "plain", "KEY_FILE": "/nowhere"}) == "plain"
    assert secret("KEY", {}) is None


def test_the_digest_says_what_is_published_and_what_is_open(good_night: Pipeline, tmp_path: Path) -> None:
    (tmp_path / LOG_FILE).write_text(
        json.dumps(
            [
                {
                    "key": "source:x",
                    "what": "La fuente x no se pudo leer",
                    "since": "2026-11-01",
                    "is_permanent": True,
                    "stands": "su copia",
                    "todo": "mirar",
                }
            ]
        )
    )
    message = digest(good_night.published, tmp_path)
    ((net,),) = good_night.query(
        "select net_ha from marts.progress_to_targets where is_latest and target_id = 'gbf_target_2'"
    )
    assert f"{net:,.0f} ha netas" in message.text
    assert "ENTORNO DE PRUEBA" in message.text
    assert "Problemas abiertos: 1" in message.text
    assert "todavía no hay publicación" in digest(tmp_path / "none.duckdb", tmp_path).subject


def test_the_digest_job_sends_it(
    good_night: Pipeline, mail: tuple[str, Letters], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "RESTAURACION_SMTP_URL", mail[0])
    monkeypatch.setitem(os.environ, "RESTAURACION_MAIL_TO", "a@b.pe, c@d.pe")
    done = build_definitions(good_night.settings).resolve_job_def("digest").execute_in_process()
    assert done.success
    assert "To: a@b.pe, c@d.pe" in mail[1].envelopes[0]


def test_a_blocked_first_run_reports_the_check_its_rows_and_no_missing_page(
    make_pipeline: MakePipeline, own_world: World
) -> None:
    path = own_world.files / "2024-Gasto-Devengado.csv"  # every amount of a year ten times too large
    frame = pl.read_csv(path, infer_schema=False)
    frame.with_columns(pl.col("MONTO_PIM") + "0").write_csv(path, quote_style="always")
    pipeline = make_pipeline(own_world)
    message = night(pipeline, Notifier.from_env({}), keys_without_exports)
    assert message is not None
    opened = [i for i in IncidentLog(pipeline.data_dir).open().values() if not i.key.startswith("source:")]
    assert [i.key for i in opened] == ["check:quality_reconciliation:no_total_is_far_from_the_official_one"]
    assert "filas)" in opened[0].what
    assert "por ejemplo" in opened[0].what
    assert "index.html" not in opened[0].todo
