"""Layers around restoration: agreements, measures, interventions, zoning, fragile ecosystems, protected areas, watersheds.

Belongs here: synthetic features in the fields of their institutions. Does not: initiatives (initiatives.py) or how they
are served (catalogue.py, servers/).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import shapely
from shapely.geometry.base import BaseGeometry

from dbt_like_sql.seeds import read_seed
from sandbox.geography import Ground, area_ha, blob, rounded

DIRECTORATES = ("DGOTGIRN", "DGDB", "PNCBMCC")
ZONES = (
    (601, "Bosques de producción permanente"),
    (602, "Bosques de protección y conservación ecológica"),
    (603, "Zonas de recuperación"),
    (604, "Zonas de tratamiento especial"),
    (605, "Tierras agropecuarias"),
)
SUBZONES = {604: ((60401, "Reserva de tierras para comunidades"), (60402, "Agroforestería y silvopastura"))}


def make_surroundings(seed: int, ground: Ground) -> dict[str, pl.DataFrame]:
    """Frames by layer name; `geometry` is WKB in EPSG:4326."""
    random = np.random.default_rng([seed, 7])
    return {
        "merese_agreements": _merese(random, ground),
        "oecms": _oecms(random, ground),
        **{f"interventions_{d}": _interventions(random, ground, d) for d in DIRECTORATES},
        "forest_zoning": _zoning(random, ground),
        "fragile_ecosystems": _fragile(random, ground),
        "regional_areas": _conservation(random, ground, "acr", "Área de Conservación Regional", 48, 9.6),
        "private_areas": _conservation(random, ground, "acp", "Área de Conservación Privada", 60, 6.5),
        "buffer_zones": _conservation(random, ground, "za", "Zona de amortiguamiento", 40, 10.2),
        "watersheds": _watersheds(ground),
    }


def _somewhere(random: np.random.Generator, ground: Ground, hectares: float) -> tuple[BaseGeometry, dict[str, Any]]:
    """A polygon inside the country and the district whose capital is near."""
    capitals = read_seed("districts_inei_2025")
    while True:
        place = capitals.row(int(random.integers(capitals.height)), named=True)
        shape = blob(random, place["capital_lon"] + 0.02, place["capital_lat"], hectares, 30)
        if ground.outline.covers(shape):
            return shape, place


def _epoch_ms(day: dt.date) -> int:
    return int(dt.datetime(day.year, day.month, day.day, 5, tzinfo=dt.UTC).timestamp() * 1000)


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame([r | {"geometry": shapely.to_wkb(r["geometry"])} for r in rows], infer_schema_length=None)


def _merese(random: np.random.Generator, ground: Ground) -> pl.DataFrame:
    rows = []
    for number in range(1, 71):
        hectares = float(random.lognormal(6, 1))
        shape, place = _somewhere(random, ground, hectares)
        rows.append(
            {
                "COD_ACUERD": f"MERESE-{number:03d}",
                "NOM_ACUERD": f"Acuerdo MERESE hídrico {place['district_name']}",
                "MODALIDAD": str(random.choice(["Hídrico", "Carbono", "Diversidad biológica"], p=[0.8, 0.1, 0.1])),
                "CONTRIBUY": f"Comunidad Campesina {place['district_name']}",
                "UBIGEO": place["ubigeo"],
                "FEC_SUSCR": _epoch_ms(dt.date(int(random.integers(2015, 2026)), 6, 1)),
                "AREA_HA": round(hectares, 2),
                "geometry": shape,
            }
        )
    return _frame(rows)


def _oecms(random: np.random.Generator, ground: Ground) -> pl.DataFrame:
    rows = []
    for number in range(1, 13):
        hectares = float(random.lognormal(8, 1))
        shape, place = _somewhere(random, ground, hectares)
        rows.append(
            {
                "COD_OMEC": f"OMEC-{number:02d}",
                "NOM_OMEC": f"OMEC {place['district_name']}",
                "TIPO_OMEC": str(random.choice(["Comunal", "Privada", "Estatal"])),
                "FEC_RECON": _epoch_ms(dt.date(2024, 5, 22)),
                "AREA_HA": round(hectares, 2),
                "geometry": shape,
            }
        )
    return _frame(rows)


def _interventions(random: np.random.Generator, ground: Ground, directorate: str) -> pl.DataFrame:
    rows = []
    for number in range(1, 26):
        shape, place = _somewhere(random, ground, float(random.lognormal(5, 1)))
        rows.append(
            {
                "CODIGO": f"{directorate}-{number:03d}",
                "NOMBRE": f"Intervención en {place['district_name']}",
                "DIRECCION": directorate,
                "TIPO_INTER": str(random.choice(["Asistencia técnica", "Monitoreo", "Conservación", "Recuperación"])),
                "ESTADO": str(random.choice(["En curso", "Culminada"])),
                "UBIGEO": place["ubigeo"],
                "geometry": shape,
            }
        )
    return _frame(rows)


def _zoning(random: np.random.Generator, ground: Ground) -> pl.DataFrame:
    """Zoning is complete for San Martín (22) and Ucayali (25) alone: disjoint cells of each."""
    department = ground.districts.filter(pl.col("ubigeo").str.slice(0, 2).is_in(["22", "25"]))
    rows = []
    for row in department.iter_rows(named=True):
        code, _ = ZONES[int(random.integers(len(ZONES)))]
        sub = SUBZONES.get(code)
        rows.append(
            {
                "FUENTE": "SERFOR",
                "DOCREG": "RDE 001-2024",
                "NOMDEP": row["ubigeo"][:2],
                "NOMPRO": row["ubigeo"][:4],
                "NOMDIS": row["ubigeo"],
                "DOCLEG": "RM 0001-2024-MIDAGRI",
                "CATZFO": code,
                "SCAZFO": sub[int(random.integers(len(sub)))][0] if sub else None,
                "SUPAPR": round(row["area_ha"], 2),
                "geometry": shapely.from_wkb(row["geometry"]),
            }
        )
    return _frame(rows)


def _fragile(random: np.random.Generator, ground: Ground) -> pl.DataFrame:
    rows = []
    for number in range(1, 41):
        hectares = float(random.lognormal(5.5, 1))
        shape, place = _somewhere(random, ground, hectares)
        rows.append(
            {
                "CODECO": f"EF-{number:03d}",
                "NOMECO": f"{random.choice(['Loma', 'Bofedal', 'Humedal', 'Bosque relicto'])} {place['district_name']}",
                "TIPECO": str(random.choice(["Loma", "Bofedal", "Humedal", "Bosque"])),
                "NOMDEP": place["ubigeo"][:2],
                "NOMDIS": place["ubigeo"],
                "DOCLEG": f"RDE {number:03d}-2020-MINAGRI-SERFOR-DE",
                "SUPAPR": round(hectares, 2),
                "geometry": shape,
            }
        )
    return _frame(rows)


def _conservation(
    random: np.random.Generator, ground: Ground, prefix: str, words: str, count: int, size: float
) -> pl.DataFrame:
    rows = []
    for number in range(1, count + 1):
        hectares = float(random.lognormal(size, 0.8))
        shape, place = _somewhere(random, ground, min(hectares, 30_000))
        rows.append(
            {
                f"{prefix}_codi": f"{prefix.upper()}{number:02d}",
                f"{prefix}_nomb": f"{words} {place['district_name']}",
                f"{prefix}_cate": prefix.upper(),
                f"{prefix}_ubpo": place["department_name"],
                f"{prefix}_suleg": round(float(area_ha([shape])[0]), 2),
                f"{prefix}_balec": "DS 001-2010-MINAM",
                f"{prefix}_felec": _epoch_ms(dt.date(2010, 1, 1)),
                "geometry": shape,
            }
        )
    return _frame(rows)


def _watersheds(ground: Ground) -> pl.DataFrame:
    """Dissolved provinces represent watersheds: a partition of the country without gaps."""
    provinces = ground.districts.with_columns(pl.col("ubigeo").str.slice(0, 4).alias("unit"))
    rows = []
    for number, (unit, frame) in enumerate(sorted(provinces.partition_by("unit", as_dict=True).items())):
        shape = rounded(np.array([shapely.union_all(shapely.from_wkb(frame["geometry"].to_numpy()))], dtype=object))[0]
        rows.append(
            {
                "CODIGO": f"{137000 + number}",
                "NOMBRE": f"Cuenca {frame['province_name'][0]}",
                "AREA_KM2": round(float(area_ha([shape])[0]) / 100, 4),
                "geometry": shape,
            }
        )
        del unit
    return _frame(rows)
