"""The ArcGIS client against Esri's own Koop: less strict than ArcGIS Server, but every feature must be received."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import shapely

from resources import arcgis
from resources.arcgis import ArcGIS
from resources.arcgis_pages import ByIds, ByLastId, ByOffset, ByQuadrants, PagingStrategy
from resources.errors import EmptyAnswer, LayerNotFound
from resources.http import Http
from resources.snapshots import SnapshotStore


@pytest.fixture
def read(koop: str, tmp_path: Path) -> Callable[..., pl.DataFrame]:
    def layer(service: str, name: str, page_size: int = 1_000) -> pl.DataFrame:
        client = ArcGIS(Http(attempts=2, first_pause=0.05), page_size)
        draft = SnapshotStore(tmp_path).draft()
        fetched = client.read_layer(f"koop.{service}", f"{koop}/{service}/FeatureServer", name, draft)
        frame = pl.concat(fetched.frames())
        assert frame.height == fetched.rows == fetched.rows_at_server
        return frame

    return layer


def same(received: pl.DataFrame, features: pl.DataFrame) -> None:
    """The features served are those that were received: ids, names and geometries."""
    received = received.with_columns(pl.col("id").cast(pl.Int64)).sort("id")
    assert received["id"].to_list() == features["id"].to_list()
    assert received["codigo"].to_list() == features["codigo"].to_list()
    assert received["nombre"].to_list() == features["nombre"].to_list()
    assert received["_geometry_fault"].null_count() == received.height
    one, other = (shapely.from_wkb(f["geometry"].to_numpy()) for f in (received, features))
    assert shapely.equals(shapely.normalize(one), shapely.normalize(other)).all()


@pytest.mark.parametrize("page_size", [300, 1_000, 50_000])
@pytest.mark.parametrize(("service", "name"), [("distritos", "Distritos"), ("sin_id", "Sin id")])
def test_every_feature_comes_at_any_page_size(
    read: Callable[..., pl.DataFrame], features: pl.DataFrame, service: str, name: str, page_size: int
) -> None:
    same(read(service, name, page_size), features)


@pytest.mark.parametrize("way", [ByOffset(), ByLastId(), ByIds(), ByQuadrants()], ids=lambda way: way.name)
def test_every_way_of_paging_brings_every_feature(
    read: Callable[..., pl.DataFrame], features: pl.DataFrame, way: PagingStrategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arcgis, "paging_strategies", lambda _: [way])
    same(read("distritos", "Distritos"), features)


def test_ids_that_koop_makes_cannot_be_filtered_and_no_row_is_lost_by_it(
    read: Callable[..., pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`OBJECTID > -1` finds nothing there: an answer without rows is refused, and the ladder goes on to another way."""
    monkeypatch.setattr(arcgis, "paging_strategies", lambda _: [ByLastId()])
    with pytest.raises(EmptyAnswer):
        read("sin_id", "Sin id")


def test_a_layer_that_is_not_there(read: Callable[..., pl.DataFrame]) -> None:
    with pytest.raises(LayerNotFound, match="Distritos"):
        read("distritos", "Provincias")
