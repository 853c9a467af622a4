"""DETALLE_INVERSIONES of Invierte.pe in its real 68 columns: the investments behind initiatives, and many that are not.

Belongs here: the investment bank's file. Does not: what was spent in a year (budget.py).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl

from dbt_like_sql.seeds import read_seed
from sandbox.initiatives import GENERIC_CUI, Initiative
from sandbox.spellings import Office

OTHERS_AT_SCALE_1 = 4_000
BLANKS = ["", " ", "-", "NULL", "--", "-.-"]
DECOYS = ["MEJORAMIENTO DEL SERVICIO DE ÁREA VERDE URBANA EN", "RECUPERACIÓN DEL SERVICIO DE DRENAJE DE RIEGO EN",
          "MEJORAMIENTO DE PISTAS Y VEREDAS EN", "CREACIÓN DEL SERVICIO DE AGUA POTABLE EN"]


def make_investments(seed: int, scale: float, initiatives: list[Initiative]) -> pl.DataFrame:
    """One row a CUI, every column text, embedded newlines and the known spellings of nothing included."""
    random = np.random.default_rng([seed, 5])
    capitals = read_seed("districts_inei_2025").to_dicts()
    by_ubigeo = {c["ubigeo"]: c for c in capitals}
    order = read_seed("invierte_detalle_columns")["column_name"].to_list()
    rows: list[dict[str, Any]] = []
    for initiative in initiatives:
        if initiative.cui:
            reported = Office(seed, 3, int(initiative.key[1:])).name(initiative.name)
            name = f"{reported} {random.choice(['', '- ETAPA I', 'DEL DISTRITO'])}".upper().strip()
            rows.append(_row(random, initiative.cui, name, by_ubigeo[initiative.ubigeo], initiative.start, "AMBIENTE"))
    for number in range(int(OTHERS_AT_SCALE_1 * scale)):
        place = capitals[int(random.integers(len(capitals)))]
        start = dt.date(int(random.integers(2015, 2026)), int(random.integers(1, 13)), 15)
        name = f"{random.choice(DECOYS)} {place['district_name']}".upper()
        rows.append(_row(random, str(2_300_000 + number), name, place, start, "SANEAMIENTO"))
    rows.append(_row(random, GENERIC_CUI, "ESTUDIOS DE PRE-INVERSION", capitals[0], dt.date(2005, 1, 1), "PLANEAMIENTO"))
    return pl.DataFrame(rows, infer_schema_length=None).select(
        [pl.col(c).cast(pl.String) if c in rows[0] else pl.lit("").alias(c) for c in order]
    )


def _row(
    random: np.random.Generator, cui: str, name: str, place: dict[str, Any], start: dt.date, function: str
) -> dict[str, Any]:
    cost = round(float(random.lognormal(14.3, 1.1)), 2)
    spread = random.random() < 0.06  # lies in several departments
    if random.random() < 0.17:
        name = name.replace(" EN ", " \n EN ", 1)
    return {
        "NIVEL": str(random.choice(["GN", "GR", "GL"])),
        "SECTOR": "AMBIENTAL" if random.random() < 0.1 else "GOBIERNOS LOCALES",
        "CODIGO_UNICO": cui,
        "CODIGO_SNIP": str(random.choice([*BLANKS, str(int(random.integers(1, 400_000)))])),
        "NOMBRE_INVERSION": name,
        "ESTADO": str(random.choice(["ACTIVO", "ACTIVO ", " ACTIVO"])),
        "SITUACION": str(random.choice(["VIABLE", "APROBADO", "EN FORMULACION"])),
        "MONTO_VIABLE": f"{cost:.2f}",
        "COSTO_ACTUALIZADO": f"{cost * float(random.uniform(0.95, 1.4)):.2f}",
        "CTRL_CONCURR": "0",
        "ALTERNATIVA": "Alternativa 1:\r\nobras y \"plantaciones\"" if random.random() < 0.2 else str(random.choice(BLANKS)),
        "FECHA_REGISTRO": f"{start:%Y-%m-%d} 00:00:00",
        "FECHA_VIABILIDAD": f"{start + dt.timedelta(days=90):%Y-%m-%d} 00:00:00" if random.random() < 0.9 else "",
        "FUNCION": function,
        "PROGRAMA": "DESARROLLO ESTRATEGICO, CONSERVACION Y APROVECHAMIENTO SOSTENIBLE DEL PATRIMONIO NATURAL",
        "MARCO": "INVIERTE",
        "TIPO_INVERSION": str(random.choice(["PROYECTO DE INVERSION", "PROYECTO DE INVERSIÓN", "INVERSIONES IOARR"])),
        "PRIMER_DEVENGADO": f"{start:%Y%m}",
        "DEVEN_ACUMUL_ANIO_ANT": f"{cost * 0.4:.2f}",
        "DEV_ANIO_ACTUAL": f"{cost * 0.1:.2f}",
        "AVANCE_FISICO": f"{float(random.uniform(0, 100)):.2f}",
        "AVANCE_EJECUCION": "32456789.1" if random.random() < 0.002 else f"{float(random.uniform(0, 100)):.2f}",
        "DES_TIPOLOGIA": "RECUPERACION DE ECOSISTEMAS" if function == "AMBIENTE" and random.random() < 0.6 else "",
        "DEPARTAMENTO": "-MUL.DEP-" if spread else place["department_name"].upper(),
        "PROVINCIA": "-MUL.PROV-" if spread else place["province_name"].upper(),
        "DISTRITO": "-MUL.DIS-" if spread else place["district_name"].upper(),
        "UBIGEO": "" if spread else place["ubigeo"],
        "LATITUD": f"{place['capital_lat']:.6f}" if random.random() < 0.83 else "",
        "LONGITUD": f"{place['capital_lon']:.6f}" if random.random() < 0.83 else "",
        "NUM_HABITANTES_BENEF": str(int(random.integers(50, 20_000))),
        "ANIO_PROCESO": "2025",
    }
