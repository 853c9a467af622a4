"""Makes the miniature Peru on disk: what servers serve and, beside it, the hidden truth that only tests read.

Belongs here: the order of generation, the folder's layout, how each part is written. Does not: generating any part,
later days (days/).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import shapely

from sandbox.budget import make_budget
from sandbox.geography import Ground, area_ha, make_ground
from sandbox.inbox import write_inbox
from sandbox.initiatives import Initiative, make_initiatives, make_registries
from sandbox.investments import make_investments
from sandbox.surroundings import make_surroundings
from sandbox.witnesses import (
    LONG_FROM,
    closed_investments,
    consulta_amigable,
    crosswalk,
    district_archive,
    ferm,
    gaps,
    long_file,
)

DEFAULT_SEED = 2030
LAST_FISCAL_YEAR = 2025
MADE_AT = dt.datetime(2025, 12, 31, 12, tzinfo=dt.UTC)  # the Last-Modified of every file


@dataclass(frozen=True)
class World:
    """A generated world: `layers/*.parquet` and `files/*.csv` are served, `truth/*` is for tests."""

    folder: Path

    @property
    def layers(self) -> Path:
        """Features of each layer: attributes and the Esri JSON of the geometry."""
        return self.folder / "layers"

    @property
    def files(self) -> Path:
        """Files of MEF and Invierte.pe."""
        return self.folder / "files"

    @property
    def inbox(self) -> Path:
        """What institutions left in the inbox, a folder each."""
        return self.folder / "inbox"

    @property
    def truth(self) -> Path:
        """The true values; the pipeline never reads them."""
        return self.folder / "truth"

    @cached_property
    def about(self) -> dict[str, Any]:
        """Seed and scale; on later days also the day, its date, its events, bad servers, renamed fields and what the register learnt."""
        about: dict[str, Any] = json.loads((self.folder / "world.json").read_text(encoding="utf-8"))
        return about

    @property
    def events(self) -> list[str]:
        """What happened on the day, each with how many records, files or codes it touched."""
        path = self.truth / "events.json"
        happened = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        return [f"{e['name'].replace('_', ' ')} ({len(e['subjects'])})" for e in happened]

    @property
    def last_fiscal_year(self) -> int:
        """The current fiscal year."""
        return int(self.about.get("last_fiscal_year", LAST_FISCAL_YEAR))


def world_at(parent: Path, seed: int = DEFAULT_SEED, scale: float = 1.0, day: int = 0) -> World:
    """The world of this seed and scale on a day, below `parent`, generated unless it is there complete."""
    folder = folder_of(parent, seed, scale, day)
    if folder.exists():
        return World(folder)
    if day == 0:
        return put_in_place(parent, folder, lambda world: _make(world, seed, scale))
    from sandbox.days.life import Life  # it begins with the world of day 0

    with Life(parent, seed, scale) as life:
        return life.world(day)


def folder_of(parent: Path, seed: int, scale: float, day: int) -> Path:
    """Where a world lies."""
    return parent / f"world-{seed}-{scale:g}-{_code_version()}{f'-day{day}' if day else ''}"


def put_in_place(parent: Path, folder: Path, make: Callable[[World], None]) -> World:
    """Generate a world beside its folder and move it there when complete."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as scratch:
        created = Path(scratch) / "world"
        make(World(created))
        try:
            os.replace(created, folder)
        except OSError:  # another process generated the same world meanwhile; worlds of one seed are equal
            if not folder.exists():
                raise
    return World(folder)


@cache
def _code_version() -> str:
    """Changes with the code that makes worlds and the seeds it reads, so that an old world is never served as a new one."""
    here = Path(__file__).parent
    sources = sorted([*here.glob("*.py"), *here.glob("days/*.py"), *(here.parent / "dbt_like_sql/seeds").glob("*.csv")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:10]


def _make(world: World, seed: int, scale: float) -> None:
    for folder in (world.layers, world.files, world.truth):
        folder.mkdir(parents=True)
    ground = make_ground(seed, scale)
    initiatives = make_initiatives(seed, scale, ground)
    registries = make_registries(seed, initiatives)
    budget = make_budget(seed, scale, initiatives)
    _write_ground(world, ground)
    registries.minam_polygons.write_parquet(world.layers / "minam_polygons.parquet")
    registries.minam_points.write_parquet(world.layers / "minam_points.parquet")
    registries.serfor_polygons.write_parquet(world.layers / "serfor_polygons.parquet")
    for year, frame in budget.files.items():
        write_budget(world, year, frame)
    investments = make_investments(seed, scale, initiatives)
    closed, deactivated = closed_investments(seed, investments)
    write_csv(world, "DETALLE_INVERSIONES", investments)
    write_csv(world, "CIERRE_INVERSIONES", closed)
    write_csv(world, "INVERSIONES_DESACTIVADAS", deactivated)
    write_csv(world, "INVERSIONES_BRECHAS", gaps(seed, investments, initiatives))
    (world.files / "ferm.json").write_bytes(orjson.dumps(ferm(seed, initiatives)))
    write_crosswalk(world, crosswalk())
    (world.files / "Distrito.rar").write_bytes(district_archive(ground.districts))
    for name, frame in make_surroundings(seed, ground).items():
        write_layer(world, name, frame)
    write_inbox(world.inbox, seed, ground)
    write_truth(world, initiatives, registries.truth_records, registries.truth_areas, ground.districts)
    budget.truth_spending.write_parquet(world.truth / "spending.parquet")
    for path in world.files.iterdir():
        os.utime(path, (MADE_AT.timestamp(), MADE_AT.timestamp()))
    (world.folder / "world.json").write_text(json.dumps({"seed": seed, "scale": scale, "is_sandbox": True}))


def write_budget(world: World, year: int, frame: pl.DataFrame) -> None:
    """A year's wide file, the long one where MEF has one, and the page of Consulta Amigable."""
    monthly = "" if year < 2025 else "-Mensual"
    write_csv(world, f"{year}-Gasto-Devengado{monthly}", frame)
    if year >= LONG_FROM:
        write_csv(world, f"{year}-Gasto{monthly}", long_file(frame))
    (world.files / f"consulta_{year}.html").write_text(consulta_amigable(year, frame), encoding="utf-8")


def write_crosswalk(world: World, codes: pl.DataFrame) -> None:
    """The table of codes, in the encoding it is published in."""
    text = codes.write_csv(quote_style="always")
    (world.files / "ubigeo_equivalencia_inei_reniec.csv").write_bytes(text.encode("latin-1"))


def write_csv(world: World, name: str, frame: pl.DataFrame) -> None:
    """A file as MEF and Invierte.pe publish theirs."""
    frame.write_csv(world.files / f"{name}.csv", include_bom=True, quote_style="always")


def _esri(wkb: bytes) -> str:
    """Esri JSON of a polygon: shells clockwise, holes counter-clockwise."""
    rings: list[list[list[float]]] = []
    for part in shapely.get_parts(shapely.from_wkb(wkb)):
        turned = shapely.orient_polygons(part, exterior_cw=True)
        rings += [shapely.get_coordinates(ring).tolist() for ring in (turned.exterior, *turned.interiors)]
    return orjson.dumps({"rings": rings}).decode()


def write_layer(world: World, name: str, frame: pl.DataFrame) -> None:
    """Features with an object id and the Esri JSON of their WKB `geometry`."""
    frame.with_columns(
        OBJECTID=pl.int_range(1, frame.height + 1, dtype=pl.Int64),
        geometry=pl.Series([_esri(wkb) for wkb in frame["geometry"]]),
    ).write_parquet(world.layers / f"{name}.parquet")


def _write_ground(world: World, ground: Ground) -> None:
    for year, frame in ground.degradation.items():
        write_degradation(world, year, frame)
    write_layer(
        world,
        "ecosystems",
        ground.ecosystems.select(
            ECO_LAYER=pl.lit("ECOSISTEMAS"), ECOSISTEMA="ecosystem_name", SIMBOLO=pl.lit(" "), geometry="geometry"
        ),
    )
    write_layer(world, "protected_areas", ground.protected_areas)
    write_districts(world, ground.districts)
    for level, digits, columns in (
        ("provinces", 4, {"provincia": "province_name", "departamen": "department_name"}),
        ("departments", 2, {"departamen": "department_name"}),
    ):
        units = ground.districts.with_columns(pl.col("ubigeo").str.slice(0, digits)).sort("ubigeo")
        merged = [
            {
                "ubigeo": unit,
                **{theirs: frame[ours][0] for theirs, ours in columns.items()},
                "geometry": shapely.to_geojson(shapely.union_all(shapely.from_wkb(frame["geometry"].to_numpy()))),
            }
            for (unit,), frame in units.partition_by("ubigeo", as_dict=True).items()
        ]
        pl.DataFrame(merged).write_parquet(world.layers / f"{level}.parquet")


def write_degradation(world: World, year: int, frame: pl.DataFrame) -> None:
    """One year's layer of degradation."""
    columns = frame.select(GRADO="degree", FUENTE=pl.lit(f"MINAM {year}"), geometry="geometry")
    write_layer(world, f"degradation_{year}", columns)


def write_districts(world: World, districts: pl.DataFrame) -> None:
    """The districts as INEI's WFS serves them."""
    districts.select(
        ubigeo="ubigeo",
        departamen="department_name",
        provincia="province_name",
        distrito="district_name",
        capital="capital_name",
        geometry=pl.Series([shapely.to_geojson(g) for g in shapely.from_wkb(districts["geometry"])]),
    ).write_parquet(world.layers / "districts.parquet")


def write_truth(
    world: World, initiatives: Sequence[Initiative], records: pl.DataFrame, areas: pl.DataFrame, districts: pl.DataFrame
) -> None:
    """The true values, except the money."""
    footprints = np.array([shapely.union_all(i.parts) for i in initiatives], dtype=object)
    pl.DataFrame(
        {
            "initiative_key": [i.key for i in initiatives],
            "kind": [i.kind for i in initiatives],
            "name": [i.name for i in initiatives],
            "cui": [i.cui for i in initiatives],
            "status": [i.status for i in initiatives],
            "ubigeo": [i.ubigeo for i in initiatives],
            "footprint_ha": area_ha(footprints),
            "footprint": shapely.to_wkb(footprints),
        }
    ).write_parquet(world.truth / "initiatives.parquet")
    records.write_parquet(world.truth / "records.parquet")
    areas.write_parquet(world.truth / "areas.parquet")
    kept = areas.filter(pl.col("quarantine_reason").is_null())
    held = dict(zip((i.key for i in initiatives), footprints, strict=True))
    union = shapely.union_all([held[key] for key in sorted(set(kept["initiative_key"]))])
    districts.select("ubigeo", "area_ha").write_parquet(world.truth / "districts.parquet")
    summary = {
        "records": records.height,
        "accepted_areas": kept.height,
        "gross_ha": float(kept["area_ha"].sum()),
        "net_ha": float(area_ha([union])[0]),
    }
    (world.truth / "summary.json").write_text(json.dumps(summary))
