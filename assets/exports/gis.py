"""The map files: one GeoPackage for QGIS and a GeoParquet a layer, in longitude and latitude.

Belongs here: which layers there are, and writing them. Does not: when (assets.py) or what the columns mean (dbt_like_sql). No Dagster.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pyogrio
import pyproj

from resources.lake import GEO
from resources.warehouse import connect

MANIFEST = "manifest.json"
CRS = "EPSG:4326"
GEOPACKAGE = "restauracion.gpkg"
_COLUMN = GEO["columns"]["geometry"] | {"crs": pyproj.CRS(CRS).to_json_dict()}
_GEO = GEO | {"columns": {"geometry": _COLUMN}}  # GeoParquet as in the lake, with the reference said aloud

LAYERS = {  # every row of the tables is in its layer; a record without a place has no geometry
    "initiatives": """
        select i.* exclude (activity_codes, sources, attribute_sources), array_to_string(i.activity_codes, ';') as activity_codes,
            array_to_string(i.sources, ';') as sources, main.point as geometry
        from w.core.initiatives as i
        left join (
            select a.initiative_id, arg_max(st_pointonsurface(a.geometry), coalesce(a.geometry_ha, 0)) as point
            from w.core.areas as a where a.geometry is not null group by a.initiative_id
        ) as main on i.initiative_id = main.initiative_id
        order by i.initiative_id
    """,
    "areas": """
        select a.area_id, a.initiative_id, i.name, i.lead_institution_id, i.status, a.reporting_institution, a.source, a.source_record_id,
            a.evidence_class, a.geometry_kind, a.declared_ha, a.is_declared_basis, a.geometry_ha, a.net_ha, a.is_repaired,
            a.ubigeo, a.ecosystem_code, a.geometry
        from w.core.areas as a inner join w.core.initiatives as i on a.initiative_id = i.initiative_id
        order by a.area_id
    """,
    "overlaps": """
        select o.*, st_collectionextract(st_intersection(a.geometry, b.geometry), 3) as geometry
        from w.core."overlaps" as o
        inner join w.core.areas as a on o.area_id_a = a.area_id
        inner join w.core.areas as b on o.area_id_b = b.area_id
        order by o.area_id_a, o.area_id_b
    """,
    "allocations": """
        select p.area_id, a.initiative_id, p.ubigeo, p.ecosystem_code, p.net_ha, s.net_protected_ha, s.net_degraded_ha,
            st_transform(p.equal_area_shape, 'EPSG:6933', 'EPSG:4326') as geometry
        from w.core.area_pieces as p
        inner join w.core.areas as a on p.area_id = a.area_id
        inner join (
            select t.area_id, t.ubigeo, t.ecosystem_code, sum(t.net_ha) filter (where t.protection != 'none') as net_protected_ha,
                sum(t.net_ha) filter (where t.was_degraded) as net_degraded_ha
            from w.core.area_allocations as t group by all
        ) as s on p.area_id = s.area_id and p.ubigeo is not distinct from s.ubigeo
            and p.ecosystem_code is not distinct from s.ecosystem_code
        order by p.area_id, p.ubigeo, p.ecosystem_code
    """,
}


@dataclass(frozen=True)
class Written:
    """The map files of a release; `is_new` is false where they were there already."""

    folder: Path
    release_id: str
    features: dict[str, int]
    is_new: bool


def write_gis(published: Path, exports: Path) -> Written:
    """Write `<exports>/gis/`; the folder is put in place whole, or stays as it was."""
    folder, made = exports / "gis", exports / ".gis"
    con = connect()
    try:
        con.execute(f"attach '{published}' as w (read_only)")
        row = con.execute(
            "select release_id, is_sandbox, strftime(published_at, '%Y-%m-%dT%H:%M:%S.000Z') from w.meta.releases"
            " order by verified_at desc limit 1"
        ).fetchone()
        release_id, is_sandbox, published_at = row or ("?", True, None)
        known = json.loads((folder / MANIFEST).read_text()) if (folder / MANIFEST).exists() else {}
        if known.get("release_id") == release_id:
            return Written(folder, release_id, known["features"], is_new=False)
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        features = {}
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": published_at})  # the same release, the same bytes
        for name, query in LAYERS.items():
            table = con.execute(f"select * replace (st_aswkb(geometry) as geometry) from ({query})").to_arrow_table()
            features[name] = table.num_rows
            pyogrio.write_arrow(
                table, made / GEOPACKAGE, layer=name, driver="GPKG", geometry_name="geometry", geometry_type="Unknown",
                crs=CRS, append=name != next(iter(LAYERS)),
            )  # fmt: skip
            geo = table.replace_schema_metadata({"geo": json.dumps(_GEO)})
            pq.write_table(geo, made / f"{name}.parquet", compression="zstd")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
        con.close()
    about = {"release_id": release_id, "is_sandbox": bool(is_sandbox), "crs": CRS, "features": features}
    (made / MANIFEST).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(made, folder)
    return Written(folder, release_id, features, is_new=True)
