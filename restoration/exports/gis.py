"""The map files: one GeoPackage for QGIS and a GeoParquet a layer, in longitude and latitude.

Belongs here: which layers there are, writing them, and how QGIS draws them. Does not: when (assets.py) or what the columns mean (dbt_like_sql).
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pyogrio
import pyproj

from resources.lake import GEO
from restoration.exports.release import Release, Rows

CRS = "EPSG:4326"
GEOPACKAGE = "restauracion.gpkg"
STYLES = Path(__file__).parent / "styles"
_COLUMN = GEO["columns"]["geometry"] | {"crs": pyproj.CRS(CRS).to_json_dict()}
_GEO = GEO | {"columns": {"geometry": _COLUMN}}  # GeoParquet as in the lake, with an explicit reference system

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


def write_gis(con: duckdb.DuckDBPyConnection, release: Release, folder: Path) -> Rows:
    """Write the GeoPackage with its styles, and a GeoParquet and a style file a layer."""
    rows = {}
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": release.stamp})  # the same release, the same bytes
    try:
        for name, query in LAYERS.items():
            table = con.execute(f"select * replace (st_aswkb(geometry) as geometry) from ({query})").to_arrow_table()
            rows[f"{name}.parquet"] = table.num_rows
            pyogrio.write_arrow(
                table,
                folder / GEOPACKAGE,
                layer=name,
                driver="GPKG",
                geometry_name="geometry",
                geometry_type="Unknown",
                crs=CRS,
                append=name != next(iter(LAYERS)),
            )
            geo = table.replace_schema_metadata({"geo": json.dumps(_GEO)})
            pq.write_table(geo, folder / f"{name}.parquet", compression="zstd")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    styles = {path.stem: path.read_text(encoding="utf-8") for path in sorted(STYLES.glob("*.qml"))}
    for name, style in styles.items():
        (folder / f"{name}.qml").write_text(style, encoding="utf-8")
    _keep_styles(folder / GEOPACKAGE, styles, release.stamp)
    return rows | {GEOPACKAGE: sum(rows.values())}


def _keep_styles(geopackage: Path, styles: dict[str, str], stamp: str) -> None:
    """The table in which QGIS looks for the style of a layer it opens."""
    with sqlite3.connect(geopackage) as con:
        con.execute(
            "create table layer_styles (id integer primary key autoincrement, f_table_catalog text, f_table_schema text,"
            " f_table_name text, f_geometry_column text, styleName text, styleQML text, styleSLD text, useAsDefault boolean,"
            " description text, owner text, ui text, update_time text)"
        )
        con.execute(
            "insert into gpkg_contents (table_name, data_type, identifier, description, last_change)"
            " values ('layer_styles', 'attributes', 'layer_styles', 'Estilos de QGIS', ?)",
            [stamp],
        )
        con.executemany(
            "insert into layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML,"
            " useAsDefault, description, owner, update_time)"
            " select '', '', table_name, column_name, table_name, ?, 1, ?, '', ? from gpkg_geometry_columns where table_name = ?",
            [(style, f"Restauración: {name}", stamp, name) for name, style in styles.items()],
        )
    con.close()
