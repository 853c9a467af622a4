"""What production runs on: PostgreSQL for the history of runs, backup and restore, unit and compose files, the doctor."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from starlette.responses import Response

from pipelines.cli.doctor import examine
from pipelines.definitions import build_definitions
from pipelines.jobs import year_range_tags
from pipelines.operations.backups import STAMP, faults, newest
from pipelines.operations.incidents import backup_incident
from sandbox.world import World
from tests.conftest import MakePipeline, Pipeline, free_port, keys_to_publish
from tests.integration.test_damage import flip
from tests.integration.test_survival import contents, everything_holds

ROOT = Path(__file__).parents[2]


def postgres_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) if Path("/usr/lib/postgresql").exists() else []
    return found[-1].parent if found else None


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own on a loopback port."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine: `make test` installs Debian's")
    folder, port = tmp_path_factory.mktemp("pg"), free_port()
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"]
        for path in (folder, *folder.parents[:3]):
            path.chmod(path.stat().st_mode | 0o055)
        shutil.chown(folder, "postgres")
    run = lambda *command: subprocess.run([*as_user, *command], check=True, capture_output=True, cwd="/")  # noqa: E731
    run(str(programs / "initdb"), "-D", str(folder / "db"), "-A", "trust", "-U", "dagster")
    run(
        str(programs / "pg_ctl"),
        "-D",
        str(folder / "db"),
        "-w",
        "-l",
        str(folder / "log"),
        "-o",
        f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off",
        "start",
    )
    run(str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "dagster", "dagster")
    yield f"postgresql+psycopg2://dagster@127.0.0.1:{port}/dagster"
    lock = folder / "db" / "postmaster.pid"
    server = int(lock.read_text().split()[0])
    os.kill(server, signal.SIGQUIT)  # an immediate end
    began = time.monotonic()
    while lock.exists() and Path(f"/proc/{server}").exists() and time.monotonic() - began < 120:
        time.sleep(0.1)
    assert not lock.exists() or not Path(f"/proc/{server}").exists()


@pytest.mark.endurance
def test_the_same_definitions_run_with_postgresql(
    postgres: str, make_pipeline: MakePipeline, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """deploy/dagster.yaml as it is: a night and a run of one asset, and the history of both in the database."""
    pipeline = make_pipeline(world, after_a_good_night=True)
    shutil.copy(ROOT / "deploy" / "dagster.yaml", tmp_path / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres)
    monkeypatch.setenv("DAGSTER_COMPUTE_LOGS", str(tmp_path / "logs"))
    definitions = build_definitions(pipeline.settings)
    job, keys = definitions.resolve_job_def("nightly"), keys_to_publish(definitions)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert "Postgres" in type(instance.run_storage).__name__
        for selection in (keys, [dg.AssetKey("stg_ferm__initiatives")]):
            done = job.execute_in_process(
                instance=instance,
                tags=year_range_tags(pipeline.settings.fiscal_years(2020)),
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                asset_selection=selection,
            )
            assert done.success
        runs = instance.get_runs()
        assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 2
        event = instance.get_latest_materialization_event(dg.AssetKey("published_warehouse"))
        assert event is not None
        assert event.run_id in {run.run_id for run in runs}


@pytest.mark.endurance
def test_a_backup_is_taken_restored_and_runs_on(make_pipeline: MakePipeline, world: World, tmp_path: Path) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    before = contents(pipeline.published)
    script, backups = ROOT / "deploy" / "backup.sh", tmp_path / "backups"
    first = subprocess.run(
        [script, backups, pipeline.data_dir], check=True, capture_output=True, text=True
    ).stdout.strip()
    time.sleep(1.1)
    second = subprocess.run(
        [script, backups, pipeline.data_dir], check=True, capture_output=True, text=True
    ).stdout.strip()
    same = "warehouse/restauracion.duckdb"
    assert (Path(first) / same).stat().st_ino == (Path(second) / same).stat().st_ino, (
        "what did not change is not copied again"
    )
    assert everything_is_private(pipeline.data_dir)
    for wrong in ("0", "00", "many", "-1"):
        refused = subprocess.run(
            [script, backups, pipeline.data_dir],
            capture_output=True,
            text=True,
            env=os.environ | {"KEEP_BACKUPS": wrong},
        )
        assert (refused.returncode, "KEEP_BACKUPS" in refused.stderr) == (2, True)
    assert {str(p) for p in backups.iterdir()} == {first, second}
    body = max((pipeline.data_dir / "snapshots" / "blobs").rglob("*.zst"), key=lambda p: p.stat().st_size)
    whole = body.read_bytes()
    flip(body)
    refused = subprocess.run([script, backups, pipeline.data_dir], capture_output=True, text=True)
    assert refused.returncode == 1
    assert body.name.split(".")[0] in refused.stderr, "each stored byte is held against its checksum"
    body.write_bytes(whole)
    flip(pipeline.published)
    refused = subprocess.run([script, backups, pipeline.data_dir], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "checksum" in refused.stderr
    assert len([p for p in backups.iterdir() if not p.name.startswith(".")]) == 2
    taken = subprocess.run([ROOT / "deploy" / "restore.sh", second, pipeline.data_dir], capture_output=True, text=True)
    assert taken.returncode == 1, "a folder with data is not overwritten"
    shutil.rmtree(pipeline.data_dir)
    subprocess.run([ROOT / "deploy" / "restore.sh", second, pipeline.data_dir], check=True, capture_output=True)
    everything_holds(pipeline.data_dir)
    assert not (pipeline.data_dir / "lake").exists()
    assert pipeline.run(with_exports=True), pipeline.errors()
    assert contents(pipeline.published) == before
    assert pipeline.query("select count(*) from meta.releases") == [(1,)], (
        "nothing is new: the release is the one of before"
    )
    everything_holds(pipeline.data_dir)


def everything_is_private(data: Path) -> bool:
    """Nobody outside the service's group reads anything; files as received are not readable even for the group."""
    inside = [p for p in (data / "warehouse").rglob("*") if p.is_file()]
    assert {oct((data / name).stat().st_mode & 0o777) for name in ("snapshots", "lake")} == {"0o700"}
    return all(p.stat().st_mode & 0o007 == 0 for p in inside)


def test_the_first_copy_of_a_month_is_whole_and_an_old_one_is_an_incident(good_night: Pipeline, tmp_path: Path) -> None:
    script, backups = ROOT / "deploy" / "backup.sh", tmp_path / "backups"
    take = [script, backups, good_night.data_dir]
    first = Path(subprocess.run(take, check=True, capture_output=True, text=True).stdout.strip())
    assert newest(backups) == dt.datetime.strptime(first.name, STAMP).replace(tzinfo=dt.UTC)
    assert backup_incident(backups) == backup_incident(None) == {}
    first = first.rename(backups / "2020-01-31T060000Z")
    reported = backup_incident(backups)["backup:old"]
    assert "2020-01-31 06:00" in reported.what
    second = Path(subprocess.run(take, check=True, capture_output=True, text=True).stdout.strip())
    same = "warehouse/restauracion.duckdb"
    assert (first / same).stat().st_ino != (second / same).stat().st_ino
    assert list(faults(first)) == list(faults(second)) == []
    shutil.rmtree(backups)
    backups.mkdir()
    assert "nunca" in backup_incident(backups)["backup:old"].what


def test_a_data_folder_of_an_earlier_version_opens_under_this_one(make_pipeline: MakePipeline, world: World) -> None:
    """As 0.1 of 2026-11-23 left it: no checksums, kept releases linked to the published file, no references in the dictionary."""
    pipeline = make_pipeline(world, after_a_good_night=True)
    warehouse = pipeline.data_dir / "warehouse"
    before = contents(pipeline.published)
    with pipeline.rewritten() as con:
        con.execute("alter table meta.columns drop column references_column")
        con.execute("drop table marts.gbf_2_1")
        con.execute("delete from meta.model_states where table_name = 'marts.gbf_2_1'")
        con.execute("drop macro table areas_of")
    release = next(warehouse.joinpath("releases").glob("*.duckdb"))
    release.unlink()
    os.link(pipeline.published, release)
    for name in ("exports", "report"):
        shutil.rmtree(pipeline.data_dir / name)
    assert pipeline.run(with_exports=True), pipeline.errors()
    assert pipeline.query("select count(*) > 20 from meta.columns where references_column is not null") == [(True,)]
    assert pipeline.query("select count(*) > 0 from marts.gbf_2_1") == [(True,)]
    assert contents(pipeline.published) == before
    assert (warehouse / "published.sha256").exists()
    everything_holds(pipeline.data_dir)


def test_deploy_files_hold_together() -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["healthcheck"], name
        assert name == "proxy" or not service.get("ports"), "the UI has no users of its own"
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert "build" in service or "@sha256:" in service["image"], name
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
    kept_out, unversioned = (
        {line.removeprefix("**/").strip() for line in (ROOT / name).read_text().splitlines()}
        for name in (".dockerignore", ".gitignore")
    )
    assert unversioned | {".git/"} <= kept_out, "secrets, data and this machine's environment stay out of an image"
    for unit in sorted((ROOT / "deploy" / "systemd").glob("*.service")):
        text = unit.read_text()
        for said in (
            "User=restauracion",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "KillMode=control-group",
            "MemoryMax=",
            "UMask=0027",
            "SystemCallFilter=@system-service",
            "SystemCallErrorNumber=ENOSYS",
            "RestrictAddressFamilies=",
            "IPAddressDeny=link-local",
        ):
            assert said in text, unit.name
    assert "-h 127.0.0.1" in (ROOT / "deploy" / "systemd" / "restauracion-webserver.service").read_text()
    viewer = (ROOT / "deploy" / "systemd" / "restauracion-viewer.service").read_text()
    assert "--read-only -h 127.0.0.1" in viewer
    assert "--read-only" in str(compose["services"]["viewer"]["command"])
    images = [w.split()[1] for w in (ROOT / "deploy" / "Dockerfile").read_text().splitlines() if w.startswith("FROM ")]
    assert all("@sha256:" in image for image in images)
    for workflow in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        used = re.findall(r"uses: (\S+)", workflow.read_text())
        assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in used), workflow.name
    for workflow in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        assert yaml.safe_load(workflow.read_text())["jobs"], workflow.name
    for form in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")):
        assert yaml.safe_load(form.read_text())["body"], form.name


def test_the_doctor_finds_nothing_on_a_good_folder_and_names_what_is_wrong(
    make_pipeline: MakePipeline, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(world, after_a_good_night=True)
    found = {f.subject: f for f in examine(pipeline.settings)}
    assert [f for f in found.values() if f.is_good is False] == []
    assert found["published file"].reported.startswith("whole")
    assert found["geoservidorperu.minam.gob.pe"].is_good
    flip(pipeline.published)
    pipeline.servers.faults.by_path["MapServer"] = lambda request, response: Response(status_code=503)
    (pipeline.data_dir / "snapshots").chmod(0o777)
    (pipeline.data_dir / "ORIGIN").write_text("live\n")
    monkeypatch.setenv("RESTAURACION_WEBHOOK_URL_FILE", str(pipeline.data_dir / "nowhere"))
    wrong = {f.subject: f for f in examine(pipeline.settings) if f.is_good is False}
    assert set(wrong) >= {"published file", "rights", "origin", "notifications", "geoservidorperu.minam.gob.pe"}
    assert "HTTP 503" in wrong["geoservidorperu.minam.gob.pe"].reported
    assert all(f.todo for f in wrong.values())


def test_the_doctor_s_command_ends_with_a_verdict(good_night: Pipeline) -> None:
    env = os.environ | {
        "RESTAURACION_DATA_DIR": str(good_night.data_dir),
        "RESTAURACION_HOSTS_FILE": str(good_night.settings.hosts_file),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli.doctor", "--offline"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing to fix" in done.stdout
