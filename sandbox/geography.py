"""The ground of the miniature Peru: outline, districts, ecosystems, degradation, protected areas.

Belongs here: geometry generated from the capitals' coordinates and a seed. Does not: initiatives, money, servers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from dbt_like_sql.seeds import read_seed

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
GeometryArray = np.ndarray[Any, np.dtype[np.object_]]

COORDINATE_DECIMALS = 7  # about a centimetre; shared corners round alike, so the partition keeps no gap

# Simplified outline, longitude and latitude, from the Ecuadorian coast clockwise over the south. Good to some 20 km.
OUTLINE = [
    (-80.34, -3.38),
    (-80.90, -3.75),
    (-81.10, -4.10),
    (-81.36, -4.60),
    (-81.20, -5.10),
    (-80.95, -5.45),
    (-81.20, -5.85),
    (-80.80, -6.20),
    (-80.00, -6.85),
    (-79.62, -7.40),
    (-79.15, -8.20),
    (-78.68, -9.10),
    (-78.25, -10.05),
    (-77.85, -10.75),
    (-77.70, -11.12),
    (-77.22, -12.06),
    (-76.85, -12.40),
    (-76.48, -13.05),
    (-76.30, -13.60),
    (-76.42, -13.90),
    (-76.28, -14.30),
    (-75.60, -14.95),
    (-75.25, -15.42),
    (-74.30, -15.90),
    (-73.40, -16.35),
    (-72.75, -16.70),
    (-72.05, -17.08),
    (-71.42, -17.60),
    (-71.05, -17.95),
    (-70.40, -18.36),
    (-69.95, -18.20),
    (-69.75, -17.75),
    (-69.48, -17.50),
    (-69.65, -17.28),
    (-69.05, -16.65),
    (-68.83, -16.32),
    (-69.05, -15.90),
    (-69.35, -15.35),
    (-69.15, -14.95),
    (-69.00, -14.40),
    (-68.87, -14.10),
    (-68.97, -13.55),
    (-68.67, -12.56),
    (-69.57, -10.95),
    (-70.63, -11.01),
    (-70.62, -9.83),
    (-71.40, -10.00),
    (-72.18, -10.00),
    (-72.35, -9.50),
    (-73.20, -9.41),
    (-73.00, -9.00),
    (-73.53, -8.35),
    (-74.00, -7.55),
    (-73.72, -7.34),
    (-73.75, -6.90),
    (-73.12, -6.45),
    (-73.23, -6.00),
    (-72.87, -5.15),
    (-71.85, -4.50),
    (-70.95, -4.38),
    (-69.95, -4.30),
    (-70.30, -3.80),
    (-70.72, -3.78),
    (-70.05, -2.75),
    (-71.45, -2.25),
    (-72.00, -2.35),
    (-72.95, -2.45),
    (-73.55, -1.75),
    (-74.25, -1.00),
    (-75.20, -0.03),
    (-75.28, -0.11),
    (-75.23, -0.97),
    (-75.55, -1.55),
    (-76.65, -2.57),
    (-77.85, -3.00),
    (-78.35, -3.40),
    (-78.35, -4.00),
    (-78.70, -4.60),
    (-79.05, -5.00),
    (-79.50, -4.50),
    (-80.00, -4.32),
    (-80.45, -4.45),
    (-80.35, -4.00),
    (-80.20, -3.90),
    (-80.18, -3.45),
]

# Degraded hectares a year: 19.3 M in 2022 is the published figure; the other years are interpolated for the sandbox.
DEGRADED_HA_BY_YEAR = {
    2014: 16.7e6,
    2015: 16.9e6,
    2016: 17.2e6,
    2017: 17.5e6,
    2018: 17.7e6,
    2019: 17.84e6,
    2020: 18.62e6,
    2021: 18.95e6,
    2022: 19.3e6,
    2023: 19.6e6,
    2024: 19.9e6,
}

_to_equal_area = Transformer.from_crs(4326, 6933, always_xy=True)


def area_ha(geometries: GeometryArray | list[BaseGeometry]) -> FloatArray:
    """Hectares in EPSG:6933 by shapely and pyproj: the sandbox's own measure, independent of DuckDB."""

    def project(points: FloatArray) -> FloatArray:
        x, y = _to_equal_area.transform(points[:, 0], points[:, 1])
        return np.column_stack([x, y])

    moved = shapely.transform(np.asarray(geometries, dtype=object), project)
    return np.asarray(shapely.area(moved) / 10_000.0)


def rounded(geometries: GeometryArray) -> GeometryArray:
    """Coordinates rounded to COORDINATE_DECIMALS, so that what a server prints is what the truth measures."""
    return np.asarray(shapely.transform(geometries, lambda points: np.round(points, COORDINATE_DECIMALS)), dtype=object)


@dataclass(frozen=True)
class Ground:
    """The country's polygons; every frame has a WKB column `geometry` in EPSG:4326."""

    outline: BaseGeometry
    districts: pl.DataFrame
    ecosystems: pl.DataFrame
    cells: pl.DataFrame
    degradation: dict[int, pl.DataFrame]
    protected_areas: pl.DataFrame


def make_ground(seed: int, scale: float) -> Ground:
    """Build the ground. `scale` adds ecosystem and degradation polygons; the districts stay 1,891."""
    random = np.random.default_rng([seed, 1])
    capitals = read_seed("districts_inei_2025")
    outline = _outline_around(capitals)
    districts = _districts(capitals, outline)
    cells = _cells(random, outline, capitals, count=int(2_500 * scale**0.5))
    return Ground(
        outline=outline,
        districts=districts,
        ecosystems=_ecosystems(cells),
        cells=cells,
        degradation=_degradation(random, cells),
        protected_areas=_protected_areas(random, outline),
    )


def _outline_around(capitals: pl.DataFrame) -> BaseGeometry:
    """The simplified outline, widened by 6 km around each capital that would fall outside it."""
    points = shapely.points(capitals["capital_lon"].to_numpy(), capitals["capital_lat"].to_numpy())
    rough = shapely.Polygon(OUTLINE)
    outside = points[~shapely.contains(rough, shapely.buffer(points, 0.03))]
    whole = shapely.union_all([rough, *shapely.buffer(outside, 0.055, quad_segs=2)])
    return shapely.Polygon(max(shapely.get_parts(whole), key=shapely.area).exterior)


def _voronoi(points: GeometryArray, outline: BaseGeometry) -> GeometryArray:
    """One cell a point, in the points' order, clipped to the outline and without gaps."""
    diagram = shapely.voronoi_polygons(
        shapely.multipoints(points), extend_to=shapely.buffer(outline, 1.0), ordered=True
    )
    return rounded(np.asarray(shapely.intersection(shapely.get_parts(diagram), outline), dtype=object))


def _districts(capitals: pl.DataFrame, outline: BaseGeometry) -> pl.DataFrame:
    points = shapely.points(capitals["capital_lon"].to_numpy(), capitals["capital_lat"].to_numpy())
    cells = _voronoi(points, outline)
    return capitals.with_columns(geometry=pl.Series(shapely.to_wkb(cells)), area_ha=pl.Series(area_ha(cells)))


def _cells(random: np.random.Generator, outline: BaseGeometry, capitals: pl.DataFrame, count: int) -> pl.DataFrame:
    """A finer partition; each cell is of one ecosystem, chosen by altitude and longitude of its surroundings."""
    west, south, east, north = outline.bounds
    points = np.empty(0, dtype=object)
    while len(points) < count:
        drawn = shapely.points(random.uniform(west, east, count), random.uniform(south, north, count))
        points = np.concatenate([points, drawn[shapely.contains(outline, drawn)]])
    points = points[:count]
    cells = _voronoi(points, outline)
    tree = shapely.STRtree(shapely.points(capitals["capital_lon"].to_numpy(), capitals["capital_lat"].to_numpy()))
    nearest = tree.nearest(points)
    altitude = capitals["capital_altitude_m"].to_numpy()[nearest]
    amazon = np.isin(
        capitals["department_name"].to_numpy()[nearest], ["Loreto", "Ucayali", "Madre de Dios", "San Martín"]
    )
    region = np.select(
        [amazon & (altitude < 700), altitude < 700, altitude < 2_300],
        ["selva_tropical", "costa", "yunga"],
        default="andina",
    )
    # east of the range the lowlands are forest, whatever department the nearest capital lies in
    region = np.where(
        (region == "costa") & (shapely.get_x(points) > -74.5) & (shapely.get_y(points) > -14), "selva_tropical", region
    )
    catalogue = read_seed("ecosystems")
    codes = np.empty(len(points), dtype=object)
    for name in np.unique(region):
        classes = catalogue.filter((pl.col("region_group") == name) & pl.col("is_natural"))["ecosystem_code"].to_numpy()
        weights = 1.0 / np.arange(1, len(classes) + 1)
        chosen = region == name
        codes[chosen] = random.choice(random.permutation(classes), chosen.sum(), p=weights / weights.sum())
    other = random.random(len(points))
    intervened = catalogue.filter(~pl.col("is_natural"))["ecosystem_code"].to_numpy()
    codes = np.where(other < 0.10, random.choice(intervened, len(points)), codes)
    codes = np.where(other > 0.985, random.choice(["E35", "E36"], len(points)), codes)
    # every class of the map occurs at least once, rare ones included
    codes[: catalogue.height] = np.where(
        np.isin(catalogue["ecosystem_code"].to_numpy(), codes),
        codes[: catalogue.height],
        catalogue["ecosystem_code"].to_numpy(),
    )
    return pl.DataFrame(
        {
            "cell_id": np.arange(len(points)),
            "ecosystem_code": codes.astype(str),
            "geometry": shapely.to_wkb(cells),
            "area_ha": area_ha(cells),
        }
    )


def _ecosystems(cells: pl.DataFrame) -> pl.DataFrame:
    """Neighbouring cells of one class dissolved: features of very different size, like the national map's."""
    names = read_seed("ecosystems").select("ecosystem_code", "ecosystem_name")
    geometries = shapely.from_wkb(cells["geometry"].to_numpy())
    rows: list[tuple[str, bytes]] = []
    codes = cells["ecosystem_code"].to_numpy()
    for code in sorted(set(codes)):
        for part in shapely.get_parts(shapely.union_all(geometries[codes == code])):
            if shapely.area(part) > 1e-9:
                rows.append((code, shapely.to_wkb(part)))
    return pl.DataFrame(rows, schema=["ecosystem_code", "geometry"], orient="row").join(
        names, on="ecosystem_code", how="left", maintain_order="left"
    )


def _degradation(random: np.random.Generator, cells: pl.DataFrame) -> dict[int, pl.DataFrame]:
    """Each year a growing set of disjoint, shrunken cells that sums to that year's hectares."""
    order = random.permutation(cells.height)
    geometries = shapely.from_wkb(cells["geometry"].to_numpy())[order]
    # a third of a degraded cell's width stays outside, so that polygons end inside an ecosystem, not on its edge
    inner = rounded(np.asarray(shapely.buffer(geometries, -0.01), dtype=object))
    keep = shapely.area(inner) > 0
    inner, order = inner[keep], order[keep]
    running = np.cumsum(area_ha(inner))
    frame = pl.DataFrame(
        {
            "cell_id": order,
            "ecosystem_code": cells["ecosystem_code"].to_numpy()[order],
            "degree": random.choice(["Leve", "Moderada", "Severa"], len(order), p=[0.5, 0.35, 0.15]),
            "geometry": shapely.to_wkb(inner),
            "area_ha": area_ha(inner),
        }
    )
    return {year: frame.head(int(np.searchsorted(running, total)) + 1) for year, total in DEGRADED_HA_BY_YEAR.items()}


def blob(
    random: np.random.Generator, lon: float, lat: float, hectares: float, vertices: int | None = None
) -> BaseGeometry:
    """A wiggly simple polygon of about `hectares` around a point (degrees)."""
    n = vertices or int(random.integers(12, 40))
    angle = np.sort((np.arange(n) + random.uniform(-0.35, 0.35, n)) * 2 * np.pi / n)
    radius_m = np.sqrt(hectares * 10_000 / np.pi) * random.uniform(0.75, 1.25, n)
    x = lon + radius_m * np.cos(angle) / (111_320 * np.cos(np.radians(lat)))
    y = lat + radius_m * np.sin(angle) / 110_600
    return shapely.Polygon(np.round(np.column_stack([x, y]), COORDINATE_DECIMALS))


def _protected_areas(random: np.random.Generator, outline: BaseGeometry) -> pl.DataFrame:
    """Some hundred areas; codes repeat, as `anp_codi` does (95 codes on 104 rows at the source)."""
    west, south, east, north = outline.bounds
    categories = ["PN", "SN", "SH", "RN", "RVS", "RP", "RC", "BP", "CC"]
    rows: list[dict[str, object]] = []
    while len(rows) < 104:
        lon, lat = random.uniform(west, east), random.uniform(south, north)
        area = shapely.intersection(blob(random, lon, lat, float(random.lognormal(11.2, 1.1)), 60), outline)
        if area.is_empty or area.geom_type != "Polygon":
            continue
        number = 1 + len(rows) * 95 // 104
        category = categories[number % len(categories)]
        rows.append(
            {
                "anp_codi": f"{category}{number:02d}",
                "anp_nomb": f"Área sandbox {number:03d}",
                "anp_cate": category,
                "geometry": shapely.to_wkb(shapely.normalize(area)),
            }
        )
    return pl.DataFrame(rows)
