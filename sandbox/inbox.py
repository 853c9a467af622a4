"""What institutions left in the inbox of the miniature Peru, one of each format, good rows and bad.

Belongs here: synthetic submissions. Does not: reading or answering them.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyogrio
import shapely
import xlsxwriter

from dbt_like_sql.seeds import read_seed
from sandbox.geography import Ground, area_ha, blob

WITHDRAWN_FOLDER = "retirar"
MADE_ON = "2025-12-31"  # files record when they were created; worlds of one seed are equal
_ZIP_DATE = (2025, 12, 31, 12, 0, 0)


def write_inbox(folder: Path, seed: int, ground: Ground) -> None:
    """Write a submission in each format.

    A marine-coastal GeoPackage (IMARPE), an agricultural-soil workbook (MIDAGRI), a regional government's KMZ, an NGO's CSV
    with mistakes, a community's zipped shapefile and a company's GeoJSON.
    """
    random = np.random.default_rng([seed, 11])
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": f"{MADE_ON}T12:00:00.000Z"})
    write_vector(
        folder / "imarpe" / "praderas_macroalgas.gpkg",
        rows_of(random, ground, "IMARPE", "Restauración de praderas de macroalgas", "Isla", 2, shift=-0.06),
    )
    _workbook(
        folder / "midagri" / "suelos_agrarios.xlsx",
        rows_of(random, ground, "MIDAGRI", "Recuperación de suelos agrarios con terrazas", "Agri", 3),
    )
    _kmz(
        folder / "gore_tacna" / "bofedales.kmz",
        rows_of(random, ground, "Gobierno Regional de Tacna", "Recuperación de bofedales", "Bofedal", 1),
    )
    _csv(
        folder / "ong_tierra" / "plantaciones.csv",
        rows_of(random, ground, "ONG Tierra", "Reforestación con especies nativas", "Bosque relicto altoandino", 3),
    )
    _shapefile(
        folder / "comunidad_alto_mayo" / "zonas.zip",
        rows_of(
            random, ground, "Comunidad Nativa Alto Mayo", "Restauración del bosque", "Bosque de terraza no inundable", 2
        ),
    )
    write_vector(
        folder / "agroforestal_sac" / "sistemas.geojson",
        rows_of(random, ground, "Agroforestal S.A.C.", "Sistemas agroforestales", "Agri", 1),
    )


def rows_of(
    random: np.random.Generator,
    ground: Ground,
    institution: str,
    words: str,
    ecosystem: str,
    count: int,
    shift: float = 0.0,
) -> list[dict[str, Any]]:
    """Rows in the template's columns, one polygon each."""
    capitals = read_seed("districts_inei_2025")
    names = read_seed("ecosystems")["ecosystem_name"].to_list()
    coastal = capitals.filter(pl.col("capital_altitude_m") < 30)
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        pool = coastal if shift else capitals
        place = pool.row(int(random.integers(pool.height)), named=True)
        shape = blob(
            random, place["capital_lon"] + shift, place["capital_lat"] + 0.015, float(random.uniform(4, 60)), 24
        )
        if not shift and not ground.outline.covers(shape):
            continue
        hectares = float(area_ha([shape])[0])
        rows.append(
            {
                "codigo": f"{institution.split()[-1].upper()[:6]}-{len(rows) + 1:03d}",
                "nombre": f"{words} en {place['district_name']}",
                "institucion": institution,
                "estado": "En ejecución",
                "tipo": "Restauración ecológica",
                "ecosistema": next((n for n in names if n.startswith(ecosystem)), names[0]),
                "ubigeo": place["ubigeo"],
                "cui": None,
                "fecha_inicio": "2024-03-01",
                "fecha_fin": None,
                "meta_ha": f"{hectares * 1.5:.2f}",
                "superficie_ha": f"{hectares:.2f}",
                "verificado_campo": "NO",
                "tenencia": "Comunal",
                "actividades": "4;24",
                "observaciones": None,
                "geometry": shape,
            }
        )
    return rows


def write_vector(path: Path, rows: list[dict[str, Any]], crs: str = "EPSG:4326") -> None:
    """A file of polygons; its format follows from its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [n for n in rows[0] if n != "geometry"]
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array([r["geometry"] for r in rows], dtype=object)),
        [np.array([r[n] for r in rows], dtype=object) for n in names],
        names,
        geometry_type="Polygon",
        crs=crs,
        driver="LIBKML" if path.suffix == ".kml" else None,
        layer_options={"DBF_DATE_LAST_UPDATE": MADE_ON} if path.suffix == ".shp" else None,
    )


def _without_geometry(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A point in two columns instead of a polygon."""
    return [
        {k: v for k, v in r.items() if k != "geometry"}
        | {"longitud": f"{r['geometry'].centroid.x:.6f}", "latitud": f"{r['geometry'].centroid.y:.6f}"}
        for r in rows
    ]


def _workbook(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with xlsxwriter.Workbook(str(path)) as workbook:
        workbook.set_properties({"created": dt.datetime(2025, 12, 31, 12, tzinfo=dt.UTC)})
        frame = pl.DataFrame(_without_geometry(rows), infer_schema_length=None)
        frame.with_columns(pl.all().cast(pl.String)).write_excel(workbook, "Iniciativas")
        values = {
            "codigo": [r["codigo"] for r in rows[:2]],
            "indicador": ["AURORA-006", "AURORA-012"],
            "anio": ["2025", "2025"],
            "valor": ["38.5", "64"],
            "unidad": [None, None],
            "metodo": ["Encuesta de hogares", "Padrón"],
        }
        pl.DataFrame(values, schema=dict.fromkeys(values, pl.String)).write_excel(workbook, "Indicadores")


def _csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Semicolons and Windows' letters; one row with a state nobody knows, one with swapped coordinates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = _without_geometry(rows)
    table[1]["estado"] = "casi listo"
    table[2]["longitud"], table[2]["latitud"] = table[2]["latitud"], table[2]["longitud"]
    frame = pl.DataFrame(table, infer_schema_length=None).with_columns(pl.all().cast(pl.String))
    path.write_bytes(frame.write_csv(separator=";").encode("cp1252"))


def _kmz(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    scratch = path.with_suffix(".kml")
    write_vector(scratch, rows)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("doc.kml", _ZIP_DATE), scratch.read_bytes())
    scratch.unlink()
    path.write_bytes(buffer.getvalue())


def _shapefile(path: Path, rows: list[dict[str, Any]]) -> None:
    """In UTM 18 south, as field teams work, names cut to ten letters."""
    from pyproj import Transformer

    path.parent.mkdir(parents=True, exist_ok=True)
    move = Transformer.from_crs(4326, 32718, always_xy=True)
    moved = [
        r | {"geometry": shapely.transform(r["geometry"], lambda p: np.column_stack(move.transform(p[:, 0], p[:, 1])))}
        for r in rows
    ]
    folder = path.parent / "scratch"
    folder.mkdir()
    write_vector(folder / "zonas.shp", [{k[:10]: v for k, v in r.items()} for r in moved], crs="EPSG:32718")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in sorted(folder.iterdir()):
            archive.writestr(zipfile.ZipInfo(member.name, _ZIP_DATE), member.read_bytes())
            member.unlink()
    folder.rmdir()
