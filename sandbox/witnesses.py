"""Other publications on the same money and ground, for cross-checks.

MEF's long file and Consulta Amigable, Invierte.pe's other files, FERM, the ubigeo crosswalk, the district archive.

Belongs here: products derived from the synthetic budget, investments and districts, so that they agree with them where
the real ones do. Does not: the budget itself (budget.py).
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyogrio
import shapely

from dbt_like_sql.seeds import read_seed
from sandbox.budget import MONTHS
from sandbox.initiatives import Initiative
from sandbox.spellings import Office

LONG_FROM = 2024
_MEASURES = (
    "MONTO_PIA",
    "MONTO_PIM",
    "MONTO_CERTIFICADO_ANUAL",
    "MONTO_COMPROMETIDO_ANUAL",
    "MONTO_DEVENGADO_ANUAL",
    "MONTO_GIRADO_ANUAL",
)


def long_file(wide: pl.DataFrame) -> pl.DataFrame:
    """The 63 columns of the long file: PIA and PIM are in month 0, flows in the months that have any."""
    columns = [c for c in wide.columns if not c.startswith("MONTO_") and c != "TIPO_TRANSACCION_NOMBRE"]
    columns[columns.index("TIPO_ACT_PROY") + 1 : columns.index("TIPO_ACT_PROY") + 1] = ["TIPO_ACT_PROY_NOMBRE"]
    base = wide.with_columns(
        TIPO_ACT_PROY_NOMBRE=pl.when(pl.col("TIPO_ACT_PROY") == "2")
        .then(pl.lit("PROYECTO"))
        .otherwise(pl.lit("PRODUCTO"))
    )
    zero = pl.lit("0")
    opening = base.select(
        *columns,
        MES_EJE=zero,
        MONTO_PIA="MONTO_PIA",
        MONTO_PIM="MONTO_PIM",
        MONTO_CERTIFICADO=zero,
        MONTO_COMPROMETIDO_ANUAL=zero,
        MONTO_COMPROMETIDO=zero,
        MONTO_DEVENGADO=zero,
        MONTO_GIRADO=zero,
    )
    months = []
    for number, month in enumerate(MONTHS, start=1):
        last = number == 12  # certified, committed and paid flow in the last month
        flow = base.select(
            *columns,
            MES_EJE=pl.lit(str(number)),
            MONTO_PIA=zero,
            MONTO_PIM=zero,
            MONTO_CERTIFICADO=pl.col("MONTO_CERTIFICADO_ANUAL") if last else zero,
            MONTO_COMPROMETIDO_ANUAL=pl.col("MONTO_COMPROMETIDO_ANUAL") if last else zero,
            MONTO_COMPROMETIDO=pl.col(f"MONTO_DEVENGADO_{month}"),
            MONTO_DEVENGADO=pl.col(f"MONTO_DEVENGADO_{month}"),
            MONTO_GIRADO=pl.col("MONTO_GIRADO_ANUAL") if last else zero,
        )
        empty = (pl.col("MONTO_DEVENGADO").cast(pl.Float64) == 0) & (pl.col("MONTO_GIRADO").cast(pl.Float64) == 0)
        months.append(flow.filter(~empty) if not last else flow)
    whole = pl.concat([*reversed(months), opening])
    return whole.select("ANO_EJE", "MES_EJE", *[c for c in whole.columns if c not in {"ANO_EJE", "MES_EJE"}])


def consulta_amigable(year: int, wide: pl.DataFrame) -> str:
    """The export of one year: soles without decimals, a breadcrumb with totals, HTML dressed as .xls."""
    totals = (
        wide.group_by("PROGRAMA_PPTO", "PROGRAMA_PPTO_NOMBRE")
        .agg(pl.col(c).cast(pl.Decimal(20, 2)).sum() for c in _MEASURES)
        .sort("PROGRAMA_PPTO")
    )

    def soles(value: Any) -> str:
        return f"{round(value):,}"

    def cells(row: dict[str, Any]) -> str:
        pia, pim, certified, committed, accrued, paid = (row[c] for c in _MEASURES)
        rate = 100 * float(accrued) / float(pim) if pim else 0
        amounts = [pia, pim, certified, committed, accrued, accrued, paid]
        return "".join(f"<td>{soles(v)}</td>" for v in amounts) + f"<td>{rate:.1f}</td>"

    whole = {c: sum(totals[c].to_list()) for c in _MEASURES}
    rows = "".join(
        f"<tr><td>{r['PROGRAMA_PPTO']}: {r['PROGRAMA_PPTO_NOMBRE']}</td>{cells(r)}</tr>"
        for r in totals.iter_rows(named=True)
    )
    return (
        "<html><head><meta charset='utf-8'><title>Consulta Amigable</title></head><body>"
        f"<p>Fecha de la Consulta: __ASKED_AT__</p>"
        f"<table class='History'><tr><td>TOTAL {year}</td>{cells(whole)}</tr></table>"
        "<table class='MapTable'><tr><td>Categoría Presupuestal</td><td>PIA</td><td>PIM</td><td>Certificación</td>"
        "<td>Compromiso Anual</td><td colspan='3'>Ejecución</td><td rowspan='2'>Avance&nbsp;% </td></tr>"
        "<tr><td>Atención de Compromiso Mensual&nbsp;</td><td>Devengado&nbsp;</td><td>Girado&nbsp;</td></tr></table>"
        f"<table class='Data'>{rows}</table></body></html>"
    )


def closed_investments(seed: int, active: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """CIERRE and DESACTIVADAS, with their own names for the same columns; CUIs that are not active any more."""
    random = np.random.default_rng([seed, 8])
    picked = active.filter(pl.col("CODIGO_UNICO").str.starts_with("23")).head(600)
    shifted = picked.with_columns(CODIGO_UNICO=(pl.col("CODIGO_UNICO").cast(pl.Int64) - 100_000).cast(pl.String))
    accrued = pl.col("DEVEN_ACUMUL_ANIO_ANT")
    closed = shifted.head(350).select(
        "CODIGO_UNICO",
        "CODIGO_SNIP",
        "NOMBRE_INVERSION",
        "NIVEL",
        "SECTOR",
        pl.lit("CERRADO ").alias("ESTADO"),
        "SITUACION",
        "MONTO_VIABLE",
        "COSTO_ACTUALIZADO",
        "FECHA_REGISTRO",
        "FECHA_VIABILIDAD",
        "FUNCION",
        "TIPO_INVERSION",
        "DES_TIPOLOGIA",
        accrued.alias("DEVEN_ACUMULADO"),
        pl.lit("2023-12-31 00:00:00").alias("FECHA_CIERRE"),
        "UBIGEO",
        "LATITUD",
        "LONGITUD",
        pl.lit("SERVICIO DE RECUPERACION").alias("DES_SERVICIO"),
        pl.lit("").alias("DES_BRECHA"),
        pl.lit("HECTAREAS").alias("DES_UM"),
        pl.lit("").alias("DES_ESPACIO_GEO"),
        pl.Series("CONTRIB_CIERRE_BRECHA", random.uniform(1, 90, min(350, shifted.height)).round(2).astype(str)),
        pl.lit("0").alias("TOTAL_LIQUIDACION"),
        pl.lit("2025").alias("ANIO_PROC"),
    )
    off = shifted.tail(shifted.height - 350) if shifted.height > 350 else shifted.tail(1)
    deactivated = off.select(
        pl.when(pl.int_range(pl.len()) % 17 == 0)
        .then(pl.lit(""))
        .otherwise(pl.col("CODIGO_UNICO"))
        .alias("CODIGO_UNICO"),
        pl.col("CODIGO_SNIP").alias("COD_SNIP"),
        "NOMBRE_INVERSION",
        "NIVEL",
        "SECTOR",
        pl.lit("DESACTIVADO   PERMANENTE").alias("ESTADO"),
        "SITUACION",
        "MONTO_VIABLE",
        "COSTO_ACTUALIZADO",
        "FECHA_REGISTRO",
        "FECHA_VIABILIDAD",
        "FUNCION",
        pl.lit("").alias("SUBPROGRAM"),
        "TIPO_INVERSION",
        "DES_TIPOLOGIA",
        accrued.alias("DEVENGADO_ACUMULADO"),
        "UBIGEO",
        pl.lit("2025").alias("ANIO_PROC"),
    )
    return closed, deactivated


def gaps(seed: int, active: pl.DataFrame, initiatives: list[Initiative]) -> pl.DataFrame:
    """INVERSIONES_BRECHAS: several rows a CUI; hectares are the unit of ecosystem recovery."""
    random = np.random.default_rng([seed, 9])
    targets = {i.cui: i.target_ha for i in initiatives if i.cui}
    rows = []
    for cui in active["CODIGO_UNICO"].to_list():
        if cui in targets:
            share = float(random.uniform(0.3, 0.7))
            for part, year in ((share, 2025), (1 - share, 2026)):
                rows.append(
                    (
                        cui,
                        "SERVICIOS ECOSISTEMICOS",
                        "PORCENTAJE DE SUPERFICIE DE ECOSISTEMAS DEGRADADOS QUE BRINDAN SERVICIOS ECOSISTÉMICOS QUE REQUIEREN DE RECUPERACIÓN",
                        "HECTAREAS",
                        "DISTRITAL",
                        str(year),
                        "3217389.29",
                        f"{targets[cui] * part:.2f}",
                        "2025",
                    )
                )
        elif random.random() < 0.3:
            rows.append(
                (
                    cui,
                    "AGUA POTABLE",
                    "PORCENTAJE DE LA POBLACION SIN ACCESO",
                    "PERSONAS",
                    "DISTRITAL",
                    "2025",
                    "1000",
                    str(int(random.integers(50, 900))),
                    "2025",
                )
            )
    names = [
        "CODIGO_UNICO",
        "DES_SERVICIO",
        "DES_BRECHA",
        "DES_UM",
        "ESPACIO_GEOGRAFICO",
        "ANIO",
        "VALOR",
        "CONTRIBUCION",
        "ANIO_PROC",
    ]
    return pl.DataFrame(rows, schema=names, orient="row")


def ferm(seed: int, initiatives: list[Initiative]) -> list[dict[str, Any]]:
    """Public initiatives of the country in FERM: some of those that others know, written in FERM's terms."""
    random = np.random.default_rng([seed, 10])
    statuses = {
        "in_preparation": "In preparation",
        "in_progress": "In progress",
        "post_completion": "Post-completion monitoring",
    }
    types = {"ecological_restoration": "Ecological restoration", "rehabilitation": "Rehabilitation"}
    records = []
    for initiative in initiatives:
        if initiative.restoration_type not in types or random.random() > 0.04:
            continue
        records.append(
            {
                "initiative_id": f"ferm-{initiative.key.lower()}",
                "title": Office(seed, 4, int(initiative.key[1:])).name(initiative.name),
                "source": str(random.choice(["FERM", "GEF", "Nature Commitments"], p=[0.8, 0.15, 0.05])),
                "restoration_status": statuses[initiative.status],
                "country_codes_iso3": ["PER"],
                "restoration_types": [types[initiative.restoration_type]],
                "last_updated": f"{initiative.start.year}-12-01T00:00:00Z",
                "description": None,
                "organizations": [{"name": initiative.lead, "role": "Leading"}],
                "url": f"https://ferm.fao.org/initiatives/{initiative.key.lower()}",
                "starting_year": initiative.start.year,
                "ending_year": initiative.end.year if initiative.end else None,
                "area_under_restoration_ha": initiative.target_ha,
            }
        )
    return records


def crosswalk() -> pl.DataFrame:
    """INEI and RENIEC codes of every district. RENIEC's follow its order of departments, Callao last."""
    inei_order = {
        "07": "24",
        "08": "07",
        "09": "08",
        "10": "09",
        "11": "10",
        "12": "11",
        "13": "12",
        "14": "13",
        "15": "14",
        "16": "15",
        "17": "16",
        "18": "17",
        "19": "18",
        "20": "19",
        "21": "20",
        "22": "21",
        "23": "22",
        "24": "23",
    }
    districts = read_seed("districts_inei_2025")
    return districts.select(
        UBIGEO_INEI="ubigeo",
        UBIGEO_RENIEC=pl.col("ubigeo").str.slice(0, 2).replace(inei_order) + pl.col("ubigeo").str.slice(2),
        DEPARTAMENTO="department_name",
        PROVINCIA="province_name",
        DISTRITO="district_name",
    )


def district_archive(districts: pl.DataFrame) -> bytes:
    """Distrito.rar: a GeoPackage of the districts inside a RAR archive."""
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2023-12-31T12:00:00.000Z"})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Distrito.gpkg"
        parts = (shapely.get_parts(g) for g in shapely.from_wkb(districts["geometry"].to_numpy()))
        shapes = [shapely.MultiPolygon(list(p)) for p in parts]
        pyogrio.raw.write(
            path,
            shapely.to_wkb(np.array(shapes, dtype=object)),
            [districts["ubigeo"].to_numpy().astype(object), districts["district_name"].to_numpy().astype(object)],
            ["UBIGEO", "DISTRITO"],
            driver="GPKG",
            layer="Distrito",
            geometry_type="MultiPolygon",
            crs="EPSG:4326",
        )
        return stored_rar("Distrito.gpkg", path.read_bytes())


def stored_rar(name: str, content: bytes) -> bytes:
    """A RAR 4 archive of one member without compression; nothing free writes the format, and this much is documented."""

    def block(kind: int, flags: int, body: bytes, data: bytes = b"") -> bytes:
        head = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head + data

    member = name.encode()
    header = struct.pack(
        "<IIBIIBBHI", len(content), len(content), 3, zlib.crc32(content), 0x5A21_0000, 20, 0x30, len(member), 0o100644
    )
    return (
        b"Rar!\x1a\x07\x00"
        + block(0x73, 0, bytes(6))
        + block(0x74, 0x8000, header + member, content)
        + block(0x7B, 0x4000, b"")
    )
