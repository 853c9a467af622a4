"""Registers: what they must contain, and what happens when one requires more than a source sent."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from resources.errors import ColumnsMissing
from resources.http import Http
from resources.lake import Lake
from resources.snapshots import SnapshotStore
from resources.warehouse import WarehouseFiles
from restoration.build.session import BuildSession
from restoration.sources.extraction import Extraction
from restoration.sources.register import RegisterError, SourceLayer, all_layers, first_fiscal_year
from sandbox.servers.app import SandboxServers
from sandbox.world import World

REGISTER = """
institution: minam
name_es: Ministerio
ubigeo_system: inei
licence: l
disclaimer: d
layers:
  x: {kind: arcgis, title_es: a, title_en: b, url: "https://h/x", layer: X, cadence: yearly, fields: {object_id: OBJECTID}}
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("layer: X, ", "", "arcgis.layer\n  Field required"),
        ("kind: arcgis", "kind: wfs", "wfs.unique_attribute\n  Field required"),
        ("kind: arcgis", "kind: ftp", "'arcgis', 'wfs'"),
        ("cadence: yearly", "cadance: yearly", "cadance"),
        ("ubigeo_system: inei", "ubigeo_system: sunat", "ubigeo_system"),
        ("cadence: yearly", "cadence: yearly, allowed_shrink: 40", "allowed_shrink"),
    ],
)
def test_a_typo_in_a_register_is_an_error_that_names_the_field(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "minam.yml").write_text(REGISTER.replace(old, new))
    with pytest.raises(RegisterError, match=words):
        all_layers(tmp_path)


def test_the_url_of_a_fiscal_year_follows_the_years_it_holds_for(layers: dict[str, SourceLayer]) -> None:
    budget = layers["mef.budget_execution"]
    assert budget.url_for("2024").endswith("/2024-Gasto-Devengado.csv")
    assert budget.url_for("2026").endswith("/2026-Gasto-Devengado-Mensual.csv")
    assert first_fiscal_year(layers) == 2020


def test_a_field_that_the_register_newly_requires_is_never_filled_with_null(
    tmp_path: Path, world: World, layers: dict[str, SourceLayer]
) -> None:
    layer = layers["minam.degradation"]
    store, lake = SnapshotStore(tmp_path / "snapshots"), Lake(tmp_path / "lake")
    with SandboxServers(world) as servers:
        assert Extraction(Http(hosts=servers.base_urls), store, lake).refresh(layer, "2024").error is None
    stricter = layer.model_copy(update={"fields": {**layer.fields, "cause": "CAUSA"}})
    session = BuildSession(
        WarehouseFiles(tmp_path / "warehouse"), store, lake, {stricter.source: stricter}, "run", dt.date(2026, 1, 1)
    )
    try:
        with pytest.raises(ColumnsMissing, match="CAUSA"):
            session.build("staging.stg_minam__degradation")
    finally:
        session.close()


def test_raw_parquet_is_rebuilt_from_the_snapshot(tmp_path: Path, world: World, layers: dict[str, SourceLayer]) -> None:
    store, lake = SnapshotStore(tmp_path / "snapshots"), Lake(tmp_path / "lake")
    with SandboxServers(world) as servers:
        extraction = Extraction(Http(hosts=servers.base_urls), store, lake)
        jobs = [
            (layers[s], p)
            for s, p in (("minam.degradation", "2024"), ("inei.districts", None), ("mef.budget_execution", "2020"))
        ]
        done = extraction.refresh_all(jobs)
    for refreshed in done:
        assert refreshed.manifest
        path = lake.path(refreshed.layer.source, refreshed.partition, refreshed.manifest.snapshot_id)
        before = path.read_bytes()
        path.unlink()
        assert Extraction(Http(), store, lake).restore(refreshed.layer, refreshed.partition, refreshed.manifest) == path
        assert path.read_bytes() == before
