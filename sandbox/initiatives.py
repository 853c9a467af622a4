"""True initiatives of the miniature Peru and what each registry records of them, errors included.

Belongs here: initiatives, their polygons, the records of MINAM and SERFOR, and the truth about both.
Does not: the ground they are on (geography), the money (budget, investments), how servers publish it (servers).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import polars as pl
import shapely
from shapely.geometry.base import BaseGeometry

from dbt_like_sql.seeds import read_seed
from sandbox.geography import COORDINATE_DECIMALS, Ground, area_ha, blob
from sandbox.spellings import Office

INITIATIVES_AT_SCALE_1 = 2_000

# kind -> share of initiatives, their ecosystems, words of their names, share known to SERFOR
KINDS: dict[str, tuple[float, list[str], list[str], float]] = {
    "forest": (
        0.52,
        [f"E{n:02d}" for n in (3, 4, 5, 7, 8, 11, 12, 13, 14, 22, 23, 25, 26, 28, 29, 30)],
        ["Recuperación de bosques", "Reforestación con especies nativas", "Restauración del bosque"],
        0.7,
    ),
    "paramo": (
        0.12,
        ["E15", "E16", "E17", "E18"],
        ["Recuperación de pajonales", "Restauración de páramo y jalca", "Siembra y cosecha de agua"],
        0.2,
    ),
    "mangrove": (0.04, ["E27", "E34"], ["Restauración de manglar", "Recuperación del ecosistema de manglar"], 0.2),
    "wetland": (0.10, ["E19", "E02", "E34"], ["Recuperación de bofedales", "Restauración de humedal"], 0.2),
    "agricultural_soil": (
        0.16,
        ["I03", "I02", "E21"],
        ["Recuperación de suelos agrarios", "Terrazas y zanjas de infiltración", "Mejoramiento de suelos degradados"],
        0.1,
    ),
    "marine_coastal": (
        0.06,
        ["E32", "E34", "E31"],
        ["Restauración de praderas de macroalgas", "Recuperación de banco natural"],
        0.0,
    ),
}

LEADS = [
    "Gobierno Regional de {department}",
    "Municipalidad Distrital de {district}",
    "Municipalidad Provincial de {province}",
    "MINAM",
    "SERFOR",
    "AGRO RURAL",
    "Comunidad Campesina {place}",
    "Comunidad Nativa {place}",
    "ONG Tierra {place}",
    "Universidad Nacional de {department}",
    "Agroforestal {place} S.A.C.",
]
PLACES = [
    "Yanacocha",
    "Huayllay",
    "Santa Rosa",
    "San Juan",
    "Pampa Grande",
    "Alto Mayo",
    "Río Blanco",
    "Quebrada Honda",
    "Cerro Azul",
    "Valle Hermoso",
    "Tres Lagunas",
    "Puca Allpa",
    "Qori Wayta",
    "Nueva Esperanza",
]
STATUSES = ["in_preparation", "in_progress", "post_completion"]
TYPES = ["ecological_restoration", "rehabilitation", "remediation", "reducing_impacts"]
MINAM_STATUS = {"in_preparation": 1, "in_progress": 2, "post_completion": 3}
MINAM_TYPE = {"ecological_restoration": 1, "rehabilitation": 2, "remediation": 3, "reducing_impacts": 4}
SERFOR_STATUS = {"in_preparation": "PREP", "in_progress": "EJEC", "post_completion": "POST"}
SERFOR_TYPE = {"ecological_restoration": "RE", "rehabilitation": "RH", "remediation": "RM", "reducing_impacts": "RI"}
GENERIC_CUI = "2001621"
LATIN1_DAMAGE = str.maketrans("", "", "áéíóúñÁÉÍÓÚÑ")


@dataclass
class Initiative:
    """One true initiative: what is really on the ground."""

    key: str
    kind: str
    name: str
    lead: str
    status: str
    restoration_type: str
    start: dt.date
    end: dt.date | None
    ubigeo: str
    ecosystem_name: str
    cui: str | None
    target_ha: float
    field_checked: bool
    parts: list[BaseGeometry] = field(default_factory=list)


@dataclass(frozen=True)
class Registries:
    """What the registries hold (frames of attributes and Esri JSON geometry) and the truth about it."""

    initiatives: list[Initiative]
    minam_polygons: pl.DataFrame
    minam_points: pl.DataFrame
    serfor_polygons: pl.DataFrame
    truth_records: pl.DataFrame
    truth_areas: pl.DataFrame


def make_initiatives(seed: int, scale: float, ground: Ground) -> list[Initiative]:
    """The true initiatives. Areas shrink as their number grows, so overlaps keep the same density."""
    random = np.random.default_rng([seed, 2])
    count = round(INITIATIVES_AT_SCALE_1 * scale)
    names = dict(read_seed("ecosystems").select("ecosystem_code", "ecosystem_name").iter_rows())
    cells = {
        code: frame["geometry"].to_numpy()
        for (code,), frame in ground.cells.partition_by("ecosystem_code", as_dict=True).items()
    }
    tree = shapely.STRtree(shapely.from_wkb(ground.districts["geometry"].to_numpy()))
    district_rows = ground.districts.drop("geometry").to_dicts()
    kinds = random.choice(list(KINDS), count, p=[k[0] for k in KINDS.values()])
    step = min(37, 500_000 // count)  # codes have seven digits and begin with 2, however large the sandbox is
    cuis = random.permutation(np.arange(2_400_000, 2_400_000 + 40 * count * step // 37, step))[:count]
    created: list[Initiative] = []
    centres: list[tuple[float, float]] = []
    for number, kind in enumerate(kinds):
        _, classes, words, _ = KINDS[str(kind)]
        code = str(random.choice([c for c in classes if c in cells]))
        cell = shapely.from_wkb(random.choice(cells[code]))
        centre = shapely.point_on_surface(cell)
        west, south, east, north = cell.bounds
        lon = centre.x + random.uniform(-0.2, 0.2) * (east - west)
        lat = centre.y + random.uniform(-0.2, 0.2) * (north - south)
        if created and random.random() < 0.08:  # another institution works the same ground
            lon, lat = centres[int(random.integers(len(centres)))]
            lon, lat = lon + random.uniform(-0.003, 0.003), lat + random.uniform(-0.003, 0.003)
        nearest = int(tree.nearest(shapely.Point(lon, lat)))
        district = district_rows[nearest]
        if kind == "marine_coastal":  # off the beach, outside every district
            lon -= 0.05
        centres.append((lon, lat))
        start = dt.date(int(random.integers(2015, 2026)), int(random.integers(1, 13)), int(random.integers(1, 28)))
        status = str(random.choice(STATUSES, p=[0.15, 0.6, 0.25]))
        hectares = float(np.clip(random.lognormal(4.0, 1.0), 1.5, 2_500)) / max(scale, 0.05)
        place = str(random.choice(PLACES))
        lead = str(random.choice(LEADS)).format(
            department=district["department_name"],
            district=district["district_name"],
            province=district["province_name"],
            place=place,
        )
        public = lead.startswith(("Gobierno", "Municipalidad", "MINAM", "SERFOR", "AGRO"))
        initiative = Initiative(
            key=f"T{number:06d}",
            kind=str(kind),
            name=f"{random.choice(words)} en {place}, distrito de {district['district_name']}",
            lead=lead,
            status=status,
            restoration_type=str(random.choice(TYPES, p=[0.5, 0.35, 0.08, 0.07])),
            start=start,
            end=start + dt.timedelta(days=int(random.integers(400, 2_500))) if status == "post_completion" else None,
            ubigeo=district["ubigeo"],
            ecosystem_name=names[code],
            cui=str(cuis[number]) if public and random.random() < 0.6 else None,
            target_ha=round(hectares * float(random.uniform(1.0, 2.0)), 2),
            field_checked=bool(random.random() < 0.4),
        )
        parts = int(random.choice([1, 2, 3], p=[0.7, 0.2, 0.1]))
        for part in range(parts):
            reach = 0.012 * part * np.sqrt(hectares / 50)
            initiative.parts.append(
                blob(random, lon + reach, lat + reach * float(random.uniform(-0.5, 0.5)), hectares / parts)
            )
        created.append(initiative)
    return created


def make_registries(seed: int, initiatives: list[Initiative]) -> Registries:
    """What MINAM and SERFOR hold of the true initiatives; Invierte.pe is the third registry (investments.py)."""
    random = np.random.default_rng([seed, 3])
    minam: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    serfor: list[dict[str, Any]] = []
    truth = Truth()
    for initiative in initiatives:
        in_serfor = random.random() < KINDS[initiative.kind][3]
        in_minam = not in_serfor or random.random() < 0.45
        if in_minam:
            record = f"RED-{initiative.start.year}-{initiative.key[1:]}"
            shape = random.choice(["polygon", "point", "admin"], p=[0.85, 0.08, 0.07])
            office = Office(seed, 1, int(initiative.key[1:]))
            minam_record(random, office, initiative, record, str(shape), minam, points, truth)
        if in_serfor:
            record = f"SNIFFS-R-{int(initiative.key[1:]) + 7:06d}"
            serfor_record(random, Office(seed, 2, int(initiative.key[1:])), initiative, record, serfor, truth)
    return Registries(
        initiatives=initiatives,
        minam_polygons=_with_oids(random, minam),
        minam_points=_with_oids(random, points),
        serfor_polygons=_with_oids(random, serfor),
        truth_records=pl.DataFrame(truth.records, infer_schema_length=None),
        truth_areas=pl.DataFrame(truth.areas, infer_schema_length=None).with_columns(
            area_ha=pl.Series(area_ha(shapely.from_wkb([a["geometry"] for a in truth.areas])))
        ),
    )


class Truth:
    """Collects which records are one initiative and what should become of each area."""

    def __init__(self) -> None:
        self.records: list[dict[str, object]] = []
        self.areas: list[dict[str, object]] = []

    def record(self, initiative: Initiative, registry: str, record: str, reason: str | None) -> None:
        """A record that a registry has; `reason` says why it belongs into quarantine, if it does."""
        self.records.append(
            {
                "initiative_key": initiative.key,
                "registry": registry,
                "source_record_id": record,
                "quarantine_reason": reason,
            }
        )

    def area(self, initiative: Initiative, registry: str, record: str, shape: BaseGeometry, reason: str | None) -> None:
        """One polygon of a record, as the registry drew it."""
        self.areas.append(
            {
                "initiative_key": initiative.key,
                "registry": registry,
                "source_record_id": record,
                "status": initiative.status,
                "geometry": shapely.to_wkb(shape),
                "quarantine_reason": reason,
            }
        )


def minam_record(
    random: np.random.Generator,
    office: Office,
    initiative: Initiative,
    record: str,
    shape: str,
    polygons: list[dict[str, Any]],
    points: list[dict[str, Any]],
    truth: Truth,
) -> None:
    """MINAM's features of an initiative, as polygons, a point or without place, appended to `polygons` or `points`."""
    row, reason = _minam_attributes(random, office, initiative, record)
    truth.record(initiative, "minam", record, reason)
    if shape == "admin":
        polygons.append(row | {"geometry": None, "HA_DECL": round(sum(_hectares(initiative.parts)), 2)})
        return
    if shape == "point":
        centre = shapely.centroid(initiative.parts[0])
        location = {"x": round(centre.x, COORDINATE_DECIMALS), "y": round(centre.y, COORDINATE_DECIMALS)}
        points.append(
            row | {"geometry": orjson.dumps(location).decode(), "HA_DECL": round(sum(_hectares(initiative.parts)), 2)}
        )
        return
    for part in initiative.parts:  # one feature a part
        seen = _as_drawn(random, part)
        declared, off = _declared(random, seen)
        rings, fault = _dirty_rings(random, [seen])
        truth.area(initiative, "minam", record, seen, reason or off or fault)
        polygons.append(row | {"HA_DECL": declared, "geometry": esri_polygon(rings)})
        if random.random() < 0.008:  # the same feature digitised twice
            truth.area(initiative, "minam", record, seen, reason or off or fault or "duplicate")
            polygons.append(row | {"HA_DECL": declared, "geometry": esri_polygon(rings)})


def _minam_attributes(
    random: np.random.Generator, office: Office, initiative: Initiative, record: str
) -> tuple[dict[str, Any], str | None]:
    start, end, status, reason = initiative.start, initiative.end, MINAM_STATUS[initiative.status], None
    draw = random.random()
    name: str | None = _name_variant(random, office.name(initiative.name))
    if draw < 0.002:
        status, reason = 9, "unknown status"
    elif draw < 0.012 and end is not None:
        end, reason = start - dt.timedelta(days=40), "end before start"
    elif draw < 0.014:
        name, reason = " ", "no name"
    cui = initiative.cui if initiative.cui and random.random() < 0.75 else " "
    if random.random() < 0.004:
        cui = GENERIC_CUI
    ubigeo = initiative.ubigeo
    if ubigeo.startswith("0") and random.random() < 0.04:
        ubigeo = ubigeo[1:]  # went through a spreadsheet
    ecosystem = initiative.ecosystem_name
    if random.random() < 0.02:
        ecosystem = ecosystem.translate(LATIN1_DAMAGE)
    row = {
        "COD_INIC": record,
        "NOM_INIC": name,
        "INSTITUC": office.lead(initiative.lead),
        "ESTADO": status,
        "TIPO_REST": MINAM_TYPE[initiative.restoration_type],
        "ECOSISTEMA": ecosystem,
        "UBIGEO": ubigeo,
        "CUI": cui,
        "FEC_INI": epoch_ms(start),
        "FEC_FIN": epoch_ms(end) if end else None,
        "HA_META": office.target_ha(initiative.target_ha),
        "VERIF_CAMPO": "SI" if initiative.field_checked else "NO",
        "OBSERV": " " if random.random() < 0.76 else "Registro en revisión",
    }
    return row, reason


def serfor_record(
    random: np.random.Generator,
    office: Office,
    initiative: Initiative,
    record: str,
    rows: list[dict[str, Any]],
    truth: Truth,
) -> None:
    """SERFOR's one feature of an initiative, appended to `rows`."""
    reason = None
    status = SERFOR_STATUS[initiative.status]
    if random.random() < 0.002:
        status, reason = "??", "unknown status"
    truth.record(initiative, "serfor", record, reason)
    shift = dt.timedelta(days=int(random.integers(-45, 45)))
    seen = [_as_drawn(random, part) for part in initiative.parts]
    declared, off = _declared(random, *seen)
    rings, fault = _dirty_rings(random, seen)
    for part in seen:
        truth.area(initiative, "serfor", record, part, reason or off or fault)
    end = initiative.end + dt.timedelta(days=60) if initiative.end else None
    lead = office.lead(initiative.lead)
    rows.append(
        {
            "FUENTE": "SERFOR",
            "DOCREG": f"RA-{int(random.integers(1, 999)):03d}-{initiative.start.year}",
            "FECREG": epoch_ms(initiative.start),
            "OBSERV": " ",
            "ZONUTM": 18,
            "ORIGEN": 1,
            "NOMDEP": initiative.ubigeo[:2],
            "NOMPRO": initiative.ubigeo[:4],
            "NOMDIS": initiative.ubigeo,
            "CODINI": record,
            "NOMINI": _name_variant(random, office.name(initiative.name)),
            "TITULA": lead.upper() if random.random() < 0.5 else lead,
            "SITUAC": status,
            "TIPRES": SERFOR_TYPE[initiative.restoration_type],
            "ECOSIS": initiative.ecosystem_name.upper() if random.random() < 0.3 else initiative.ecosystem_name,
            "CODCUI": initiative.cui if initiative.cui and random.random() < 0.65 else " ",
            "FECINI": epoch_ms(initiative.start + shift),
            "FECTER": epoch_ms(end) if end else None,
            "SUPSIG": round(sum(_hectares(seen)), 4),
            "SUPAPR": declared,
            "SUPMET": office.target_ha(initiative.target_ha),
            "VERCAM": 1 if initiative.field_checked else 0,
            **_serfor_protocol(int(initiative.key[1:])),
            "geometry": esri_polygon(rings),
        }
    )


def _serfor_protocol(number: int) -> dict[str, Any]:
    """Tenure and activities, missing in two records of ten; not random, so that the rest of the world is unchanged."""
    if number % 10 < 2:
        return {"TENENC": None, "ACTIVI": " "}
    return {"TENENC": (1, 2, 5)[number % 3], "ACTIVI": ("4;6", "5;24", "17;20;46")[number % 3]}


def _hectares(shapes: list[BaseGeometry]) -> list[float]:
    return [float(h) for h in area_ha(shapes)]


def epoch_ms(day: dt.date) -> int:
    """Midnight in Lima as epoch milliseconds UTC, as ArcGIS servers send dates."""
    return int(dt.datetime(day.year, day.month, day.day, 5, tzinfo=dt.UTC).timestamp() * 1000)


def _name_variant(random: np.random.Generator, name: str) -> str:
    """The name as another office types it."""
    draw = random.random()
    if draw < 0.2:
        return name.upper()
    if draw < 0.35:
        return name.replace("Recuperación", "Recup.").replace("distrito de", "dist.")
    if draw < 0.45:
        return name.translate(str.maketrans("áéíóúñ", "aeioun"))
    if draw < 0.5:
        return name.replace("  ", " ").replace(" en ", "  en ")
    return name


def _as_drawn(random: np.random.Generator, shape: BaseGeometry) -> BaseGeometry:
    """The polygon as one registry digitised it: moved by some 20–60 m, corners trembling by a few metres."""
    metres = 1 / 111_000
    move = random.normal(0, 30 * metres, 2)
    points = shapely.get_coordinates(shape)
    tremble = random.normal(0, 2 * metres, (len(points) - 1, 2))
    ring = np.round(points[:-1] + move + tremble, COORDINATE_DECIMALS)
    drawn = shapely.Polygon(ring)
    return drawn if drawn.is_valid else shapely.Polygon(np.round(points[:-1] + move, COORDINATE_DECIMALS))


def _declared(random: np.random.Generator, *shapes: BaseGeometry) -> tuple[float, str | None]:
    """Hectares on paper; one in a hundred has nothing to do with the polygon."""
    hectares = sum(_hectares(list(shapes)))
    if random.random() < 0.01:
        return round(hectares * float(random.choice([0.1, 10.0])), 2), "declared far off"
    return round(max(hectares * float(random.normal(1.0, 0.05)), 0.01), 2), None


def _dirty_rings(random: np.random.Generator, shapes: list[BaseGeometry]) -> tuple[list[list[list[float]]], str | None]:
    """Esri rings (shells clockwise) with the faults that were counted on Peruvian servers."""
    rings = [[list(map(float, point)) for point in shapely.get_coordinates(shape)[::-1]] for shape in shapes]
    draw = random.random()
    if draw < 0.006 and len(rings[0]) > 8:  # the pen crossed its own line: two neighbouring corners exchanged
        ring = rings[0]
        ring[3], ring[4] = ring[4], ring[3]
    elif draw < 0.016:
        rings[0] = rings[0][:-1]  # not closed
    elif draw < 0.020:
        return [[[lat, lon] for lon, lat in ring] for ring in rings], "axes swapped"
    elif draw < 0.025:
        rings.append([])  # an empty ring
    elif draw < 0.05:
        rings = [ring[::-1] for ring in rings]  # every shell wound like a hole
    return rings, None


def esri_polygon(rings: list[list[list[float]]]) -> str:
    """Esri JSON of rings."""
    return orjson.dumps({"rings": rings}).decode()


def _with_oids(random: np.random.Generator, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows with growing object ids that have gaps, as after years of edits."""
    oids = np.cumsum(random.integers(1, 4, len(rows)))
    return pl.DataFrame(rows, infer_schema_length=None).insert_column(0, pl.Series("OBJECTID", oids))
