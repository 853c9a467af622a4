"""`make run` and `make live`: the nightly job once, in this process, and a short table of what came out.

Belongs here: starting a run from a shell and saying how it went. Does not: the run (definitions) or the sandbox.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time

import dagster as dg
import duckdb
from rich.console import Console
from rich.table import Table

from assets.linkage.decisions import TO_REVIEW
from assets.names import PUBLISHED
from assets.quality_pages import LATEST
from assets.sources.register import all_layers, first_fiscal_year
from pipelines.dagster_home import dagster_home, without_waiting_for_the_disk
from pipelines.definitions import build_definitions
from pipelines.incidents import after_run
from pipelines.jobs import year_range_tags
from pipelines.settings import Settings, SettingsError
from resources.errors import MixedOrigin, first_line
from resources.notifications import Notifier

logger = logging.getLogger("restauracion")


def main() -> int:
    """Run once; exit status 0 when a release was published, 1 when none could be, 2 for settings that cannot be used."""
    gc.set_threshold(100_000, 50, 100)  # a short-lived process: 7.1 s became 6.0 s (unchanged sources, 2026-11-23)
    parser = argparse.ArgumentParser(description="Run the nightly job once.")
    parser.add_argument("--sandbox", action="store_true", help="against the embedded sandbox, with no network")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the sandbox (1 = default)")
    parser.add_argument("--seed", type=int, default=None, help="seed of the sandbox")
    parser.add_argument("--verbose", action="store_true", help="show every event of the run")
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING, format="%(levelname)s %(message)s"
    )
    if not arguments.verbose:  # what Dagster says of steps it skips is in its own log; here the closing table says it
        for handler in logging.getLogger().handlers:
            handler.addFilter(lambda record: not record.name.startswith("dagster"))
    try:
        if not arguments.sandbox:
            return run_nightly(Settings.from_env(), arguments.verbose)
        from sandbox.serving import sandbox_environment

        without_waiting_for_the_disk()
        with sandbox_environment(arguments.scale, arguments.seed) as env:
            return run_nightly(Settings.from_env(env), arguments.verbose)
    except (SettingsError, MixedOrigin) as error:
        Console(stderr=True).print(f"[red]{error}[/red]")
        return 2


def run_nightly(settings: Settings, verbose: bool = False) -> int:
    """Execute the job `nightly` in this process and report."""
    started = time.monotonic()
    os.environ.update(dagster_home(settings.data_dir))
    definitions = build_definitions(settings)
    logging.getLogger("dagster").setLevel(logging.DEBUG if verbose else logging.CRITICAL)
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def("nightly").execute_in_process(
            instance=instance,
            raise_on_error=False,
            tags=year_range_tags(settings.fiscal_years(first_fiscal_year(all_layers()))),
            run_config={"loggers": {"console": {"config": {"log_level": "DEBUG" if verbose else "CRITICAL"}}}},
        )
        release = [e for e in result.get_asset_materialization_events() if e.asset_key == PUBLISHED]
        checks = [
            e.asset_check_evaluation_data for e in result.all_events if e.event_type_value == "ASSET_CHECK_EVALUATION"
        ]
        failures = [
            str(text)
            for check in checks
            if not check.passed and isinstance(texts := _value(check.metadata.get("failures")), list)
            for text in texts
        ]
        step_errors = [
            f"{e.step_key}: {_cause(e.step_failure_data.error)}" for e in result.all_events if e.is_step_failure
        ]
        after_run(instance, result.dagster_run, settings.data_dir, all_layers(), Notifier.from_env(os.environ))
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)  # a log file has no window to fit into
    report = Report(console, settings)
    report.sources(failures)
    report.errors(step_errors)
    if release:
        report.release()
    report.closing(bool(release), time.monotonic() - started)
    return 0 if release and result.success else 1


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
                self.console.print(f"  • {failure}", highlight=False, soft_wrap=True)

    def errors(self, errors: list[str]) -> None:
        """Steps that failed."""
        for error in errors:
            self.console.print(f"[red]failed[/red] {error}", highlight=False, soft_wrap=True)

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
        years = con.execute(
            "select min(fiscal_year), max(fiscal_year) from marts.spending_by_programme"
        ).fetchone() or (0, 0)
        table = Table(title=f"Accrued by programme, S/ million, {years[0]}–{years[1]}", title_justify="left")
        for name in ("programme", "ours", "official", "difference S/"):
            table.add_column(name, justify="left" if name == "programme" else "right")
        for name, ours, official, difference in con.execute(
            "select short_name, sum(accrued_pen), sum(official_accrued_pen), sum(accrued_difference_pen)"
            " from marts.spending_by_programme group by programme_code, short_name order by programme_code"
        ).fetchall():
            shown = ("–", "–") if official is None else (f"{official / 1_000_000:,.1f}", f"{difference:,.2f}")
            table.add_row(name, f"{ours / 1_000_000:,.1f}", *shown)
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

    def closing(self, published: bool, seconds: float) -> None:
        """Where the file is, or that nothing changed."""
        if published:
            site = self.settings.data_dir / "quality" / LATEST / "index.html"
            self.console.print(f"Quality report {site}", soft_wrap=True)
            self.console.print(f"Report {self.settings.data_dir / 'report' / 'index.html'}", soft_wrap=True)
            self.console.print(f"Published [bold]{self.path}[/bold] in {seconds:.1f} s", soft_wrap=True)
        elif self.path.exists():
            self.console.print(
                f"[red]Nothing was published[/red]; {self.path} is as it was ({seconds:.1f} s)", soft_wrap=True
            )
        else:
            self.console.print(f"[red]Nothing was published[/red] and there is no earlier release ({seconds:.1f} s)")


if __name__ == "__main__":
    sys.exit(main())
