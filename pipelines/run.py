"""`make run` and `make live`: the nightly job once, in this process, and a short table of what came out.

Belongs here: starting a run from a shell and saying how it went. Does not: the run (definitions) or the sandbox.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import json
import logging
import os
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.utils import make_new_run_id
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assets.exports.release import EXPORTS, MANIFEST, REPORT
from assets.linkage.decisions import TO_REVIEW
from assets.names import PUBLISHED
from assets.quality_pages import LATEST
from assets.sources.register import all_layers, first_fiscal_year
from pipelines.dagster_home import dagster_home, without_waiting_for_the_disk
from pipelines.definitions import build_definitions
from pipelines.incidents import after_run, blocked_by, is_interrupted
from pipelines.jobs import year_range_tags
from pipelines.run_origin import SHELL_TAG, show_in_timeline
from pipelines.settings import LIMA, Settings, SettingsError
from resources.errors import MixedOrigin, first_line
from resources.notifications import Notifier

logger = logging.getLogger("restauracion")


def main() -> int:
    """Run once.

    Exit status 0 when all went well, 1 when nothing could be published or a step failed, 2 for settings that cannot be used, 130 when
    interrupted.
    """
    gc.set_threshold(100_000, 50, 100)  # a short-lived process: 7.1 s became 6.0 s (unchanged sources, 2026-11-23)
    parser = argparse.ArgumentParser(description="Run the nightly job once.")
    parser.add_argument("--sandbox", action="store_true", help="against the embedded sandbox, with no network")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the sandbox (1 = default)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the sandbox")
    parser.add_argument(
        "--day", type=int, default=None, help="day of the sandbox, 0 to …; the clock travels to its night"
    )
    parser.add_argument("--verbose", action="store_true", help="show every event of the run")
    arguments = parser.parse_args()
    if arguments.day is not None and (arguments.day < 0 or not arguments.sandbox):
        parser.error("--day is a day of the sandbox, 0 or later: it goes with --sandbox")
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING, format="%(levelname)s %(message)s"
    )
    if not arguments.verbose:  # what Dagster says of steps it skips is in its own log; here the closing table says it
        for handler in logging.getLogger().handlers:
            handler.addFilter(lambda record: not record.name.startswith("dagster"))
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # both end a run the same way
    try:
        if not arguments.sandbox:
            return run_nightly(Settings.from_env(), arguments.verbose)
        from sandbox.serving import sandbox_environment

        without_waiting_for_the_disk()
        with (
            sandbox_environment(arguments.scale, arguments.seed, arguments.day or 0) as env,
            nullcontext() if arguments.day is None else _night_of(arguments.day),
        ):
            return run_nightly(Settings.from_env(env), arguments.verbose, is_scheduled=arguments.day is not None)
    except (SettingsError, MixedOrigin) as error:
        Console(stderr=True).print(f"[red]{error}[/red]")
        return 2
    except KeyboardInterrupt:
        Console(stderr=True).print("[red]Interrupted[/red]")
        return 130


def _night_of(day: int) -> Any:
    """A clock that stands at the night of a day of the sandbox, and goes on from there."""
    import time_machine

    from sandbox.days.calendar import night_of

    return time_machine.travel(night_of(day), tick=True)


def run_nightly(settings: Settings, verbose: bool = False, *, is_scheduled: bool = False) -> int:
    """Execute the job `nightly` in this process and report; everything is asked, or what the schedule of the day asks for."""
    started = time.perf_counter()
    if is_scheduled:
        _refuse_a_past_night(settings)
    os.environ.update(dagster_home(settings.data_dir))
    definitions = build_definitions(settings)
    logging.getLogger("dagster").setLevel(logging.DEBUG if verbose else logging.CRITICAL)
    with dg.DagsterInstance.get() as instance:
        config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "DEBUG" if verbose else "CRITICAL"}}}}
        tags = year_range_tags(settings.fiscal_years(first_fiscal_year(all_layers())))
        if is_scheduled:
            asked = scheduled_request(definitions, instance)
            config, tags = {**asked.run_config, **config}, dict(asked.tags)
        run, events = _executed(instance, definitions, tags, config)
        show_in_timeline(instance, run)
        release = [e for e in events if e.is_step_materialization and e.asset_key == PUBLISHED]
        checks = [e.asset_check_evaluation_data for e in events if e.event_type_value == "ASSET_CHECK_EVALUATION"]
        failures = [
            str(text)
            for check in checks
            if not check.passed and isinstance(texts := _value(check.metadata.get("failures")), list)
            for text in texts
        ]
        blocked = blocked_by(events)
        step_errors = {
            str(e.step_key): _cause(e.step_failure_data.error)
            for e in events
            if e.is_step_failure and not is_interrupted(e) and e.step_key not in {step for step, _ in blocked}
        }
        interrupted = run.status == dg.DagsterRunStatus.CANCELED or any(is_interrupted(e) for e in events)
        after_run(instance, run, settings.data_dir, all_layers(), Notifier.from_env(os.environ))
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)  # a log file has no window to fit into
    report = Report(console, settings)
    report.sources(failures)
    report.errors([f"{step}: {error}" for step, error in step_errors.items()])
    report.blocked([text for _, text in blocked])
    if release:
        report.release()
    report.closing(bool(release), time.perf_counter() - started, step_errors, interrupted=interrupted)
    return 130 if interrupted else 0 if release and run.is_success else 1


def _executed(
    instance: dg.DagsterInstance, definitions: dg.Definitions, tags: dict[str, str], config: dict[str, Any]
) -> tuple[dg.DagsterRun, list[dg.DagsterEvent]]:
    """The run and what happened in it. One that is interrupted between two steps is canceled in the history, not left as going on."""
    run_id = make_new_run_id()
    try:
        definitions.resolve_job_def("nightly").execute_in_process(
            instance=instance, raise_on_error=False, run_id=run_id, tags=tags | {SHELL_TAG: "true"}, run_config=config
        )
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        cut = instance.get_run_by_id(run_id)
        if cut is None:
            raise KeyboardInterrupt from None
        if not cut.is_finished:
            instance.report_run_canceled(cut, "Interrupted from the shell.")
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run, [e.dagster_event for e in instance.all_logs(run_id) if e.dagster_event]


def scheduled_request(definitions: dg.Definitions, instance: dg.DagsterInstance) -> dg.RunRequest:
    """What the schedules ask for on the day that it is: on Sundays everything, else what is due."""
    now = dt.datetime.now(LIMA)
    schedule = definitions.resolve_schedule_def("weekly_lima" if now.weekday() == 6 else "nightly_lima")
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=now) as context:
        return schedule.evaluate_tick(context).run_requests[0]  # type: ignore[index]


def _refuse_a_past_night(settings: Settings) -> None:
    """A folder whose last release is of a later day than it is now must not get an earlier one on top. Raises SettingsError."""
    if not settings.warehouse.published.exists():
        return
    try:
        with duckdb.connect(str(settings.warehouse.published), read_only=True) as con:
            last = con.execute("select max(as_of) from meta.releases").fetchone()
    except duckdb.Error:  # a damaged file is put right by the run
        return
    if last and last[0] and last[0] > dt.datetime.now(LIMA).date():
        raise SettingsError(
            f"{settings.data_dir} holds a release of {last[0]}, and today is {dt.datetime.now(LIMA):%Y-%m-%d}: for days of the sandbox"
            " take a folder of their own (RESTAURACION_DATA_DIR), or `make clean`"
        )


def _value(metadata: object) -> object:
    return getattr(metadata, "value", None)


def _cause(error: object) -> str:
    """The innermost message of a step failure, in one line."""
    while getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    return first_line(error)


class Report:
    """The closing table."""

    def __init__(self, console: Console, settings: Settings) -> None:
        self.console, self.settings = console, settings
        self.path = settings.warehouse.published

    def sources(self, failures: list[str]) -> None:
        """Sources that could not be read and why."""
        if failures:
            self.console.print(
                "\n[yellow]Sources that could not be read[/yellow] (where one was read before, that snapshot stands)"
            )
            for failure in failures:
                self.console.print(f"  • {escape(failure)}", highlight=False, soft_wrap=True)

    def errors(self, errors: list[str]) -> None:
        """Steps that failed."""
        for error in errors:
            self.console.print(f"[red]failed[/red] {escape(error)}", highlight=False, soft_wrap=True)

    def blocked(self, checks: list[str]) -> None:
        """Blocking checks that failed, and on which rows."""
        for check in checks:
            self.console.print(f"[red]blocked[/red] {escape(check)}", highlight=False, soft_wrap=True)

    def release(self) -> None:
        """Progress, spending and checks of the published file."""
        with duckdb.connect(str(self.path), read_only=True) as con:
            row = con.execute(
                "select release_id, is_sandbox from meta.releases order by verified_at desc limit 1"
            ).fetchone()
            release_id, is_sandbox = row or ("?", True)
            if is_sandbox:
                self.console.print(
                    "\n[black on yellow] SANDBOX [/] [yellow]made figures of a miniature Peru; no institution's data[/yellow]"
                )
            self._progress(con)
            self._spending(con)
            self._checks(con)
            self.console.print(f"Release [bold]{release_id}[/bold]")

    def _progress(self, con: duckdb.DuckDBPyConnection) -> None:
        table = Table(title="Progress to each target (targets overlap: never add them)", title_justify="left")
        for name in ("target", "target ha", "declared ha", "gross ha", "net ha", "net / target"):
            table.add_column(name, justify="left" if name == "target" else "right")
        for name, target, declared, gross, net, share in con.execute(
            "select target_name_en, target_ha, declared_ha, gross_ha, net_ha, progress_pct from marts.progress_to_targets where is_latest order by target_ha"
        ).fetchall():
            table.add_row(name, f"{target:,.0f}", f"{declared:,.0f}", f"{gross:,.0f}", f"{net:,.0f}", f"{share:.2f} %")
        self.console.print(table)

    def _spending(self, con: duckdb.DuckDBPyConnection) -> None:
        """Ours beside the official figure over the years that have one; years without stand in a column of their own."""
        closed, open_years = (
            _years([year for (year,) in con.execute(
                "select distinct fiscal_year from marts.spending_by_programme"
                f" where official_accrued_pen is {'not ' if has_official else ''}null order by all"
            ).fetchall()])
            for has_official in (True, False)
        )  # fmt: skip
        title = "Accrued by programme, S/ million" + (f", {closed}" if closed else "")
        table = Table(title=title, title_justify="left")
        names = ["programme", "ours", "official", "difference S/"] + (
            [f"ours, {open_years}: no official total yet"] if open_years else []
        )
        for name in names:
            table.add_column(name, justify="left" if name == "programme" else "right")
        for name, ours, official, difference, still_open in con.execute(
            "select short_name, sum(accrued_pen) filter (where official_accrued_pen is not null), sum(official_accrued_pen),"
            " sum(accrued_difference_pen), coalesce(sum(accrued_pen) filter (where official_accrued_pen is null), 0)"
            " from marts.spending_by_programme group by programme_code, short_name order by programme_code"
        ).fetchall():
            shown = (
                ["–"] * 3
                if official is None
                else [f"{float(ours) / 1e6:,.1f}", f"{float(official) / 1e6:,.1f}", f"{difference:,.2f}"]
            )
            table.add_row(name, *shown, *([f"{still_open / 1_000_000:,.1f}"] if open_years else []))
        self.console.print(table)

    def _checks(self, con: duckdb.DuckDBPyConnection) -> None:
        passed, warned, critical = con.execute(
            "select count(*) filter (where passed), count(*) filter (where not passed and severity = 'warning'),"
            " count(*) filter (where not passed and severity = 'critical') from quality.check_results"
        ).fetchone() or (0, 0, 0)
        held = con.execute("select count(distinct (table_name, record_key)) from quality.quarantine").fetchone() or (0,)
        self.console.print(
            f"Checks: {passed} passed, {warned} warned, {critical} held rows back; {held[0]} rows in quarantine (quality.quarantine)"
        )
        waiting = con.execute("select count(*) from core.record_links where outcome = 'review'").fetchone() or (0,)
        if waiting[0]:
            path = self.settings.data_dir / "linkage" / TO_REVIEW
            self.console.print(f"Pairs of records for a person to review: {waiting[0]}, in {path}", soft_wrap=True)

    def closing(self, published: bool, seconds: float, errors: dict[str, str], *, interrupted: bool) -> None:
        """Where the files are, and which of them are of an older release; or that nothing changed."""
        if interrupted:
            self.console.print("[red]Interrupted[/red]", highlight=False)
        if published:
            site = self.settings.data_dir / "quality" / LATEST
            of = site.resolve().name if site.exists() else "no release"
            told = "" if of == self._published_release() else f" [yellow]is of {of}[/yellow]"
            self.console.print(f"Quality report {site / 'index.html'}{told}", soft_wrap=True)
            self.console.print(self._report(errors), soft_wrap=True)
            for name, release in self._of_older_releases().items():
                reason = errors.get(name.replace("/", "_"), "it was not written")
                self.console.print(f"[yellow]{name} is of release {release}[/yellow]: {escape(reason)}", soft_wrap=True)
            self.console.print(f"Published [bold]{self.path}[/bold] in {seconds:.1f} s", soft_wrap=True)
        elif self.path.exists():
            self.console.print(
                f"[red]Nothing was published[/red]; {self.path} is as it was ({seconds:.1f} s)", soft_wrap=True
            )
        else:
            self.console.print(f"[red]Nothing was published[/red] and there is no earlier release ({seconds:.1f} s)")

    def _report(self, errors: dict[str, str]) -> str:
        """Where the report is, if it is of this release."""
        page = self.settings.data_dir / REPORT / "index.html"
        told, release = _release_of(page.parent), self._published_release()
        if told == release:
            return f"Report {page}"
        reason = escape(errors.get(REPORT, "it was not written"))
        return (
            f"[yellow]Report {page} is of release {told}[/yellow]: {reason}"
            if told
            else f"[yellow]No report[/yellow]: {reason}"
        )

    def _of_older_releases(self) -> dict[str, str]:
        """Exports that were not written for this release, and the release that they are of."""
        release = self._published_release()
        folders = sorted((self.settings.data_dir / EXPORTS).glob("[!.]*"))
        return {f"{EXPORTS}/{f.name}": told for f in folders if (told := _release_of(f)) and told != release}

    def _published_release(self) -> str:
        with duckdb.connect(str(self.path), read_only=True) as con:
            row = con.execute("select release_id from meta.releases order by verified_at desc limit 1").fetchone()
        return str(row[0]) if row else ""


def _years(years: list[int]) -> str:
    """`2020–2025`, or each of them where one is missing between."""
    if len(years) > 1 and years[-1] - years[0] == len(years) - 1:
        return f"{years[0]}–{years[-1]}"
    return ", ".join(map(str, years))


def _release_of(folder: Path) -> str | None:
    """The release that an export's manifest names."""
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["release_id"])
    except (OSError, ValueError, KeyError):
        return None


if __name__ == "__main__":
    sys.exit(main())
