"""What FAO's FERM takes: a FeatureCollection per institution, its API's payloads, zipped shapefiles, attribute tables.

Belongs here: who may be reported, in FERM's fields and codes, and what is left out and why. Does not: sending (ferm_push.py).

FERM adds areas up and does not look for overlaps, so net area is sent: a hectare of two initiatives is sent with the
one it is counted for. Areas are measured in EPSG:6933, as FERM measures them.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyogrio
import yaml
from pydantic import BaseModel, ConfigDict

from restoration.exports.release import Release, Rows
from restoration.exports.tables import harmless, quoted

PAYLOADS = "payloads.ndjson"
LEFT_OUT = "left_out.csv"
_SHP_COLUMNS = (
    "layer",
    "ID_CODE",
    "Restor_eco",
    "Restor_typ",
    "Category",
    "Ownership",
    "Source",
    "area_ha",
    "Restor_str",
    "Restor_end",
)
_ORGANISATION_TYPES = {
    "national_government": "Government",
    "regional_government": "Government",
    "local_government": "Government",
    "multilateral": "Multilateral",
    "private": "Private",
    "ngo": "NGO",
    "academic": "Academic",
    "community": "Other",
}

# What is reported: polygons of initiatives that count, and that FERM has a type for (or none is reported).
_AREAS = """
    create temp table ferm_areas as
    with shapes as (
        select p.area_id, st_union_agg(p.equal_area_shape order by p.ubigeo, p.ecosystem_code) as shape
        from w.core.area_pieces as p group by p.area_id
    ),
    classes as (
        select t.area_id, list(distinct g.biome_code order by g.biome_code) filter (where g.biome_code is not null) as biomes,
            arg_max(e.ecosystem_name, t.net_ha) as ecosystem_name
        from w.core.area_allocations as t
        left join w.core.ecosystems as e on t.ecosystem_code = e.ecosystem_code
        left join get_groups as g on e.get_efg_code = g.efg_code
        group by t.area_id
    )
    select
        a.area_id, a.initiative_id, a.reporting_institution, a.geometry_kind, a.source, a.ubigeo, a.net_ha, a.geometry_ha, a.declared_ha,
        i.name as title, i.lead_institution_id, i.status, i.restoration_type, i.start_date, i.end_date, i.tenure, i.activity_codes, i.target_ha,
        s.ferm_code as status_code, s.counts_as_under_restoration, r.ferm_code as type_code, n.ferm_code as tenure_code,
        coalesce(l.institution_name, i.lead_institution_id) as lead_name, l.institution_type,
        coalesce(u.unit_name, 'Peru') as place, shapes.shape, classes.biomes, classes.ecosystem_name,
        case
            when a.geometry_kind = 'point' then 'the area is a point: FERM counts polygons'
            when a.geometry_kind != 'polygon' then 'the area has no geometry: an administrative unit is no ground'
            when i.status is null then 'the initiative''s status is not told'
            when not s.counts_as_under_restoration then 'status ' || i.status || ': committed area does not count as under restoration'
            when i.restoration_type is not null and r.ferm_code is null
                then 'type ' || i.restoration_type || ': FERM counts ecological restoration and rehabilitation'
            when shapes.shape is null then 'all its ground is counted for another area: see overlaps'
        end as reason
    from w.core.areas as a
    inner join w.core.initiatives as i on a.initiative_id = i.initiative_id
    left join initiative_statuses as s on i.status = s.status
    left join restoration_types as r on i.restoration_type = r.restoration_type
    left join tenure_statuses as n on i.tenure = n.tenure
    left join w.core.institutions as l on i.lead_institution_id = l.institution_id
    left join w.core.admin_units as u on a.ubigeo = u.ubigeo
    left join shapes on a.area_id = shapes.area_id
    left join classes on a.area_id = classes.area_id
"""
# One polygon a feature: multipart shapes are split, and holes are kept.
_SITES = """
    create temp table ferm_sites as
    with in_degrees as (
        select area_id, st_transform(shape, 'EPSG:6933', 'EPSG:4326') as shape from ferm_areas where reason is null
    ),
    parts as (  -- valid in degrees too, which is how FERM gets them
        select area_id, unnest(st_dump(case when st_isvalid(shape) then shape else st_collectionextract(st_makevalid(shape), 3) end)) as part
        from in_degrees
    ),
    measured as (
        select area_id, part.path[1] as part_number, part.geom as shape, st_area(st_transform(part.geom, 'EPSG:4326', 'EPSG:6933')) / 10000 as area_ha
        from parts
    ),
    most as (  -- an initiative is sent once, with the institution that reports most of its area
        select initiative_id, arg_max(institution, ground_ha) as institution
        from (
            select initiative_id, reporting_institution as institution, sum(net_ha) as ground_ha
            from ferm_areas where reason is null group by all order by all
        ) group by initiative_id
    )
    select m.*, most.institution, row_number() over (partition by f.initiative_id order by m.area_id, m.part_number) as place_number
    from measured as m
    inner join ferm_areas as f on m.area_id = f.area_id
    inner join most on f.initiative_id = most.initiative_id
"""


class FermSettings(BaseModel):
    """ferm.yml."""

    model_config = ConfigDict(extra="forbid")
    endpoint: str
    institution_ids: dict[str, str]
    contact: dict[str, str]
    largest_shapefile: int
    smallest_part_ha: float


@cache
def ferm_settings() -> FermSettings:
    """Settings of the export to FERM."""
    text = Path(__file__).with_name("ferm.yml").read_text(encoding="utf-8")
    return FermSettings.model_validate(yaml.safe_load(text))


@dataclass(frozen=True)
class Site:
    """One polygon, with what its initiative says of it."""

    initiative_id: str
    institution: str
    properties: dict[str, Any]
    collection: dict[str, Any]
    geometry: dict[str, Any]
    shape: bytes
    row: dict[str, str]


def write_ferm(con: duckdb.DuckDBPyConnection, release: Release, folder: Path) -> Rows:
    """Write the files of every institution, the payloads of FERM's API, and the list of what is left out."""
    settings = ferm_settings()
    _prepare(con, settings)
    rows: Rows = {}
    payloads: list[dict[str, Any]] = []
    for institution, sites in _by_institution(con, settings):
        name = _safe(institution)
        features = [{"type": "Feature", "geometry": s.geometry, "properties": s.properties} for s in sites]
        about = {
            "institutionId": settings.institution_ids.get(institution, institution),
            "title": f"Áreas en restauración, {institution}, publicación {release.release_id}",
            "country": "PE",
            "countries": ["PE"],
            "isSandbox": release.is_sandbox,
        }
        _write_json(
            folder / f"{name}.geojson", {"type": "FeatureCollection", "properties": about, "features": features}
        )
        rows[f"{name}.geojson"] = len(features)
        rows |= _shapefiles(folder, name, sites, settings.largest_shapefile, release)
        rows[f"{name}_attributes.csv"] = _attributes(folder / f"{name}_attributes.csv", sites)
        payloads += _payloads(institution, sites)
    (folder / PAYLOADS).write_bytes(b"".join(orjson.dumps(p, option=orjson.OPT_SORT_KEYS) + b"\n" for p in payloads))
    rows[PAYLOADS] = len(payloads)
    query = f"select * replace ({harmless('title')} as title) from ferm_left_out order by all"
    con.execute(f"copy ({query}) to '{quoted(folder / LEFT_OUT)}' (header)")
    left = con.execute("select count(*) from ferm_left_out").fetchone()
    rows[LEFT_OUT] = int(left[0]) if left else 0
    return rows


def _prepare(con: duckdb.DuckDBPyConnection, settings: FermSettings) -> None:
    from dbt_like_sql.seeds import read_seed

    for seed in ("initiative_statuses", "restoration_types", "tenure_statuses", "get_groups"):
        con.register(seed, read_seed(seed).to_arrow())
    con.execute(_AREAS)
    con.execute(_SITES)
    con.execute(
        """
        create temp table ferm_left_out as
        select reporting_institution, initiative_id, area_id, cast(null as bigint) as part_number, title, geometry_kind, declared_ha, geometry_ha,
            net_ha as left_out_net_ha, reason
        from ferm_areas where reason is not null
        union all
        select f.reporting_institution, f.initiative_id, f.area_id, s.part_number, f.title, f.geometry_kind, null, null,
            s.area_ha, 'part smaller than ' || round(? * 10000) || ' m²'
        from ferm_sites as s inner join ferm_areas as f on s.area_id = f.area_id where s.area_ha < ?
        union all
        select f.reporting_institution, f.initiative_id, f.area_id, null, f.title, f.geometry_kind, null, null,
            f.net_ha - s.sites_ha, 'difference by making the shape one valid polygon a part'
        from ferm_areas as f inner join (select area_id, sum(area_ha) as sites_ha from ferm_sites group by area_id) as s on f.area_id = s.area_id
        where abs(f.net_ha - s.sites_ha) > 0.000001
        """,
        [settings.smallest_part_ha, settings.smallest_part_ha],
    )


def _by_institution(con: duckdb.DuckDBPyConnection, settings: FermSettings) -> Iterator[tuple[str, list[Site]]]:
    found = con.execute(
        """
        select f.* exclude (shape), s.institution, s.part_number, s.place_number, s.area_ha, st_asgeojson(s.shape) as geojson,
            st_aswkb(s.shape) as wkb
        from ferm_sites as s inner join ferm_areas as f on s.area_id = f.area_id
        where s.area_ha >= ?
        order by s.institution, f.initiative_id, s.area_id, s.part_number
        """,
        [settings.smallest_part_ha],
    )
    names = [column[0] for column in found.description or []]
    sites: dict[str, list[Site]] = defaultdict(list)
    for values in found.fetchall():
        reported = dict(zip(names, values, strict=True))
        sites[reported["institution"]].append(_site(reported, settings))
    yield from sorted(sites.items())


def _site(reported: Mapping[str, Any], settings: FermSettings) -> Site:
    code = f"{reported['initiative_id']}_{reported['place_number']:02d}"
    types = [int(reported["type_code"])] if reported["type_code"] else []
    area = {"siteName": code, "area": reported["area_ha"]}
    collection = {
        "institutionId": settings.institution_ids.get(reported["institution"], reported["institution"]),
        "title": reported["title"],
        "startingYear": reported["start_date"].year if reported["start_date"] else None,
        "restorationTypes": types,
        "pointsOfContact": [settings.contact] if settings.contact else [],
        "organizations": [
            {
                "name": reported["lead_name"],
                "role": "Leading",
                "type": _ORGANISATION_TYPES.get(reported["institution_type"] or "", "Other"),
                "country": "PE",
            }
        ]
        if reported["lead_name"]
        else [],
        "country": "PE",
        "countries": ["PE"],
    }
    registry = {
        "initiativeId": reported["initiative_id"],
        "areaId": reported["area_id"],
        "title": reported["title"],
        "startingYear": collection["startingYear"],
        "endingYear": reported["end_date"].year if reported["end_date"] else None,
        "restorationStatus": int(reported["status_code"]),
        "restorationTypes": types,
        "tenureStatuses": [int(reported["tenure_code"])] if reported["tenure_code"] else [],
        "activities": [int(a) for a in reported["activity_codes"] or []],
        "iucnEcosystems": reported["biomes"] or [],
        "areaUnits": "ha",
        "targetArea": reported["target_ha"],
        "admin": reported["ubigeo"],
    }
    row = {
        "layer": str(reported["place"]),
        "ID_CODE": code,
        "Restor_eco": str(reported["ecosystem_name"] or ""),
        "Restor_typ": {"1": "Ecological restoration", "2": "Rehabilitation"}.get(str(reported["type_code"]), ""),
        "Category": str(reported["status"]),
        "Ownership": str(reported["tenure"] or ""),
        "Source": str(reported["reporting_institution"]),
        "area_ha": f"{reported['area_ha']:.4f}",
        "Restor_str": f"{reported['start_date']:%Y/%m/%d}" if reported["start_date"] else "",
        "Restor_end": f"{reported['end_date']:%Y/%m/%d}" if reported["end_date"] else "",
    }
    return Site(
        reported["initiative_id"],
        reported["institution"],
        area | registry,
        collection,
        orjson.loads(reported["geojson"]),
        reported["wkb"],
        row,
    )


def _payloads(institution: str, sites: list[Site]) -> list[dict[str, Any]]:
    """The body of one POST an initiative, nothing in it but the fields that FERM's manual names."""
    by_initiative: dict[str, list[Site]] = defaultdict(list)
    for site in sites:
        by_initiative[site.initiative_id].append(site)
    return [
        {
            "initiative_id": initiative,
            "institution": institution,
            "payload": {
                "type": "FeatureCollection",
                "properties": {k: v for k, v in own[0].collection.items() if v is not None},
                "features": [
                    {
                        "type": "Feature",
                        "geometry": site.geometry,
                        "properties": {"siteName": site.properties["siteName"], "area": site.properties["area"]},
                    }
                    for site in own
                ],
            },
        }
        for initiative, own in sorted(by_initiative.items())
    ]


def _shapefiles(folder: Path, name: str, sites: list[Site], largest: int, release: Release) -> Rows:
    """Zipped shapefiles of as many features as FERM takes in one."""
    rows = {}
    for number, start in enumerate(range(0, len(sites), largest), start=1):
        own = sites[start : start + largest]
        table = pa.table(
            {
                column: [s.row[column] if column != "area_ha" else float(s.row[column]) for s in own]
                for column in _SHP_COLUMNS
            }
            | {"geometry": pa.array([s.shape for s in own], pa.binary())}
        )
        stem = f"{name}_{number:03d}"
        created = folder / f".{stem}"
        created.mkdir()
        pyogrio.write_arrow(
            table,
            created / f"{stem}.shp",
            driver="ESRI Shapefile",
            geometry_name="geometry",
            geometry_type="Polygon",
            crs="EPSG:4326",
            encoding="UTF-8",
            DBF_DATE_LAST_UPDATE=release.stamp[:10],
        )
        with zipfile.ZipFile(folder / f"{stem}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for part in sorted(created.iterdir()):
                archive.writestr(zipfile.ZipInfo(part.name), part.read_bytes(), zipfile.ZIP_DEFLATED)
                part.unlink()
        created.rmdir()
        rows[f"{stem}.zip"] = len(own)
    return rows


def _attributes(path: Path, sites: list[Site]) -> int:
    text = io.StringIO()
    table = csv.DictWriter(text, _SHP_COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(site.row for site in sites)
    path.write_text(text.getvalue(), encoding="utf-8")
    return len(sites)


def _write_json(path: Path, content: Any) -> None:
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 if len(content.get("features", [])) < 20 else 0))


def _safe(name: str) -> str:
    """A file name of an institution's code."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name) or "unknown"
