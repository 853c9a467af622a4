"""The WFS client against MapServer: its count is a cap, its format may be GML alone, every feature must be received."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import shapely

from resources.errors import ServiceFault
from resources.http import Http
from resources.snapshots import SnapshotStore
from resources.wfs import Wfs

HTTP = Http(attempts=2, first_pause=0.05)


@pytest.mark.parametrize("kind", ["capped", "gml"])
def test_every_feature_comes(mapserver: str, features: pl.DataFrame, tmp_path: Path, kind: str) -> None:
    draft = SnapshotStore(tmp_path).draft()
    fetched = Wfs(HTTP).read_type("mapserver.distritos", f"{mapserver}{kind}.map", "distritos", "id", draft)
    assert fetched.rows == features.height
    assert fetched.rows_at_server == (None if kind == "capped" else features.height), "a cap is not taken for a count"
    received = pl.concat(fetched.frames(), how="diagonal").with_columns(pl.col("id").cast(pl.Int64)).sort("id")
    assert received["id"].to_list() == features["id"].to_list()
    assert received["codigo"].to_list() == features["codigo"].to_list()
    assert received["nombre"].to_list() == features["nombre"].to_list()
    one, other = (shapely.from_wkb(f["geometry"].to_numpy()) for f in (received, features))
    assert shapely.hausdorff_distance(one, other).max() < 1e-6  # GML is written with six decimals
    assert ("gml" in draft.parameters["outputFormat"]) == (kind == "gml")


def test_the_count_of_a_capped_server_is_its_cap(mapserver: str, features: pl.DataFrame) -> None:
    """The reason not to rely on it: 500 `numberMatched` of several thousand."""
    base = {"service": "WFS", "version": "2.0.0", "request": "GetFeature", "typeNames": "distritos"}
    assert Wfs(HTTP).hits("mapserver.distritos", f"{mapserver}capped.map", base) == 500 < features.height


def test_an_unknown_type_is_an_error(mapserver: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceFault):
        Wfs(HTTP).read_type("mapserver.x", f"{mapserver}gml.map", "provincias", "id", SnapshotStore(tmp_path).draft())
