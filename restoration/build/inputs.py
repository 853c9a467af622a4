"""Inputs of the models: raw Parquet under our column names, seeds, the state of sources.

Belongs here: making these readable on a build's connection, and their fingerprints. Does not: models (session.py).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl

from dbt_like_sql import seeds
from dbt_like_sql.runner import ModelError, load_models
from expectations import personal_data
from expectations.personal_data import WORTH_LOOKING, without_personal_data
from resources.errors import ColumnsMissing, NoSnapshot
from resources.http import Http
from resources.lake import ROW_COLUMN, Lake
from resources.snapshots import Manifest, SnapshotStore
from resources.warehouse import register_frame
from restoration.sources.extraction import Extraction
from restoration.sources.register import CsvLayer, SourceLayer
from restoration.sources.schema_drift import drift

TOTALS = "_totals"  # ending of a raw table with the sums of whole files
_READER_VERSION = "3"  # increase when reading of stored bodies changes, so that models are rebuilt


class Inputs:
    """The catalogs `raw`, `seeds` and `previous` of one build connection; all live in memory and never reach the file."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, store: SnapshotStore, lake: Lake, layers: Mapping[str, SourceLayer]
    ) -> None:
        self.con, self.store, self.lake, self.layers = con, store, lake, layers
        self._extraction = Extraction(Http(), store, lake)  # rebuilds raw from stored bodies; no network
        self._attached: set[str] = set()
        for catalog in ("raw", "seeds", "previous"):
            con.execute(f"attach ':memory:' as {catalog}")
        con.create_function("without_personal_data", without_personal_data, ["varchar"], "varchar")

    def _partitions(self, layer: SourceLayer) -> list[str | None]:
        """Years, parts or submissions that were ever tried, or the one whole."""
        return [*self.store.partitions(layer.source)] if layer.is_partitioned else [None]

    def snapshots_of(self, layer: SourceLayer) -> list[tuple[str | None, Manifest]]:
        """The current snapshot of a source, or of each of its fiscal years."""
        found = [(p, self.store.current(layer.source, p)) for p in self._partitions(layer)]
        return [(p, manifest) for p, manifest in found if manifest is not None]

    def attach(self, table: str, previous: Path | None = None) -> None:
        """Make one raw table or seed readable, just before use: sources are read after the session was opened.

        `previous` is the file of the release before, whose tables are `previous.<layer>__<name>`.
        """
        if table == "raw.source_status":
            register_frame(self.con, table, self._source_status())
        elif table == "raw.source_shape":
            register_frame(self.con, table, self._source_shape())
        elif table.startswith("raw.") and table.endswith(TOTALS):
            layer = self._layer_of(table)
            assert isinstance(layer, CsvLayer)  # no other kind has totals
            self._attach_totals(layer)
        elif table.startswith("raw."):
            self._attach_layer(self._layer_of(table))
        elif table.startswith("previous."):
            self._attach_previous(table, previous)
        elif table not in self._attached:
            register_frame(self.con, table, seeds.read_seed(table.split(".")[1]))
            self._attached.add(table)

    def _attach_previous(self, table: str, file: Path | None) -> None:
        """A table as the release before had it; with none, or none of that name, an empty one of today's columns."""
        layer, name = table.removeprefix("previous.").split("__")
        today = load_models()[f"{layer}.{name}"].about.columns
        there: list[str] = []
        if file:
            self.con.execute(f"attach {_literal(str(file))} as base_file (read_only)")
            there = [
                row[0]
                for row in self.con.execute(
                    "select column_name from duckdb_columns()"
                    " where database_name = 'base_file' and schema_name = ? and table_name = ?",
                    [layer, name],
                ).fetchall()
            ]
        columns = ", ".join(f'cast({_quoted(c.name, there)} as {c.type}) as "{c.name}"' for c in today)
        origin = f" from base_file.{layer}.{name}" if there else " where false"
        self.con.execute(f"create or replace table {table} as select {columns}{origin}")
        if file:
            self.con.execute("detach base_file")

    def _layer_of(self, table: str) -> SourceLayer:
        for layer in self.layers.values():
            if table in (f"raw.{layer.table}", f"raw.{layer.table}{TOTALS}"):
                return layer
        raise ModelError(f"{table} is in no register")

    def _attach_layer(self, layer: SourceLayer) -> None:
        """A view over the raw Parquet in our names; one that was never read is empty, unless it is essential."""
        selects = [self._select(layer, partition, manifest) for partition, manifest in self.snapshots_of(layer)]
        if not selects and not layer.is_essential:
            columns = [f'null::varchar as "{ours}"' for ours in layer.fields]
            if layer.has_geometry:
                columns += ["null::geometry('EPSG:4326') as geometry", *(f"null::varchar as {c}" for c in _MARKS)]
            columns += ["null::varchar as _snapshot_id", "0::bigint as _row", "null::varchar as _partition"]
            columns.append("null::timestamptz as _received_at")
            selects = [f"select {', '.join(columns)} where false"]
        self.con.execute(f"create or replace view raw.{layer.table} as {' union all by name '.join(selects)}")

    def _attach_totals(self, layer: CsvLayer) -> None:
        """Sums of whole files of which raw keeps some rows, in our names."""
        for partition, manifest in self.snapshots_of(layer):
            self._extraction.restore(layer, partition, manifest)
        ours = {theirs.rstrip("?"): name for name, theirs in layer.fields.items()}
        columns = ", ".join(f'"{c}" as "{ours[c]}"' for c in (*layer.totals_by, *layer.totals_of))
        selects = [
            f"select {columns}, line_count, unreadable_count, _snapshot_id, {_literal(partition)} as _partition"
            f" from read_parquet({_literal(str(self.lake.totals_path(layer.source, partition, manifest.snapshot_id)))})"
            for partition, manifest in self.snapshots_of(layer)
        ]
        self.con.execute(f"create or replace view raw.{layer.table}{TOTALS} as {' union all by name '.join(selects)}")

    def _select(self, layer: SourceLayer, partition: str | None, manifest: Manifest) -> str:
        path = self._extraction.restore(layer, partition, manifest)  # a year that this run did not ask for may lack it
        present = {r[0]: r[1] for r in self.con.execute("describe from read_parquet(?)", [str(path)]).fetchall()}
        if missing := [c for c in layer.required_columns if c not in present]:
            raise ColumnsMissing(layer.source, missing, sorted(present))  # the register asks for more than before
        columns = [
            f'{_readable(ours, theirs, present[theirs])} as "{ours}"'
            if (theirs := name.rstrip("?")) in present
            else f'null::varchar as "{ours}"'
            for ours, name in layer.fields.items()
        ]
        if layer.has_geometry:
            columns.append("st_setcrs(geometry, 'EPSG:4326') as geometry")
            columns += [c if c in present else f"null::varchar as {c}" for c in ("_geometry_fault", "_domain_fault")]
            columns.append(
                f"{_literal(manifest.parameters.get('layer') or manifest.parameters.get('file'))} as _layer_name"
            )
        row = ROW_COLUMN if ROW_COLUMN in present else f"file_row_number as {ROW_COLUMN}"
        columns += ["_snapshot_id", row, f"{_literal(partition)} as _partition"]
        columns.append(f"{_literal(manifest.fetched_at)}::timestamptz as _received_at")
        return f"select {', '.join(columns)} from read_parquet({_literal(str(path))}, file_row_number = true)"

    def _source_status(self) -> pl.DataFrame:
        """One row a source and fiscal year, from the ledgers."""
        return _status_frame([row for layer in self.layers.values() for row in self._status_rows(layer)])

    def _source_shape(self) -> pl.DataFrame:
        """The state of sources without times: what changes only when a source does. What was withdrawn has no shape."""
        rows = [r for layer in self.layers.values() for r in self._status_rows(layer) if not r["is_withdrawn"]]
        return _status_frame(rows).select(_SHAPE)

    def _status_rows(self, layer: SourceLayer) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        for partition in self._partitions(layer) or [None]:
            attempts = self.store.attempts(layer.source, partition)
            good = self.store.good(layer.source, partition) or [
                a for a in attempts if a.outcome in {"new", "unchanged"}
            ]
            failed = [a for a in attempts if a.outcome == "failed"]
            manifest = self.store.current(layer.source, partition)
            before = self.store.previous(layer.source, partition)
            moved = drift(manifest, before)
            is_stale = bool(attempts) and attempts[-1].outcome == "failed"
            rows.append(
                {
                    "source": layer.source,
                    "partition": partition,
                    "fiscal_year": int(partition) if partition and layer.is_by_fiscal_year else None,
                    "title_es": layer.title_es,
                    "url": layer.url_for(partition),
                    "is_sandbox": manifest.is_sandbox if manifest else None,
                    "snapshot_id": manifest.snapshot_id if manifest else None,
                    "row_count": manifest.rows if manifest else None,
                    "previous_row_count": before.rows if before else None,
                    "reporting_institution": (partition or "").split("--")[0] or None
                    if layer.is_submitted
                    else layer.institution,
                    "last_checked_at": attempts[-1].at if attempts else None,
                    "last_good_at": good[-1].at if good else None,
                    "last_changed_at": next((a.at for a in reversed(good) if a.outcome == "new"), None),
                    "last_modified_at_source": manifest.last_modified if manifest else None,
                    "last_failed_at": failed[-1].at if failed else None,
                    "last_error": attempts[-1].message if is_stale else None,
                    "is_stale": is_stale,
                    "is_withdrawn": manifest is None and self.store.is_withdrawn(layer.source, partition),
                    "added_columns": list(moved.added),
                    "removed_columns": list(moved.removed),
                    "is_tls_verified": manifest.tls_verified if manifest else None,
                    "licence": layer.licence,
                    "disclaimer": layer.disclaimer,
                }
            )
        return rows

    def fingerprint(self, table: str) -> str:
        """Changes with the seed's file, the current snapshots or the register's field names. Raises NoSnapshot."""
        kind, name = table.split(".")
        if kind == "seeds":
            return digest((seeds.FOLDER / f"{name}.csv").read_bytes())
        if table == "raw.source_status":
            return digest(self._source_status().write_json().encode())
        if table == "raw.source_shape":
            return digest(self._source_shape().write_json().encode())
        layer = self._layer_of(table)
        snapshots = [[p, m.snapshot_id] for p, m in self.snapshots_of(layer)]
        if not snapshots and layer.is_essential:
            raise NoSnapshot(layer.source)
        return digest(json.dumps([_READER_VERSION, snapshots, layer.fields]).encode() + _PERSONAL_DATA)


_PERSONAL_DATA = Path(personal_data.__file__).read_bytes()  # what it recognises changes what models read
_MARKS = ("_geometry_fault", "_domain_fault", "_layer_name")
_STATUS_TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "partition": pl.String,
    "added_columns": pl.List(pl.String),
    "removed_columns": pl.List(pl.String),
    "is_tls_verified": pl.Boolean,
    "fiscal_year": pl.Int32,
    "is_sandbox": pl.Boolean,
    "snapshot_id": pl.String,
    "row_count": pl.Int64,
    "previous_row_count": pl.Int64,
    "reporting_institution": pl.String,
    "last_checked_at": pl.String,
    "last_good_at": pl.String,
    "last_changed_at": pl.String,
    "last_modified_at_source": pl.String,
    "last_failed_at": pl.String,
    "last_error": pl.String,
}


_SHAPE = [
    "source",
    "partition",
    "reporting_institution",
    "snapshot_id",
    "row_count",
    "previous_row_count",
    "added_columns",
    "removed_columns",
    "is_stale",
    "is_tls_verified",
]


def _readable(ours: str, theirs: str, kind: str) -> str:
    """A column as models may read it: texts without personal data. A number where a code or an amount belongs is no telephone."""
    if kind != "VARCHAR":
        return f'"{theirs}"'
    number = f""" and not regexp_full_match("{theirs}", '[-+\\d\\s.,:/]*')""" if _CODE_OR_AMOUNT.search(ours) else ""
    return (
        f'case when regexp_matches("{theirs}", {_literal(WORTH_LOOKING)}){number}'
        f' then without_personal_data("{theirs}") else "{theirs}" end'
    )


_CODE_OR_AMOUNT = re.compile(
    r"(^|_)(code|id|pen|ha|km2|ubigeo|cui|year|month|on|date|row|sequence|latitude|longitude|value|project)$"
)


def _status_frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    times = ["last_checked_at", "last_good_at", "last_changed_at", "last_failed_at"]
    return pl.DataFrame(rows, schema_overrides=_STATUS_TYPES, infer_schema_length=None).with_columns(
        pl.col(t).str.to_datetime(time_zone="UTC") for t in times
    )


def digest(content: bytes) -> str:
    """Short SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def _quoted(column: str, there: list[str]) -> str:
    """A column that a table has, or null."""
    return f'"{column}"' if column in there else "null"


def _literal(value: object) -> str:
    """A value of our own (path, layer name, year) as SQL text; views cannot be prepared with parameters."""
    return "null::varchar" if value is None else "'" + str(value).replace("'", "''") + "'"
