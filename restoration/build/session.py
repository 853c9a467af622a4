"""One run's build: models rebuilt where something changed, contracts enforced.

Belongs here: what ties the runner and the protocol to one build file. Does not: what models read (inputs.py), events and
checks in the UI (assets/models.py) or the decision to publish (publish.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dbt_like_sql import runner
from dbt_like_sql.descriptions import FOLDER
from dbt_like_sql.runner import Model
from dbt_like_sql.tables import ensure
from expectations.contracts import read_contract
from expectations.quarantine import RECORDS, enforce
from expectations.results import Outcome, recorded
from expectations.waivers import in_force, read_waivers
from resources.errors import PublishRefused
from resources.lake import Lake
from resources.snapshots import SnapshotStore
from resources.warehouse import WarehouseFiles, connect
from restoration.build.inputs import Inputs, digest
from restoration.build.steps import steps
from restoration.linkage.decisions import DecisionStore
from restoration.sources.register import SourceLayer

MACROS = FOLDER / "macros.sql"


@dataclass(frozen=True)
class Built:
    """The result of one model. `is_reused`: nothing it depends on changed since the published release.

    `fingerprint` identifies this version of the model.
    """

    rows: int
    fingerprint: str
    is_reused: bool
    outcomes: list[Outcome]
    lineage: dict[str, list[tuple[str, str]]]

    @property
    def is_blocked(self) -> bool:
        """Whether a blocking check fails on it."""
        return any(o.is_blocking and not o.passed for o in self.outcomes)


class BuildSession:
    """A build file with one owner. Other connections to it are cursors of `con`."""

    def __init__(
        self,
        files: WarehouseFiles,
        store: SnapshotStore,
        lake: Lake,
        layers: Mapping[str, SourceLayer],
        run_id: str,
        as_of: dt.date,
        decisions: DecisionStore | None = None,
    ) -> None:
        self.files, self.as_of, self.decisions = files, as_of, decisions
        self.steps = steps(decisions)
        self.models = runner.load_models()
        self.waivers = read_waivers()
        self.base = files.state()
        self.path = files.start_build(run_id)
        try:
            self.con = connect(self.path)
        except BaseException:
            files.drop_build(self.path)
            raise
        self.pending: set[str] | None = None
        self.built: dict[str, Built] = {}
        self.unreported: list[str] = []  # tables built and not yet reported to Dagster
        try:
            self._prepare()
            self.inputs = Inputs(self.con, store, lake, layers)
        except BaseException:
            self.close()
            raise

    # -- start and end -----------------------------------------------------------------------------

    def _prepare(self) -> None:
        self.con.execute(MACROS.read_text(encoding="utf-8"))
        for table, about in runner.engine_tables().items():
            ensure(self.con, table, about)

    def close(self) -> None:
        """Close, and remove a build that was not published."""
        self.con.close()
        self.files.drop_build(self.path)

    # -- models ------------------------------------------------------------------------------------

    def _state(self, table: str) -> tuple[str, int] | None:
        row = self.con.execute(
            "select fingerprint, row_count from meta.model_states where table_name = ?", [table]
        ).fetchone()
        return (str(row[0]), int(row[1])) if row else None

    def fingerprint(self, model: Model) -> str:
        """Of the model's current inputs. Raises NoSnapshot or ModelError where something upstream is missing."""
        upstream = {
            table: self.inputs.fingerprint(table) for table in model.inputs if not table.startswith("previous.")
        }
        for table in upstream_of(model):
            state = self._state(table)
            if state is None:
                raise runner.ModelError(f"{model.table}: {table} is not built yet; materialise it first")
            upstream[table] = state[0]
        if model.reads_previous:
            upstream["previous"] = self._release_before()[0]
        upstream["macros"] = digest(MACROS.read_bytes())
        if model.is_step:
            upstream["step"] = self.steps[model.table].fingerprint(self.con, self.as_of)
        if "as_of" in model.variables:
            upstream["as_of"] = self.as_of.isoformat()
        if model.about.contract:
            contract = read_contract(model.about.contract)
            waivers = in_force(self.waivers, contract, self.as_of)
            upstream["contract"] = RECORDS + contract.fingerprint + "".join(w.model_dump_json() for w in waivers)
        return model.fingerprint(upstream)

    def build(self, table: str) -> Built:
        """Build one model unless none of its inputs changed, and check it against its contract.

        Its inputs are built first where they are not current: a run of some models, or a resumed run, must
        not build on tables of an older night. Raises PublishRefused where such a table fails a blocking check.
        """
        if table not in self.built:
            model = self.models[table]
            for needed in sorted(upstream_of(model)):
                if self.build(needed).is_blocked:
                    raise PublishRefused(f"{table} is not built: " + "; ".join(self.blocking_failures()))
            self.built[table] = self._build(model)
            if not self.built[table].is_reused:
                self.unreported.append(table)
        return self.built[table]

    def bring_up_to_date(self) -> None:
        """Build every model that is not current, whatever this run was asked for."""
        self.built = {}
        for table in self.models:
            self.build(table)

    def _build(self, model: Model) -> Built:
        table, fingerprint = model.table, self.fingerprint(model)
        state = self._state(table)
        if state and state[0] == fingerprint:
            return Built(
                state[1],
                fingerprint,
                is_reused=True,
                outcomes=recorded(self.con, table),
                lineage=self._stored_lineage(table),
            )
        self.con.execute("delete from meta.model_states where table_name = ?", [table])
        self.con.execute("set variable as_of = ?::date", [self.as_of])
        previous = self._release_before()[1] if model.reads_previous else None
        for source in sorted(model.inputs):
            self.inputs.attach(source, previous)
        select = self.steps[table].make(self.con, self.as_of, model.sql) if model.is_step else None
        rows = runner.build(self.con, model, select)
        contract = model.about.contract
        outcomes = enforce(self.con, table, read_contract(contract), self.as_of, self.waivers) if contract else []
        lineage = self._store_lineage(model)
        self.con.execute("insert into meta.model_states values (?, ?, ?)", [table, fingerprint, rows])
        return Built(rows, fingerprint, is_reused=False, outcomes=outcomes, lineage=lineage)

    def release_fingerprint(self) -> str:
        """Names the data of a release, once every table of it is current."""
        states = self.con.execute(
            "select table_name, fingerprint from meta.model_states where list_contains(?, table_name) order by all",
            [sorted(runner.release_tables(self.models))],
        ).fetchall()
        return digest(repr(states).encode())

    def _release_before(self) -> tuple[str, Path | None]:
        """Name and file of the release that this one is compared with.

        The published one, or where tonight's data are the same the one before it. No file where there was none, or where it is
        not kept any more.
        """
        known = self.con.execute(
            "select release_id, fingerprint from meta.releases order by published_at desc limit 2"
        ).fetchall()
        if known and known[0][1] != self.release_fingerprint():
            return str(known[0][0]), self.files.published
        if len(known) < 2:
            return "", None
        kept = self.files.releases / f"{known[1][0]}.duckdb"
        return str(known[1][0]), kept if kept.exists() else None

    def _columns_of(self) -> dict[str, list[str]]:
        rows = self.con.execute(
            "select case when database_name in ('raw', 'seeds', 'previous') then database_name else schema_name end || '.' || table_name,"
            " list(column_name order by column_index) from duckdb_columns() where not internal group by 1"
        ).fetchall()
        return dict(rows)

    def _store_lineage(self, model: Model) -> dict[str, list[tuple[str, str]]]:
        from dbt_like_sql.lineage import column_lineage  # the optimiser takes 0.1 s to import and is seldom needed

        lineage = {} if model.is_step else column_lineage(model, self._columns_of())  # of code only tables are known
        pairs = [(column, *source) for column, sources in lineage.items() for source in sources]
        self.con.execute("delete from meta.lineage where table_name = ?", [model.table])
        if pairs:  # as lists: a statement a row takes twenty times as long
            self.con.execute(
                "insert into meta.lineage select ?, unnest(?), unnest(?), unnest(?)",
                [model.table, *map(list, zip(*pairs, strict=True))],
            )
        return lineage

    def _stored_lineage(self, table: str) -> dict[str, list[tuple[str, str]]]:
        lineage: dict[str, list[tuple[str, str]]] = {}
        for column, source_table, source_column in self.con.execute(
            "select column_name, source_table, source_column from meta.lineage where table_name = ? order by all",
            [table],
        ).fetchall():
            lineage.setdefault(column, []).append((source_table, source_column))
        return lineage

    def blocking_failures(self) -> list[str]:
        """Blocking checks that fail on the current tables, with the reason."""
        rows = self.con.execute(
            "select table_name || ': ' || reason_en || ' (' || rows_failed || ' of ' || rows_checked || ' rows)'"
            " from quality.check_results where is_blocking and not passed order by all"
        ).fetchall()
        return [str(row[0]) for row in rows]


def upstream_of(model: Model) -> set[str]:
    """Models that have to be built before this one."""
    return runner.upstream(model, runner.load_models()) - set(runner.engine_tables())
