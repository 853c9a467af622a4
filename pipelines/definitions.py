"""The one place where everything is put together.

Belongs here: assembly. Does not: anything that could live in another module.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets.exports import FERM_PUSH, export_assets
from assets.models import model_assets
from assets.published import published_warehouse
from assets.quality_site import quality_site
from assets.raw import raw_assets
from assets.report import report
from assets.submission_answers import submission_answers
from pipelines.inbox_sensor import inbox_sensor
from pipelines.jobs import nightly_job, push_job, schedules
from pipelines.settings import TOKEN_PREFIX, Settings
from pipelines.watch import run_sensors, watch_jobs, watch_schedules
from resources.data_folder import DataFolder, keep_private
from resources.snapshots import SnapshotStore
from resources.warehouse_resource import WarehouseResource
from restoration.sources.register import (
    ROOT,
    SourceLayer,
    all_hosts,
    all_layers,
    first_fiscal_year,
    institution_of_host,
)

warnings.filterwarnings("ignore", category=dg.BetaWarning)  # code references are beta

ORIGIN = "restauracion/origin"  # tag of assets, jobs and runs: `sandbox` (synthetic data of a miniature Peru) or `live`


def build_definitions(settings: Settings, layers: Mapping[str, SourceLayer] | None = None) -> dg.Definitions:
    """Assets, job, schedule and resources for the given settings; tests call it with their own, and with registers of their own."""
    layers = layers or all_layers()
    fiscal_years = settings.fiscal_years(first_fiscal_year(layers))
    origin = {ORIGIN: "sandbox" if settings.hosts_file else "live"}
    by_year = [layer.source for layer in layers.values() if layer.is_by_fiscal_year]
    job = nightly_job(origin)
    models = [
        *model_assets(layers),
        published_warehouse(layers),
        submission_answers,
        quality_site,
        *export_assets(),
        report,
    ]
    assets = [*raw_assets(layers, fiscal_years), *models]
    model_keys = [key for definition in models for key in definition.keys if key.path[-1] != FERM_PUSH]
    return dg.Definitions(
        assets=_with_origin(assets, origin),
        jobs=[job, push_job(origin), *watch_jobs(settings)],
        sensors=[
            inbox_sensor(settings.data_dir / "inbox", layers, model_keys, fiscal_years[-1]),
            *run_sensors(settings, layers),
        ],
        schedules=schedules(
            job, fiscal_years, SnapshotStore(settings.data_dir / "snapshots"), by_year, settings.nightly_cron
        )
        + watch_schedules(),
        resources={
            "data_folder": data_folder_of(settings),
            "warehouse": WarehouseResource(database=str(settings.warehouse.published), data_dir=str(settings.data_dir)),
        },
        executor=dg.in_process_executor,  # one process writes the build file; threads do the waiting for servers
    )


def data_folder_of(settings: Settings) -> DataFolder:
    """The data folder with everything that a run needs to know of hosts and limits."""
    return DataFolder(
        data_dir=str(settings.data_dir),
        hosts_file=str(settings.hosts_file) if settings.hosts_file else None,
        connect_timeout_seconds=settings.connect_timeout_seconds,
        read_timeout_seconds=settings.read_timeout_seconds,
        attempts=settings.attempts,
        policies=host_policies(),
        token_variables=token_variables_of(settings),
        insecure_hosts=list(settings.insecure_hosts),
        quality_url=settings.quality_url,
        lock_wait_seconds=settings.lock_wait_seconds,
        min_free_mb=settings.min_free_mb,
    )


def host_policies() -> dict[str, dict[str, Any]]:
    """How each host of the registers wants to be treated; authorities lie below the project's root."""
    return {
        host: about.model_dump() | {"ca_file": str(ROOT / about.ca_file) if about.ca_file else ""}
        for host, about in all_hosts().items()
    }


def token_variables_of(settings: Settings) -> dict[str, str]:
    """Which environment variable holds the token of which host."""
    variables = {host: f"{TOKEN_PREFIX}{institution.upper()}" for host, institution in institution_of_host().items()}
    return {host: name for host, name in variables.items() if name in settings.token_variables}


def _with_origin(assets: list[dg.AssetsDefinition], origin: Mapping[str, str]) -> list[dg.AssetsDefinition]:
    """Every asset says where its figures come from, in a tag and in its metadata, and in which file it is defined."""
    marked = dg.map_asset_specs(
        lambda s: s.replace_attributes(tags={**s.tags, **origin}, metadata={**s.metadata, "origin": origin[ORIGIN]}),
        assets,
    )
    return [asset for asset in dg.with_source_code_references(list(marked)) if isinstance(asset, dg.AssetsDefinition)]


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads; read from the environment when it is asked for, not when this module is imported."""
    keep_private()  # sensors write incidents, and no run's resource has claimed the folder for them
    return build_definitions(Settings.from_env())
