"""One run's build: raw tables and seeds attached, models made where something changed, contracts enforced.

Belongs here: what ties the runner, the protocol and the lake to one build file. Does not: events and checks in the UI
(models.py) or the decision to publish (publish.py). No Dagster.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from assets.sources.register import SourceLayer
from dbt_like_sql import runner, seeds
from dbt_like_sql.runner import Model
from expectations.contracts import read_contract
from expectations.quarantine import Outcome, enforce, recorded
from resources.errors import NoSnapshot
from resources.lake import Lake
from resources.snapshots import Manifest, SnapshotStore
from resources.warehouse import WarehouseFiles, connect

MACROS = Path(runner.FOLDER) / "macros.sql"
_PARSER_VERSION = "1"  # raise when reading of stored bodies changes, so that models are made again


@dataclass(frozen=True)
class Built:
    """What came of one model. `is_reused`: nothing it depends on changed since the published release."""

    rows: int
    is_reused: bool
    outcomes: list[Outcome]
    lineage: dict[str, list[tuple[str, str]]]


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
    ) -> None:
        self.files, self.store, self.lake, self.layers, self.as_of = files, store, lake, layers, as_of
        self.models = runner.load_models()
        self.base = files.state()
        self.path = files.start_build(run_id)
        self.con = connect(self.path)
        self.pending: set[str] | None = None
        self._attached: set[str] = set()
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    # -- start and end -----------------------------------------------------------------------------

    def _prepare(self) -> None:
        self.con.execute(MACROS.read_text(encoding="utf-8"))
        self.con.execute("attach ':memory:' as raw")
        self.con.execute("attach ':memory:' as seeds")
        there = {
            row[0]
            for row in self.con.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
        }
        for table, about in runner.engine_tables().items():
            if table not in there:
                columns = ", ".join(f'"{c.name}" {c.type}' for c in about.columns)
                self.con.execute(f"create schema if not exists {table.split('.')[0]}")
                self.con.execute(f"create table {table} ({columns})")
                runner.comment(self.con, table, about)

    def close(self) -> None:
        """Close, and remove a build that was not published."""
        self.con.close()
        self.files.drop_build(self.path)

    # -- inputs ------------------------------------------------------------------------------------

    def snapshots_of(self, layer: SourceLayer) -> list[tuple[str | None, Manifest]]:
        """The standing snapshot of a source, or of each of its fiscal years."""
        partitions: list[str | None] = [*self.store.partitions(layer.source)] if layer.is_by_fiscal_year else [None]
        found = [(p, self.store.current(layer.source, p)) for p in partitions]
        return [(p, manifest) for p, manifest in found if manifest is not None]

    def _attach(self, table: str) -> None:
        """Make one raw table or seed readable, just before use: sources are read after the session was opened."""
        if table == "raw.source_status":
            self._attach_frame(table, self._source_status())
        elif table.startswith("raw."):
            self._attach_layer(self._layer_of(table))
        elif table not in self._attached:
            self._attach_frame(table, seeds.read_seed(table.split(".")[1]))
            self._attached.add(table)

    def _attach_frame(self, table: str, frame: pl.DataFrame) -> None:
        self.con.register("attached_frame", frame.to_arrow())
        self.con.execute(f"create or replace table {table} as from attached_frame")
        self.con.unregister("attached_frame")

    def _layer_of(self, table: str) -> SourceLayer:
        for layer in self.layers.values():
            if f"raw.{layer.table}" == table:
                return layer
        raise runner.ModelError(f"{table} is in no register")

    def _attach_layer(self, layer: SourceLayer) -> None:
        """A view over the raw Parquet in our names."""
        selects = []
        for partition, manifest in self.snapshots_of(layer):
            path = self.lake.path(layer.source, partition, manifest.snapshot_id)
            present = {row[0] for row in self.con.execute("describe from read_parquet(?)", [str(path)]).fetchall()}
            columns = [
                f'"{theirs}" as "{ours}"' if (theirs := name.rstrip("?")) in present else f'null::varchar as "{ours}"'
                for ours, name in layer.fields.items()
            ]
            if layer.has_geometry:
                columns.append("st_setcrs(geometry, 'EPSG:4326') as geometry")
            if layer.kind == "arcgis":
                columns.append("_geometry_fault")
                columns.append(f"{_literal(manifest.parameters['layer'])} as _layer_name")
            columns += ["_snapshot_id", "file_row_number as _row", f"{_literal(partition)} as _partition"]
            selects.append(
                f"select {', '.join(columns)} from read_parquet({_literal(str(path))}, file_row_number = true)"
            )
        self.con.execute(f"create or replace view raw.{layer.table} as {' union all by name '.join(selects)}")

    def _source_status(self) -> pl.DataFrame:
        """One row a source and fiscal year, from the ledgers."""
        rows = [row for layer in self.layers.values() for row in self._status_rows(layer)]
        times = ["last_checked_at", "last_good_at", "last_changed_at", "last_failed_at"]
        return pl.DataFrame(rows, schema_overrides=_STATUS_TYPES, infer_schema_length=None).with_columns(
            pl.col(t).str.to_datetime(time_zone="UTC") for t in times
        )

    def _status_rows(self, layer: SourceLayer) -> list[dict[str, object]]:
        partitions: list[str | None] = [*self.store.partitions(layer.source)] if layer.is_by_fiscal_year else [None]
        rows: list[dict[str, object]] = []
        for partition in partitions:
            attempts = self.store.attempts(layer.source, partition)
            good = [a for a in attempts if a.outcome != "failed"]
            failed = [a for a in attempts if a.outcome == "failed"]
            manifest = self.store.current(layer.source, partition)
            is_stale = bool(attempts) and attempts[-1].outcome == "failed"
            rows.append(
                {
                    "source": layer.source,
                    "fiscal_year": int(partition) if partition else None,
                    "title_es": layer.title_es,
                    "url": layer.url_for(partition),
                    "is_sandbox": manifest.is_sandbox if manifest else None,
                    "snapshot_id": manifest.snapshot_id if manifest else None,
                    "row_count": manifest.rows if manifest else None,
                    "last_checked_at": attempts[-1].at if attempts else None,
                    "last_good_at": good[-1].at if good else None,
                    "last_changed_at": next((a.at for a in reversed(good) if a.outcome == "new"), None),
                    "last_modified_at_source": manifest.last_modified if manifest else None,
                    "last_failed_at": failed[-1].at if failed else None,
                    "last_error": attempts[-1].message if is_stale else None,
                    "is_stale": is_stale,
                    "licence": layer.licence,
                    "disclaimer": layer.disclaimer,
                }
            )
        return rows

    def _input_fingerprint(self, table: str) -> str:
        kind, name = table.split(".")
        if kind == "seeds":
            return _digest((seeds.FOLDER / f"{name}.csv").read_bytes())
        if table == "raw.source_status":
            return _digest(self._source_status().write_json().encode())
        layer = self._layer_of(table)
        snapshots = [[p, m.snapshot_id] for p, m in self.snapshots_of(layer)]
        if not snapshots:
            raise NoSnapshot(layer.source)
        return _digest(json.dumps([_PARSER_VERSION, snapshots, layer.fields]).encode())

    # -- models ------------------------------------------------------------------------------------

    def _state(self, table: str) -> tuple[str, int] | None:
        row = self.con.execute(
            "select fingerprint, row_count from meta.model_states where table_name = ?", [table]
        ).fetchone()
        return (str(row[0]), int(row[1])) if row else None

    def fingerprint(self, model: Model) -> str:
        """What the model would be made from now. Raises NoSnapshot or ModelError where something upstream is missing."""
        upstream = {table: self._input_fingerprint(table) for table in model.inputs}
        for table in model.depends_on:
            state = self._state(table)
            if state is None:
                raise runner.ModelError(f"{model.table}: {table} is not built yet; materialise it first")
            upstream[table] = state[0]
        upstream["macros"] = _digest(MACROS.read_bytes())
        if "as_of" in model.variables:
            upstream["as_of"] = self.as_of.isoformat()
        if model.about.contract:
            upstream["contract"] = read_contract(model.about.contract).fingerprint
        return model.fingerprint(upstream)

    def build(self, table: str) -> Built:
        """Make one model unless nothing it comes from has changed, and hold it to its contract."""
        model = self.models[table]
        fingerprint = self.fingerprint(model)
        state = self._state(table)
        if state and state[0] == fingerprint:
            return Built(
                state[1], is_reused=True, outcomes=recorded(self.con, table), lineage=self._stored_lineage(table)
            )
        self.con.execute("delete from meta.model_states where table_name = ?", [table])
        self.con.execute("set variable as_of = ?::date", [self.as_of])
        for source in sorted({*model.inputs, *_SEEDS_OF_CONTRACTS}):
            self._attach(source)
        rows = runner.build(self.con, model)
        contract = model.about.contract
        outcomes = enforce(self.con, table, read_contract(contract)) if contract else []
        lineage = self._store_lineage(model)
        self.con.execute("insert into meta.model_states values (?, ?, ?)", [table, fingerprint, rows])
        return Built(rows, is_reused=False, outcomes=outcomes, lineage=lineage)

    def _columns_of(self) -> dict[str, list[str]]:
        rows = self.con.execute(
            "select case when database_name in ('raw', 'seeds') then database_name else schema_name end || '.' || table_name,"
            " list(column_name order by column_index) from duckdb_columns() where not internal group by 1"
        ).fetchall()
        return dict(rows)

    def _store_lineage(self, model: Model) -> dict[str, list[tuple[str, str]]]:
        from dbt_like_sql.lineage import column_lineage  # the optimiser takes 0.1 s to import and is seldom needed

        lineage = column_lineage(model, self._columns_of())
        pairs = [[model.table, column, *source] for column, sources in lineage.items() for source in sources]
        self.con.execute("delete from meta.lineage where table_name = ?", [model.table])
        if pairs:
            self.con.executemany("insert into meta.lineage values (?, ?, ?, ?)", pairs)
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
        """Blocking checks that fail on the tables as they stand, with the reason."""
        rows = self.con.execute(
            "select table_name || ': ' || reason_en || ' (' || rows_failed || ' of ' || rows_checked || ' rows)'"
            " from quality.check_results where is_blocking and not passed order by all"
        ).fetchall()
        return [str(row[0]) for row in rows]

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Another connection to the same build."""
        return self.con.cursor()


_SEEDS_OF_CONTRACTS = ("seeds.districts_inei_2025",)  # what rules compare with

_STATUS_TYPES = {
    "fiscal_year": pl.Int32,
    "is_sandbox": pl.Boolean,
    "snapshot_id": pl.String,
    "row_count": pl.Int64,
    "last_checked_at": pl.String,
    "last_good_at": pl.String,
    "last_changed_at": pl.String,
    "last_modified_at_source": pl.String,
    "last_failed_at": pl.String,
    "last_error": pl.String,
}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _literal(value: object) -> str:
    """A value of our own (path, layer name, year) as SQL text; views cannot be prepared with parameters."""
    return "null::varchar" if value is None else "'" + str(value).replace("'", "''") + "'"
