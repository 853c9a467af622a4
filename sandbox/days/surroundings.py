"""What the ground's layers do from one day to the next: a new year of degradation, a protected area, a district that is split.

Belongs here: events of layers that are no register of initiatives. Does not: those of registries (registries.py).
Each returns what it touched.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import shapely

from sandbox.days.country import Country
from sandbox.geography import area_ha, blob, rounded

NEW_DEGRADATION_YEAR = 2025


def new_degradation_year(country: Country) -> list[str]:
    """A new year's layer: what was degraded the year before, but for a few polygons that recovered."""
    last = country.ground.degradation[NEW_DEGRADATION_YEAR - 1]
    country.ground.degradation[NEW_DEGRADATION_YEAR] = last.tail(last.height - 5)
    country.changed.add(f"degradation_{NEW_DEGRADATION_YEAR}")
    return [str(NEW_DEGRADATION_YEAR)]


def new_protected_area(country: Country) -> list[str]:
    """A protected area is declared around an initiative."""
    key = sorted(country.initiatives)[int(country.random("protected").integers(len(country.initiatives)))]
    centre = shapely.centroid(country.initiatives[key].parts[0])
    shape = blob(country.random("protected shape"), centre.x, centre.y, 9_000.0, 60)
    known = country.ground.protected_areas
    row = {
        "anp_codi": f"RC{len(known) + 1:03d}",
        "anp_nomb": f"Área sandbox nueva {country.day}",
        "anp_cate": "RC",
        "geometry": shapely.to_wkb(shape),
    }
    country.ground = dataclasses.replace(
        country.ground, protected_areas=pl.concat([known, pl.DataFrame([row], schema=known.schema)])
    )
    country.changed.add("protected_areas")
    return [row["anp_nomb"]]


def split_district(country: Country) -> list[str]:
    """The largest district of a department becomes two; the eastern half gets the next free code of its province."""
    frame = country.ground.districts
    departments = sorted(set(frame["ubigeo"].str.slice(0, 2).to_list()))
    department = departments[int(country.random("district").integers(len(departments)))]
    row = frame.filter(pl.col("ubigeo").str.starts_with(department)).sort("area_ha", "ubigeo").row(-1, named=True)
    whole = shapely.from_wkb(row["geometry"])
    west, south, east, north = whole.bounds
    middle = (west + east) / 2
    halves = [
        shapely.intersection(whole, shapely.box(*box))
        for box in ((west, south, middle, north), (middle, south, east, north))
    ]
    halves = list(rounded(np.array(halves, dtype=object)))
    province = row["ubigeo"][:4]
    taken = frame.filter(pl.col("ubigeo").str.starts_with(province))["ubigeo"].to_list()
    code = f"{province}{max(int(c[4:]) for c in taken) + 1:02d}"
    hectares = area_ha(halves)
    new = row | {
        "ubigeo": code,
        "district_name": f"Nueva {row['district_name']}",
        "geometry": shapely.to_wkb(halves[1]),
        "area_ha": float(hectares[1]),
    }
    is_old = pl.col("ubigeo") == row["ubigeo"]
    kept = frame.with_columns(
        geometry=pl.when(is_old).then(pl.lit(shapely.to_wkb(halves[0]))).otherwise(pl.col("geometry")),
        area_ha=pl.when(is_old).then(float(hectares[0])).otherwise(pl.col("area_ha")),
    )
    country.ground = dataclasses.replace(
        country.ground, districts=pl.concat([kept, pl.DataFrame([new], schema=frame.schema)])
    )
    country.changed.add("districts")
    return [row["ubigeo"], code]


def crosswalk_follows(country: Country) -> list[str]:
    """The table of codes learns of districts that were split."""
    known = set(country.codes["UBIGEO_INEI"].to_list())
    new = country.ground.districts.filter(~pl.col("ubigeo").is_in(known))
    rows = new.select(
        UBIGEO_INEI="ubigeo",
        UBIGEO_RENIEC="ubigeo",
        DEPARTAMENTO="department_name",
        PROVINCIA="province_name",
        DISTRITO="district_name",
    )
    country.codes = pl.concat([country.codes, rows])
    country.changed.add("codes")
    return new["ubigeo"].to_list()
