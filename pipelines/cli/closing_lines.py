"""What a person reads at the end of `make run`: sources, failures, the published figures, and where the files are.

Belongs here: the closing tables and lines. Does not: running (run.py) or what the pages say (assets).
"""

from __future__ import annotations

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.settings import Settings
from restoration.exports.release import EXPORTS, REPORT, current_release, release_of
from restoration.linkage.decisions import TO_REVIEW
from restoration.quality_site.pages import LATEST


class ClosingLines:
    """What a run prints at its end."""

    def __init__(self, console: Console, settings: Settings) -> None:
        self.console, self.settings = console, settings
        self.path = settings.warehouse.published

    def sources(self, failures: list[str]) -> None:
        """Sources that could not be read and why."""
        if failures:
            self.console.print(
                "\n[yellow]Sources that could not be read[/yellow] (where one was read before, that snapshot is used)"
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
            release = current_release(con)
            if release.is_sandbox:
                self.console.print(
                    "\n[black on yellow] SANDBOX [/] [yellow]synthetic data of a miniature Peru;"
                    " no institution's data[/yellow]"
                )
            self._progress(con)
            self._spending(con)
            self._checks(con)
            self.console.print(f"Release [bold]{release.release_id}[/bold]")

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
        """Ours beside the official figure, for the years that have one; the other years have their own column."""
        closed, open_years = (
            _years(
                [
                    year
                    for (year,) in con.execute(
                        "select distinct fiscal_year from marts.spending_by_programme"
                        f" where official_accrued_pen is {'not ' if has_official else ''}null order by all"
                    ).fetchall()
                ]
            )
            for has_official in (True, False)
        )
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
            f"Checks: {passed} passed, {warned} warned, {critical} quarantined rows; {held[0]} rows in quarantine (quality.quarantine)"
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
            reported = "" if of == self._published_release() else f" [yellow]is of {of}[/yellow]"
            self.console.print(f"Quality report {site / 'index.html'}{reported}", soft_wrap=True)
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
        reported, release = release_of(page.parent), self._published_release()
        if reported == release:
            return f"Report {page}"
        reason = escape(errors.get(REPORT, "it was not written"))
        return (
            f"[yellow]Report {page} is of release {reported}[/yellow]: {reason}"
            if reported
            else f"[yellow]No report[/yellow]: {reason}"
        )

    def _of_older_releases(self) -> dict[str, str]:
        """Exports that were not written for this release, and the release that they are of."""
        release = self._published_release()
        folders = sorted((self.settings.data_dir / EXPORTS).glob("[!.]*"))
        return {f"{EXPORTS}/{f.name}": reported for f in folders if (reported := release_of(f)) and reported != release}

    def _published_release(self) -> str:
        with duckdb.connect(str(self.path), read_only=True) as con:
            return current_release(con).release_id


def _years(years: list[int]) -> str:
    """`2020–2025`, or each of them where one is missing between."""
    if len(years) > 1 and years[-1] - years[0] == len(years) - 1:
        return f"{years[0]}–{years[-1]}"
    return ", ".join(map(str, years))
