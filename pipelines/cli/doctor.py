"""`make doctor`: what is wrong with the set-up, in words, with what to do.

Belongs here: looking. Does not: repairing (housekeeping, the next run).
"""

from __future__ import annotations

import argparse
import datetime as dt
import email.utils
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from pipelines.settings import Settings, SettingsError
from resources.cage import bubblewrap
from resources.errors import AnotherRun, CertificateProblem, RestorationError, SourceError, first_line
from resources.http import Http
from resources.inbox import Inbox
from resources.notifications import Notifier
from resources.run_lock import RunLock
from resources.warehouse import spatial_extension
from restoration.sources.register import ROOT, SourceLayer, all_layers

_ALLOWED_CLOCK_SECONDS = 300
_PATIENCE_SECONDS = 8


@dataclass(frozen=True)
class Finding:
    """One thing that was checked; `is_good` is None where it could not be determined or does not matter yet."""

    subject: str
    is_good: bool | None
    reported: str
    todo: str = ""


Look = Callable[[Settings], Iterator[Finding]]


def examine(settings: Settings, *, reach_sources: bool = True) -> list[Finding]:
    """Every finding."""
    looks: list[Look] = [_python, _packages, _folder, _disk, _warehouse, _dagster, _people]
    return [finding for look in [*looks, *([_sources] if reach_sources else [])] for finding in look(settings)]


def _python(_: Settings) -> Iterator[Finding]:
    here = sys.version_info
    yield Finding(
        "Python",
        (3, 11) <= here[:2] < (3, 14),
        f"{here.major}.{here.minor}.{here.micro}",
        "use Python 3.11 to 3.13: `make setup PYTHON=python3.11`",
    )
    inside = sys.prefix != sys.base_prefix
    yield Finding("virtual environment", inside, sys.prefix, "run through `make`, or .venv/bin/python")


def _packages(_: Settings) -> Iterator[Finding]:
    lock = (ROOT / "uv.lock").read_text(encoding="utf-8")
    wanted = dict(_locked(lock))
    wrong = []
    for name in ("dagster", "duckdb", "polars", "great-expectations", "splink", "pyogrio"):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "missing"
        if found != wanted.get(name):
            wrong.append(f"{name} {found}, locked {wanted.get(name)}")
    yield Finding("packages", not wrong, "; ".join(wrong) or "as locked", "`make setup`")
    with tempfile.TemporaryDirectory() as scratch:
        is_caged = bool(bubblewrap(scratch))
    yield Finding(
        "files from outside",
        is_caged or None,
        "read inside bubblewrap" if is_caged else "read with limits, but seeing this machine's files",
        "install bubblewrap (Debian: `apt-get install bubblewrap`)",
    )
    try:
        yield Finding("spatial extension", is_good=True, reported=str(spatial_extension().parent.name))
    except RuntimeError as error:
        yield Finding("spatial extension", is_good=False, reported=str(error), todo="`make setup`")


def _locked(lock: str) -> Iterator[tuple[str, str]]:
    name = ""
    for line in lock.splitlines():
        if line.startswith("name = "):
            name = line.split('"')[1]
        elif line.startswith("version = ") and name:
            yield name, line.split('"')[1]
            name = ""


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        yield Finding("data folder", is_good=True, reported=str(folder))
    except OSError as error:
        yield Finding(
            "data folder",
            is_good=False,
            reported=f"{folder}: {error.strerror}",
            todo="check owner, rights and mount, or set RESTAURACION_DATA_DIR",
        )
        return
    open_to_all = [
        p.name for p in (folder, folder / "snapshots", folder / "inbox") if p.exists() and p.stat().st_mode & 0o002
    ]
    yield Finding(
        "rights",
        not open_to_all,
        "nobody else may write" if not open_to_all else f"anybody may write in {', '.join(open_to_all)}",
        f"chmod -R o-w {folder}",
    )
    if alike := Inbox(folder / "inbox").alike():
        yield Finding(
            "inbox",
            is_good=None,
            reported="; ".join(" and ".join(names) for names in alike),
            todo="folders that differ in capitals alone are institutions of their own; make them one if they are one",
        )
    lock = RunLock(folder)
    try:
        lock.acquire(0, "doctor")
        lock.release()
        yield Finding("lock", is_good=True, reported="free")
    except AnotherRun as error:
        yield Finding("lock", is_good=None, reported=f"held: {error.holder}", todo="a run is under way; nothing to do")
    mark = folder / "ORIGIN"
    origin, expected = (
        (mark.read_text().strip() if mark.exists() else None),
        "sandbox" if settings.hosts_file else "live",
    )
    yield Finding(
        "origin",
        origin in {None, expected},
        origin or "none yet",
        "this folder holds the other kind of data: set RESTAURACION_DATA_DIR to another one",
    )


def _disk(settings: Settings) -> Iterator[Finding]:
    free = shutil.disk_usage(settings.data_dir if settings.data_dir.exists() else settings.data_dir.parent).free
    yield Finding(
        "disk",
        free > settings.min_free_mb * 1e6,
        f"{free / 1e9:,.1f} GB free",
        "free some: `python -m pipelines.operations.housekeeping`",
    )


def _warehouse(settings: Settings) -> Iterator[Finding]:
    files = settings.warehouse
    if not files.published.exists():
        yield Finding("published file", is_good=None, reported="none yet", todo="`make run` (sandbox) or `make live`")
        return
    reason = files.damage(files.published)
    yield Finding(
        "published file",
        reason is None,
        reason or f"whole, {files.published.stat().st_size / 1e6:,.1f} MB",
        "the next run restores it from the last release",
    )


def _dagster(settings: Settings) -> Iterator[Finding]:
    home = Path(os.environ.get("DAGSTER_HOME") or settings.data_dir / "dagster")
    config = home / "dagster.yaml"
    yield Finding(
        "Dagster's home",
        config.exists() or None,
        str(home),
        "the first run creates it, or copy deploy/dagster.yaml there",
    )
    if url := os.environ.get("DAGSTER_POSTGRES_URL"):
        import psycopg2

        where = urlsplit(url).hostname
        try:
            psycopg2.connect(url.replace("+psycopg2", ""), connect_timeout=_PATIENCE_SECONDS).close()
            yield Finding("PostgreSQL", is_good=True, reported=f"answers at {where}")
        except psycopg2.OperationalError as error:
            yield Finding(
                "PostgreSQL",
                is_good=False,
                reported=f"{where}: {first_line(error)}",
                todo="start it, or check DAGSTER_POSTGRES_URL",
            )


def _people(_: Settings) -> Iterator[Finding]:
    try:
        notifier = Notifier.from_env(os.environ)
    except OSError as error:
        yield Finding(
            "notifications",
            is_good=False,
            reported=str(error),
            todo="let the file that holds the secret exist and be readable",
        )
        return
    ways = [
        w for w, there in (("webhook", notifier.webhook_url), ("mail", notifier.smtp_url and notifier.mail_to)) if there
    ]
    yield Finding(
        "notifications",
        bool(ways) or None,
        ", ".join(ways) or "nobody",
        "set RESTAURACION_WEBHOOK_URL or RESTAURACION_SMTP_URL and RESTAURACION_MAIL_TO",
    )


def _sources(settings: Settings) -> Iterator[Finding]:
    """Each host once: does it answer, is its certificate good, what time does it say."""
    first: dict[str, SourceLayer] = {}
    for layer in all_layers().values():
        if not layer.is_submitted:
            first.setdefault(
                urlsplit(layer.url_for(str(settings.last_fiscal_year) if layer.is_by_fiscal_year else None)).hostname
                or "",
                layer,
            )
    from pipelines.definitions import data_folder_of

    quick = replace(
        settings, connect_timeout_seconds=_PATIENCE_SECONDS, read_timeout_seconds=_PATIENCE_SECONDS, attempts=1
    )
    http = data_folder_of(quick).http()
    with ThreadPoolExecutor(max_workers=8) as pool:
        yield from pool.map(lambda item: _reach(http, settings, *item), sorted(first.items()))


def _reach(http: Http, settings: Settings, host: str, layer: SourceLayer) -> Finding:
    url = layer.url_for(str(settings.last_fiscal_year) if layer.is_by_fiscal_year else None)
    try:
        with http.open(layer.source, url, params=layer.probe or None, stream=True) as answer:
            said = answer.headers.get("Date")
    except CertificateProblem as error:
        return Finding(
            host,
            is_good=False,
            reported=str(error).partition(". TLS")[0],
            todo="add the missing authority as `ca_file` of the host",
        )
    except SourceError as error:
        return Finding(
            host,
            is_good=False,
            reported=str(error),
            todo="its last good snapshot is used; if it lasts, ask the institution",
        )
    except RestorationError as error:
        return Finding(host, is_good=False, reported=str(error))
    if said:
        off = abs((email.utils.parsedate_to_datetime(said) - dt.datetime.now(dt.UTC)).total_seconds())
        if off > _ALLOWED_CLOCK_SECONDS:
            return Finding(
                host,
                is_good=False,
                reported=f"its clock and ours differ by {off:,.0f} s",
                todo="set this machine's clock (timedatectl)",
            )
    return Finding(
        host, is_good=True, reported="answers" + ("" if http.is_verified(url) else ", certificate NOT verified")
    )


def main() -> int:
    """Print the findings; exit status 1 where something is wrong."""
    parser = argparse.ArgumentParser(description="What is wrong with the set-up.")
    parser.add_argument("--offline", action="store_true", help="do not try the sources")
    arguments = parser.parse_args()
    console = Console()
    try:
        found = examine(Settings.from_env(), reach_sources=not arguments.offline)
    except SettingsError as error:
        console.print(f"[red]{error}[/red]")
        return 2
    table = Table(show_edge=False)
    for name in ("", "what", "found", "to do"):
        table.add_column(name, overflow="fold")
    for f in found:
        mark = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "[yellow]·[/yellow]"}[f.is_good]
        table.add_row(mark, f.subject, f.reported, "" if f.is_good else f.todo)
    console.print(table)
    wrong = sum(f.is_good is False for f in found)
    console.print(f"{wrong} thing(s) to fix" if wrong else "Nothing to fix", style="red" if wrong else "green")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
