"""`make run` and `make live`: the nightly job once, in this process, and a short table of the results.

Belongs here: starting a run from a shell and saying how it went. Does not: the run (definitions), what is printed at its end (closing_lines.py) or the sandbox.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
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

from assets.keys import PUBLISHED
from pipelines.cli.closing_lines import ClosingLines
from pipelines.cli.dagster_home import dagster_home, without_waiting_for_the_disk
from pipelines.cli.event_log import instance_of
from pipelines.cli.run_origin import SHELL_TAG, show_in_timeline
from pipelines.definitions import build_definitions
from pipelines.jobs import year_range_tags
from pipelines.operations.incidents import after_run, blocked_by, is_interrupted
from pipelines.settings import LIMA, Settings, SettingsError
from resources.errors import MixedOrigin, first_line
from resources.notifications import Notifier
from restoration.sources.register import all_layers, first_fiscal_year

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
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts it in the background has it ignored
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
    """A clock set to the night of a day of the sandbox, which runs on from there."""
    import time_machine

    from sandbox.days.calendar import night_of

    return time_machine.travel(night_of(day), tick=True)


def run_nightly(settings: Settings, verbose: bool = False, *, is_scheduled: bool = False) -> int:
    """Execute the job `nightly` in this process and report; with every source, or those that are due today."""
    started = time.perf_counter()
    if is_scheduled:
        _refuse_a_past_night(settings)
    home = dagster_home(settings.data_dir)
    os.environ.update(home)
    definitions = build_definitions(settings)
    logging.getLogger("dagster").setLevel(logging.DEBUG if verbose else logging.CRITICAL)
    with instance_of(Path(home["DAGSTER_HOME"])) as instance:
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
        after_run(instance, run, settings.data_dir, all_layers(), Notifier.from_env(os.environ), settings.backups)
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)  # a log file has no window to fit into
    report = ClosingLines(console, settings)
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
    """The run requested by today's schedule: on Sundays every source, else those that are due."""
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
    except duckdb.Error:  # a damaged file is repaired by the run
        return
    if last and last[0] and last[0] > dt.datetime.now(LIMA).date():
        raise SettingsError(
            f"{settings.data_dir} holds a release of {last[0]}, and today is {dt.datetime.now(LIMA):%Y-%m-%d}: for days of the sandbox"
            " take a folder of their own (RESTAURACION_DATA_DIR)"
        )


def _value(metadata: object) -> object:
    return getattr(metadata, "value", None)


def _cause(error: object) -> str:
    """The innermost message of a step failure, in one line."""
    while getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    return first_line(error)


if __name__ == "__main__":
    sys.exit(main())
