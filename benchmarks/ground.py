"""Intersecting areas with districts, ecosystems and protected areas, beside geopandas.overlay; growth of net area.

Belongs here: the models of shared and net area on synthetic polygons. Does not: reading layers (extraction.py) or
whole nights (nightly.py).
"""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import shapely

from benchmarks.memory import peak_mib
from benchmarks.parts import run_part

AREAS = 100_000
# metres; the synthetic country is a square, divided into 216 ecosystems, 1,800 districts and 60 protected areas
SIDE = 240_000.0
ECOSYSTEMS = (12, 18)  # columns and rows
DISTRICTS = ((36, 50), (120, 400))  # and fewest and most vertices
MODELS = Path(__file__).parent.parent / "dbt_like_sql" / "core"


def main() -> int:
    """One part, in a process of its own so that memory is its own."""
    part, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    parts = {"ours": _ours, "geopandas": _geopandas, "overlaps": _overlaps}
    print(json.dumps(parts[part](folder, count) | {"peak_mib": round(peak_mib())}))
    return 0


def measure(count: int, vertices: int, sizes: int) -> None:
    """Print ratios, hectares and memory, after checking that both find the same hectares."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, heavy = Path(scratch), (vertices, vertices * 5 // 2)
        _make(folder, count, heavy)
        ours, peer = run_part("ground", "ours", folder, count), run_part("ground", "geopandas", folder, count)
        print(
            f"\nground: {count:,} areas by 1,800 districts, 216 ecosystems of {heavy[0]:,} to {heavy[1]:,} vertices, 60 protected areas"
        )
        print(f"  ours       tiles {ours['tiles_s']:.1f} s, cut {ours['cut_s']:.1f} s, {ours['peak_mib']:,} MiB")
        print(f"  geopandas  {peer['cut_s']:.1f} s, {peer['peak_mib']:,} MiB")
        print(
            f"  geopandas / ours: {peer['cut_s'] / ours['cut_s']:.1f} with tiles there, "
            f"{peer['cut_s'] / (ours['cut_s'] + ours['tiles_s']):.1f} with tiling"
        )
        worst = max(
            abs(ours["hectares"][k] - peer["hectares"].get(k, 0.0)) / max(ours["hectares"][k], 1)
            for k in ours["hectares"]
        )
        print(f"  largest difference of any district, ecosystem or protected area: {worst:.1e} of its hectares")
        if worst > 1e-6:
            raise SystemExit("ours and geopandas find other hectares")
        print("overlaps and net ground at constant density")
        seen = {}
        for size in (count // 4**step for step in reversed(range(sizes))):
            seen[size] = run_part("ground", "overlaps", folder, size)
            found = seen[size]
            print(
                f"  {size:>7,} polygons: {found['pairs']:,} pairs, overlaps {found['overlaps_s']:.2f} s,"
                f" net {found['net_s']:.2f} s, {found['peak_mib']:,} MiB; net − union {found['off_ha']:.1e} ha"
            )
            if found["off_ha"] > 1e-3:
                raise SystemExit("net ground is not the area of the union")
        print(f"  growth exponent {exponent({n: s['overlaps_s'] + s['net_s'] for n, s in seen.items()}):.2f}")


def exponent(seconds: dict[int, float]) -> float:
    """How time grows with size: 1 is in proportion."""
    (small, first), *_, (large, last) = sorted(seconds.items())
    return math.log(last / first) / math.log(large / small)


# -- the synthetic country -----------------------------------------------------------------------------


def _partition(random: np.random.Generator, cells: tuple[int, int], vertices: tuple[int, int]) -> list[shapely.Polygon]:
    """Neighbours that share their wavering borders point by point."""
    columns, rows = cells
    width, height = SIDE / columns, SIDE / rows

    def border(start: tuple[float, float], end: tuple[float, float]) -> np.ndarray[Any, Any]:
        points = int(random.integers(vertices[0] // 4, vertices[1] // 4 + 1))
        along = np.linspace(0, 1, points + 1)
        walk = np.cumsum(random.normal(0, 1, points + 1))
        walk -= walk[0] + (walk[-1] - walk[0]) * along
        walk *= 0.05 * min(width, height) / max(np.abs(walk).max(), 1e-9)
        walk *= np.minimum(1, 10 * np.minimum(along, 1 - along))  # still near the corners, where borders would cross
        (x0, y0), (x1, y1) = start, end
        is_level = y0 == y1
        edge = (start[0] in (0.0, SIDE) and not is_level) or (start[1] in (0.0, SIDE) and is_level)
        swing = 0 * walk if edge else walk
        return np.column_stack(
            [x0 + (x1 - x0) * along + (0 if is_level else swing), y0 + (y1 - y0) * along + (swing if is_level else 0)]
        )

    level = {
        (i, j): border((i * width, j * height), ((i + 1) * width, j * height))
        for i in range(columns)
        for j in range(rows + 1)
    }
    upright = {
        (i, j): border((i * width, j * height), (i * width, (j + 1) * height))
        for i in range(columns + 1)
        for j in range(rows)
    }
    created = []
    for i in range(columns):
        for j in range(rows):
            ring = np.vstack([level[i, j], upright[i + 1, j][1:], level[i, j + 1][::-1][1:], upright[i, j][::-1][1:]])
            created.append(shapely.Polygon(ring))
    return created


def _areas(random: np.random.Generator, count: int, side: float, hectares: float) -> np.ndarray[Any, Any]:
    """Wavering rings of 24 corners."""
    centres = random.uniform(side * 0.02, side * 0.98, (count, 2))
    radius = np.sqrt(hectares * 10_000 / np.pi) * random.uniform(0.5, 1.5, count)
    angles = np.linspace(0, 2 * np.pi, 25)[:-1]
    reach = radius[:, None] * random.uniform(0.85, 1.15, (count, 24))
    rings = np.stack([centres[:, :1] + reach * np.cos(angles), centres[:, 1:] + reach * np.sin(angles)], axis=2)
    return shapely.polygons(rings)  # type: ignore[no-any-return]


def _make(folder: Path, count: int, heavy: tuple[int, int]) -> None:
    random = np.random.default_rng(2030)
    layers = [("ecosystem", p) for p in _partition(random, ECOSYSTEMS, heavy)] + [
        ("district", p) for p in _partition(random, *DISTRICTS)
    ]
    spots = (np.stack(np.meshgrid(np.arange(10), np.arange(6)), axis=-1).reshape(-1, 2) + 0.5) * (SIDE / 10, SIDE / 6)
    layers += [("protected", shapely.Point(x, y).buffer(8_000, quad_segs=60)) for x, y in spots]
    assert all(shape.is_valid for _, shape in layers)
    pl.DataFrame(
        {
            "layer": [layer for layer, _ in layers],
            "code": [f"{layer[0].upper()}{number:04d}" for number, (layer, _) in enumerate(layers)],
            "wkb": [shapely.to_wkb(shape) for _, shape in layers],
        }
    ).write_parquet(folder / "layers.parquet")
    pl.DataFrame(
        {"area_id": [f"A{n:07d}" for n in range(count)], "wkb": shapely.to_wkb(_areas(random, count, SIDE, 30))}
    ).write_parquet(folder / "areas.parquet")


# -- parts ---------------------------------------------------------------------------------------------


def _connect() -> duckdb.DuckDBPyConnection:
    from resources.warehouse import connect
    from restoration.build.session import MACROS

    con = connect()
    con.execute(MACROS.read_text(encoding="utf-8"))
    con.execute("create schema core; create schema seeds")
    return con


def _built(con: duckdb.DuckDBPyConnection, name: str) -> float:
    began = time.perf_counter()
    con.execute(f"create table core.{name} as {(MODELS / f'{name}.sql').read_text(encoding='utf-8')}")
    return time.perf_counter() - began


def _ours(folder: Path, count: int) -> dict[str, Any]:  # noqa: ARG001
    from restoration.ground import GroundTiles

    con = _connect()
    con.execute(
        f"create table layers as select layer, code, if(layer = 'protected', 'national', null) as protection, 1 as zone_order,"
        f" st_setcrs(st_geomfromwkb(wkb), 'EPSG:6933') as equal_area_shape from '{folder}/layers.parquet'"
    )
    began = time.perf_counter()
    con.execute(f"create table core.ground_tiles as {GroundTiles().make(con, dt.date.min, 'select * from layers')}")
    tiles_s = time.perf_counter() - began
    con.execute(
        f"create table core.area_net as select area_id, st_setcrs(st_geomfromwkb(wkb), 'EPSG:6933') as equal_area_shape,"
        f" st_area(st_geomfromwkb(wkb)) / 10000 as net_ha from '{folder}/areas.parquet'"
    )
    con.execute("create table core.areas as select area_id, area_id as initiative_id from core.area_net")
    con.execute("create table core.ecosystems (ecosystem_code varchar, get_efg_code varchar, get_confidence varchar)")
    cut_s = _built(con, "area_pieces") + _built(con, "area_allocations")
    rows = con.execute(
        "select code, sum(net_ha) from (unpivot core.area_allocations on ubigeo, ecosystem_code, protected_area_code into name kind"
        " value code) group by code"
    ).fetchall()
    return {"tiles_s": tiles_s, "cut_s": cut_s, "hectares": dict(rows)}


def _geopandas(folder: Path, count: int) -> dict[str, Any]:  # noqa: ARG001
    import geopandas as gpd

    def frame(path: Path, *columns: str) -> dict[str, Any]:
        table = pl.read_parquet(path)
        return {c: table[c].to_list() for c in columns} | {"geometry": shapely.from_wkb(table["wkb"].to_numpy())}

    layers = gpd.GeoDataFrame(frame(folder / "layers.parquet", "layer", "code"), crs=6933)
    areas = gpd.GeoDataFrame(frame(folder / "areas.parquet", "area_id"), crs=6933)
    hectares: dict[str, float] = {}
    began = time.perf_counter()
    for _, named in layers.groupby("layer"):
        parts = gpd.overlay(areas, named, how="intersection")
        hectares |= (parts.geometry.area / 10_000).groupby(parts["code"]).sum().to_dict()
    cut_s = time.perf_counter() - began
    return {"cut_s": cut_s, "hectares": hectares}


def _overlaps(folder: Path, count: int) -> dict[str, Any]:  # noqa: ARG001
    """`count` polygons on an area in proportion, so that each overlaps about as many others."""
    side = SIDE * math.sqrt(count / AREAS)
    shapes = _areas(np.random.default_rng(7), count, side, 30)
    con = _connect()
    con.execute(
        "create table seeds.ground_tolerances as select * from (values ('sliver_width_m', 1.0), ('redrawn_share', 0.5)) as t (tolerance, amount)"
    )
    created = pl.DataFrame({"area_id": [f"A{n:07d}" for n in range(count)], "wkb": shapely.to_wkb(shapes)}).to_arrow()
    con.register("made", created)
    con.execute(
        "create table core.area_shapes as select area_id, area_id as record_key, 'B' as evidence_class, 'polygon' as geometry_kind,"
        " 1 as status_order, date '2020-01-01' + cast(hash(area_id) % 2000 as integer) as start_date, 1.0 as vertices_per_ha,"
        " st_setcrs(st_geomfromwkb(wkb), 'EPSG:6933') as equal_area_shape, st_area(st_geomfromwkb(wkb)) / 10000 as geometry_ha,"
        " row_number() over (order by hash(area_id)) as turn from made"
    )
    con.execute(
        "create table core.initiative_sources as"
        " select area_id as record_key, area_id as initiative_id, 'minam' as source, 1 as trust_order from core.area_shapes"
    )
    overlaps_s = _built(con, "shared_ground")
    net_s = _built(con, "area_witnesses") + _built(con, "area_net")
    row = con.execute(
        "select (select count(*) from core.shared_ground), (select sum(net_ha) from core.area_net)"
    ).fetchone()
    pairs, net = row or (0, 0.0)
    peak = peak_mib()
    union = shapely.area(shapely.union_all(shapes)) / 10_000
    return {
        "overlaps_s": overlaps_s,
        "net_s": net_s,
        "pairs": pairs,
        "off_ha": abs(net - union),
        "peak_of_models_mib": round(peak),
    }


if __name__ == "__main__":
    sys.exit(main())
