"""An asset for each SQL model, with the checks of its contract.

Belongs here: what Dagster shows of a model: dependencies, columns, lineage, counts, checks. Does not: building it
(restoration/build) or publishing it.
"""

import datetime as dt
import hashlib
import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb

from assets.keys import OWNERS, PUBLISHED, owners_of, raw_key, table_key
from dbt_like_sql.descriptions import FOLDER
from dbt_like_sql.runner import Model, load_models
from expectations.contracts import read_contract
from expectations.quarantine import planned_checks
from expectations.results import Outcome
from resources.data_folder import DataFolder
from resources.warehouse_resource import WarehouseResource
from restoration.build.inputs import TOTALS
from restoration.build.publish import Release, publish
from restoration.build.session import BuildSession, Built, upstream_of
from restoration.build.steps import steps
from restoration.exports.release import mark_superseded
from restoration.linkage.decisions import DecisionStore
from restoration.quality_site.pages import page_of, write_site
from restoration.sources.register import SourceLayer

DATA_VERSION_TAG = "dagster/data_version"
LIMA = ZoneInfo("America/Lima")  # a release is named by the day in Lima
_PREVIEWED_ROWS, _PREVIEWED_COLUMNS = 8, 9
_SEVERITY = {"critical": dg.AssetCheckSeverity.ERROR, "warning": dg.AssetCheckSeverity.WARN}

Events = Iterator[dg.MaterializeResult | dg.AssetCheckResult]  # type: ignore[type-arg]


def session_of(
    context: dg.AssetExecutionContext,
    data_folder: DataFolder,
    warehouse: WarehouseResource,
    layers: Mapping[str, SourceLayer],
) -> BuildSession:
    """The build session of this run; the first model to ask opens it."""
    data_folder.claim(f"run {context.run_id}")

    def make() -> BuildSession:
        warehouse.files.remove_stale_builds()
        if repaired := warehouse.files.repair():
            context.log.error(repaired)
        return BuildSession(
            warehouse.files,
            data_folder.snapshots(),
            data_folder.lake(),
            layers,
            context.run_id,
            dt.datetime.now(LIMA).date(),
            DecisionStore(Path(data_folder.data_dir) / "linkage"),
        )

    session = warehouse.session(make)
    assert isinstance(session, BuildSession)
    return session


def model_assets(layers: Mapping[str, SourceLayer]) -> list[dg.AssetsDefinition]:
    """An asset for each SQL model."""
    by_table = {f"raw.{layer.table}": layer for layer in layers.values()}
    by_table |= {f"raw.{layer.table}{TOTALS}": layer for layer in layers.values() if layer.has_totals}
    return [_model_asset(model, by_table, layers) for model in load_models().values()]


def _dependencies(model: Model, by_table: Mapping[str, SourceLayer]) -> list[dg.AssetDep]:
    upstream = [dg.AssetDep(table_key(table)) for table in sorted(upstream_of(model))]
    for table in sorted(model.inputs):
        if table in {"raw.source_status", "raw.source_shape"}:
            upstream += [_raw_dependency(layer) for layer in {x.source: x for x in by_table.values()}.values()]
        elif table in by_table:
            upstream.append(_raw_dependency(by_table[table]))
    return upstream


def _raw_dependency(layer: SourceLayer) -> dg.AssetDep:
    mapping = dg.AllPartitionMapping() if layer.is_by_fiscal_year else None
    return dg.AssetDep(raw_key(layer), partition_mapping=mapping)


def _model_asset(
    model: Model, by_table: Mapping[str, SourceLayer], layers: Mapping[str, SourceLayer]
) -> dg.AssetsDefinition:
    key = table_key(model.table)
    contract = read_contract(model.about.contract) if model.about.contract else None
    checks = [
        dg.AssetCheckSpec(name, asset=key, description=meaning, blocking=blocking)
        for name, meaning, blocking in (planned_checks(contract) if contract else [])
    ]
    sources = sorted({by_table[t].institution for t in model.inputs if t in by_table})
    step = steps(None)[model.table] if model.is_step else None
    code = model.sql + (step.code_version if step else "")

    @dg.multi_asset(
        name=key.path[-1],
        specs=[
            dg.AssetSpec(
                key=key,
                deps=_dependencies(model, by_table),
                description=f"One row is {model.about.grain.split(' | ')[-1]}. {model.about.description.en}.\n\n"
                f"**Una fila**: {model.about.grain.split(' | ')[0]}. {model.about.description.es}.\n\n"
                f"**Source**: {model.about.source}" + ("" if not model.sql else f"\n\n```sql\n{model.sql}\n```"),
                group_name=model.layer,
                kinds={"duckdb", "python" if model.is_step else "sql"},
                owners=owners_of(sources[0]) if len(sources) == 1 else OWNERS,
                tags={"layer": model.layer} | ({"source": sources[0]} if len(sources) == 1 else {}),
                code_version=hashlib.sha256(code.encode()).hexdigest()[:12],
                metadata={
                    "dagster/table_name": model.table,
                    "dagster/code_references": _code_of(model),
                    "dagster/column_schema": dg.TableSchema(
                        [dg.TableColumn(c.name, c.type, c.comment) for c in model.about.columns]
                    ),
                }
                | {n: dg.MetadataValue.md(v) for n, v in (step.about if step else {}).items()},
            )
        ],
        check_specs=checks,
    )
    def sql_model(context: dg.AssetExecutionContext, data_folder: DataFolder, warehouse: WarehouseResource) -> Events:
        session = session_of(context, data_folder, warehouse, layers)
        built = session.build(model.table)
        report_built(context, session, [key])
        for problem in session.steps[model.table].problems() if model.is_step else ():
            context.log.warning("Not understood, left in its file: %s", problem)
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={**_metadata(built), **_preview(session.con, model)},
            data_version=dg.DataVersion(built.fingerprint),
        )
        for outcome in built.outcomes:
            page = data_folder.quality_page(f"{page_of(model.table)}#{outcome.rule_id}")
            yield _check_result(key, outcome, page)
        if any(o.is_blocking and not o.passed for o in built.outcomes):
            return  # Dagster stops what is downstream; nothing is published
        _publish_after_partial_run(context, session, data_folder, warehouse, model.table)

    return sql_model


def _code_of(model: Model) -> dg.CodeReferencesMetadataValue:
    """The model's own files, which the UI opens; Dagster adds where the asset is defined."""
    home = FOLDER / model.layer
    files = {"description": home / f"{model.name}.yml", "SQL": home / f"{model.name}.sql"}
    return dg.CodeReferencesMetadataValue(
        code_references=[
            dg.LocalFileCodeReference(file_path=str(p), label=label) for label, p in files.items() if p.exists()
        ]
    )


def _metadata(built: Built) -> dict[str, dg.MetadataValue | dg.TableColumnLineage | int | bool]:
    deps = {
        column: [dg.TableColumnDep(*pair) for pair in dict.fromkeys((_lineage_key(t), name) for t, name in sources)]
        for column, sources in built.lineage.items()
    }
    return {
        "dagster/row_count": built.rows,
        "dagster/column_lineage": dg.TableColumnLineage(deps),
        "is_reused": built.is_reused,
    }


def _preview(con: duckdb.DuckDBPyConnection, model: Model) -> dict[str, dg.MetadataValue]:
    """The first rows of a mart as a table, so that a glance at the run shows what it built."""
    if model.layer != "marts":
        return {}
    columns = [c.name for c in model.about.columns if not c.name.endswith("_en")][:_PREVIEWED_COLUMNS]
    named = ", ".join(f'"{c}"' for c in columns)
    rows = con.execute(f"select {named} from {model.table} limit {_PREVIEWED_ROWS}").fetchall()
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return {"preview": dg.MetadataValue.md("\n".join(lines))}


def _cell(value: object) -> str:
    """A value inside a Markdown table: nothing in a name can break out of it."""
    if isinstance(value, float):
        return f"{value:,.2f}"
    text = "" if value is None else str(value)
    return html.escape(text).replace("|", "&#124;").replace("\n", " ")[:80]


def _lineage_key(table: str) -> dg.AssetKey:
    """The asset that a column comes from: accepted rows are those of the staging model, raw and seeds keep their names."""
    layer, name = table.split(".")
    if layer == "previous":
        return dg.AssetKey(f"previous_{name}")
    if layer in {"raw", "seeds"}:
        return dg.AssetKey(f"{layer.removesuffix('s')}_{name}")
    return table_key(table.replace("accepted.", "staging.", 1))


def _check_result(key: dg.AssetKey, outcome: Outcome, page: dg.MetadataValue) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=outcome.name,
        passed=outcome.passed,
        severity=_SEVERITY[outcome.severity],
        description="" if outcome.passed else f"{outcome.reason_es} | {outcome.reason_en}",
        metadata={
            "rows_checked": outcome.rows_checked,
            "rows_failed": outcome.rows_failed,
            "rows_waived": outcome.rows_waived,
            "sample_keys": list(outcome.sample_keys),
            "level": outcome.level,
            "dimension": outcome.dimension,
            "quality_report": page,
        },
    )


def _publish_after_partial_run(
    context: dg.AssetExecutionContext,
    session: BuildSession,
    data_folder: DataFolder,
    warehouse: WarehouseResource,
    table: str,
) -> None:
    """A run of some models only ends like a whole one: with its last model the build takes the published file's place."""
    selected = selected_keys(context)
    if PUBLISHED in selected:
        return
    if session.pending is None:
        session.pending = {t for t in session.models if table_key(t) in selected}
    session.pending.discard(table)
    if not session.pending:
        release = publish_release(context, session, data_folder)
        with warehouse.get_connection() as con:
            write_site(con, Path(data_folder.data_dir) / "quality")
        context.log.info("Published %s", release.release_id)


def report_built(
    context: dg.AssetExecutionContext, session: BuildSession, reported_by_the_step: Sequence[dg.AssetKey] = ()
) -> None:
    """Report tables that were not current and were built on the way to the UI, but for what the step reports itself."""
    for table in session.unreported:
        built, key = session.built[table], table_key(table)
        if key not in reported_by_the_step:
            context.log.warning("%s was not current and was built on the way", key.to_user_string())
            tags = {DATA_VERSION_TAG: built.fingerprint}
            context.log_event(dg.AssetMaterialization(key, metadata=_metadata(built), tags=tags))
    session.unreported.clear()


def publish_release(context: dg.AssetExecutionContext, session: BuildSession, data_folder: DataFolder) -> Release:
    """Publish; tables that no step of this run built are reported to the UI, and exports of an older release say that they are."""
    release = publish(session)
    report_built(context, session)
    for folder in mark_superseded(Path(data_folder.data_dir), release.release_id):
        context.log.info("%s is of an older release until it is written again", folder)
    return release


def selected_keys(context: dg.AssetExecutionContext) -> Sequence[dg.AssetKey]:
    """Every asset of this run."""
    return list(context.op_execution_context.job_def.asset_layer.selected_asset_keys)
