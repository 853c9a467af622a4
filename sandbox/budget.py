"""Six fiscal years of MEF wide files whose programme totals equal the official ones, and the money tied to initiatives.

Belongs here: synthetic budget rows in the real 73-column form. Does not: the investment bank (investments.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dbt_like_sql.seeds import read_seed
from sandbox.initiatives import Initiative

FISCAL_YEARS = tuple(range(2020, 2026))
ROWS_A_YEAR_AT_SCALE_1 = 9_000

MEASURES = ["initial_pen", "modified_pen", "certified_pen", "committed_pen", "accrued_pen", "paid_pen"]
MONTHS = ["ENERO", "FEBRERO", "MARZO", "ABRIL", "MAYO", "JUNIO", "JULIO", "AGOSTO", "SEPTIEMBRE", "OCTUBRE",
          "NOVIEMBRE", "DICIEMBRE"]
UNDOCUMENTED_NATIONAL_CENTS = 217_254_637_245_00  # a national PIM for years whose official one is not in the seeds
_OTHERS_SHARE_OF_MODIFIED = {"certified_pen": 0.96, "committed_pen": 0.94, "accrued_pen": 0.9, "paid_pen": 0.89}
IntArray = np.ndarray[Any, np.dtype[np.int64]]

# product or project, its name, activity, its name, function, division, group: as seen in real rows where the
# reference has them (0144, 0130, 0121, 0068); 0089 and 0072 are assumptions
PRODUCTS: dict[str, list[tuple[str, str, str, str, str, str, str]]] = {
    "0144": [("3000001", "ACCIONES COMUNES", "5000276", "GESTION DEL PROGRAMA", "17", "054", "0119")],
    "0130": [
        ("3000384", "AREAS FORESTALES RECUPERADAS CON MANEJO FOSRESTAL", "5005177", "PREVENCION, CONTROL Y VIGILANCIA", "10", "024", "0046"),
        ("3000886", "BOSQUES CON CONTROL Y VIGILANCIA EFECTIVOS", "5006322", "CONTROL Y VIGILANCIA", "10", "024", "0046"),
        ("3000001", "ACCIONES COMUNES", "5000276", "GESTION DEL PROGRAMA", "10", "024", "0046"),
    ],
    "0089": [("3000339", "PRODUCTORES AGRARIOS CON PRACTICAS DE CONSERVACION DE SUELOS", "5002972", "ASISTENCIA TECNICA EN MANEJO DE SUELOS", "10", "023", "0045"),
             ("3000001", "ACCIONES COMUNES", "5000276", "GESTION DEL PROGRAMA", "10", "023", "0045")],
    "0068": [("3000001", "ACCIONES COMUNES", "5004279", "MONITOREO, SUPERVISION Y EVALUACION", "05", "016", "0035"),
             ("3000734", "CAPACIDAD INSTALADA PARA LA PREPARACION Y RESPUESTA", "5005560", "DESARROLLO DE SIMULACROS", "05", "016", "0036"),
             ("3000735", "DESARROLLO DE MEDIDAS DE INTERVENCION PARA LA PROTECCION FISICA", "5005564", "MANTENIMIENTO DE CAUCES", "05", "016", "0035")],
    "0072": [("3000578", "FAMILIAS INCORPORADAS AL DESARROLLO ALTERNATIVO INTEGRAL", "5004320", "ASISTENCIA TECNICA", "10", "023", "0045"),
             ("3000001", "ACCIONES COMUNES", "5000276", "GESTION DEL PROGRAMA", "10", "023", "0045")],
    "0121": [("3000825", "CATASTRO, TITULACION Y REGISTRO DE TIERRAS RURALES", "5006066", "FORMALIZACION DE LA PROPIEDAD", "10", "023", "0045"),
             ("3000633", "PRODUCTORES AGROPECUARIOS ADOPTAN PAQUETES TECNOLOGICOS", "5004496", "ASISTENCIA TECNICA", "10", "023", "0045")],
}
OTHER_PRODUCT = ("3999999", "SIN PRODUCTO", "5000003", "GESTION ADMINISTRATIVA", "03", "006", "0008")


@dataclass(frozen=True)
class Budget:
    """Wide files by fiscal year, all columns text, and the true money of each CUI."""

    files: dict[int, pl.DataFrame]
    truth_spending: pl.DataFrame


def make_budget(seed: int, scale: float, initiatives: list[Initiative]) -> Budget:
    """Make every fiscal year; programme totals of all measures equal `budget_control_totals` to the sol."""
    capitals = read_seed("districts_inei_2025")
    controls = read_seed("budget_control_totals")
    national = {(r[0], r[1]): int(r[2] * 100) for r in read_seed("national_control_totals").iter_rows()}
    programmes = read_seed("programmes")
    files: dict[int, pl.DataFrame] = {}
    truth: list[pl.DataFrame] = []
    for year in FISCAL_YEARS:
        random = np.random.default_rng([seed, 4, year])
        blocks = []
        for programme, name in programmes.filter(pl.col("is_restoration_programme")).select(
            "programme_code", "programme_name"
        ).iter_rows():
            totals = controls.filter((pl.col("fiscal_year") == year) & (pl.col("programme_code") == programme))
            cents = {m: int(totals[m][0] * 100) for m in MEASURES if m != "committed_pen"}
            cents["committed_pen"] = (cents["certified_pen"] + cents["accrued_pen"]) // 2
            projects = [i for i in initiatives if i.cui and _programme_of(i) == programme and i.start.year <= year]
            rows = max(40, int(ROWS_A_YEAR_AT_SCALE_1 * scale / 9))
            blocks.append(_programme_rows(random, programme, name, cents, projects, rows, capitals))
        others = programmes.filter(~pl.col("is_restoration_programme") & (pl.col("first_year") <= year))
        rest = national.get((year, "modified_pen"), UNDOCUMENTED_NATIONAL_CENTS) - _sum(blocks, "modified_pen")
        modified = _split(random, rest, others.height, spread=0.4)
        initial = np.floor(modified * 0.9).astype(np.int64)
        if (year, "initial_pen") in national:
            initial = _split(random, national[year, "initial_pen"] - _sum(blocks, "initial_pen"), others.height, spread=0.4)
        for place, (programme, name) in enumerate(others.select("programme_code", "programme_name").iter_rows()):
            cents = {m: int(modified[place] * f) for m, f in _OTHERS_SHARE_OF_MODIFIED.items()}
            cents |= {"initial_pen": int(initial[place]), "modified_pen": int(modified[place])}
            blocks.append(_programme_rows(random, programme, name, cents, [], max(20, int(ROWS_A_YEAR_AT_SCALE_1 * scale / 21)), capitals))
        whole = pl.concat(blocks)
        truth.append(
            whole.filter(pl.col("activity_or_project") == "2")
            .group_by("product_code")
            .agg((pl.col("accrued_pen").sum().cast(pl.Decimal(18, 2)) / 100).cast(pl.Decimal(18, 2)).alias("accrued_pen"))
            .rename({"product_code": "cui"})
            .with_columns(fiscal_year=pl.lit(year))
        )
        files[year] = _wide(random, year, whole)
    return Budget(files=files, truth_spending=pl.concat(truth).sort("cui", "fiscal_year"))


def _sum(blocks: list[pl.DataFrame], measure: str) -> int:
    return sum(int(block[measure].sum()) for block in blocks)


def _programme_of(initiative: Initiative) -> str:
    """The programme that pays an initiative; part of this money is in programmes where it is seldom looked for."""
    by_kind = {"agricultural_soil": "0089", "forest": "0130"}
    spread = int(initiative.key[1:]) % 8
    return {0: "0068", 1: "0121", 2: "0072"}.get(spread, by_kind.get(initiative.kind, "0144"))


def _split(random: np.random.Generator, total: int, parts: int, spread: float = 1.2) -> IntArray:
    """Whole numbers that add up to `total` exactly, log-normally uneven."""
    weights = random.lognormal(0, spread, parts)
    shares = np.floor(weights / weights.sum() * total).astype(np.int64)
    shares[np.argmax(shares)] += total - shares.sum()
    return np.asarray(shares, dtype=np.int64)


def _programme_rows(
    random: np.random.Generator, programme: str, name: str, cents: dict[str, int],
    projects: list[Initiative], rows: int, capitals: pl.DataFrame,
) -> pl.DataFrame:
    """Rows of one programme and year; amounts in cents, adding up to `cents` measure by measure."""
    rows += len(projects)
    catalogue = PRODUCTS.get(programme, [OTHER_PRODUCT])
    picks = [catalogue[i] for i in random.integers(len(catalogue), size=rows - len(projects))]
    picks += [(p.cui or "", _budget_name(p.name), "6000029", "PRESERVACION DE SUELOS", "17", "054", "0119") for p in projects]
    seats = random.integers(capitals.height, size=rows)
    level = random.choice(["E", "R", "M"], rows, p=[0.35, 0.25, 0.4])
    district = capitals["ubigeo"].to_numpy()[seats]
    department_meta = np.array([u[:2] for u in district])
    for offset, project in enumerate(projects, start=rows - len(projects)):
        department_meta[offset] = project.ubigeo[:2]
        level[offset] = "M" if project.lead.startswith("Municipalidad") else "R" if project.lead.startswith("Gob") else "E"
    department_meta = np.where(random.random(rows) < 0.01, "0", department_meta)
    weights = random.lognormal(0, 1.3, rows)
    weights[rows - len(projects) :] *= 0.6
    frame: dict[str, Any] = {
        "programme_code": [programme] * rows,
        "programme_name": [name] * rows,
        "activity_or_project": np.where(np.arange(rows) >= rows - len(projects), "2", "3"),
        "product_code": [p[0] for p in picks],
        "product_name": [p[1] for p in picks],
        "activity_code": [p[2] for p in picks],
        "activity_name": [p[3] for p in picks],
        "function_code": [p[4] for p in picks],
        "division_code": [p[5] for p in picks],
        "group_code": [p[6] for p in picks],
        "level": level,
        "district": district,
        "department_meta": department_meta,
    }
    for measure in MEASURES:
        noisy = weights * random.uniform(0.8, 1.0, rows)
        amounts = np.floor(noisy / noisy.sum() * cents[measure]).astype(np.int64)
        amounts[np.argmax(amounts)] += cents[measure] - amounts.sum()
        if rows > 40:  # a reversal in one row, the same sum more in another: negative cells are legal
            moved = random.choice(rows - len(projects), (2, 4), replace=False)
            back = amounts[moved[0]] + random.integers(1, 500_000, 4)
            amounts[moved[0]] -= back
            amounts[moved[1]] += back
        frame[measure] = amounts
    return pl.DataFrame(frame)


def _budget_name(name: str) -> str:
    return name.upper().translate(str.maketrans("ÁÉÍÓÚ", "AEIOU"))


def _wide(random: np.random.Generator, year: int, rows: pl.DataFrame) -> pl.DataFrame:
    """The 73 text columns; some rows split in two under one key, as happens at the source."""
    n = rows.height
    accrued = rows["accrued_pen"].to_numpy()
    shares = random.dirichlet(np.linspace(0.6, 1.6, 12), n)
    months = np.floor(np.abs(accrued)[:, None] * shares).astype(np.int64) * np.sign(accrued)[:, None]
    months[:, 11] += accrued - months.sum(axis=1)
    reversed_rows = random.choice(n, n // 60, replace=False)  # accrued in one month, reversed in a later one
    slip = random.integers(100, 90_000, len(reversed_rows))
    months[reversed_rows, 3] -= months[reversed_rows, 3] + slip
    months[reversed_rows, 11] += accrued[reversed_rows] - months[reversed_rows].sum(axis=1)
    sequence = np.arange(n)
    district = rows["district"].to_numpy()
    level = rows["level"].to_numpy()
    local = level == "M"
    names = read_seed("districts_inei_2025")
    departments = dict(names.select(pl.col("ubigeo").str.slice(0, 2), "department_name").unique().iter_rows())
    by_district = {r[0]: r[1:] for r in names.select("ubigeo", "department_name", "province_name", "district_name").iter_rows()}
    place = [by_district[u] for u in district]
    executing = np.where(local, [f"30{u[:5]}"[:6] for u in district], (np.char.mod("%d", 100 + sequence % 1_800)))

    def upper(values: list[str]) -> list[str]:
        return [_budget_name(v) for v in values]

    columns: dict[str, Any] = {
        "ANO_EJE": [str(year)] * n,
        "NIVEL_GOBIERNO": level,
        "NIVEL_GOBIERNO_NOMBRE": [{"E": "GOBIERNO NACIONAL", "R": "GOBIERNOS REGIONALES", "M": "GOBIERNOS LOCALES"}[v] for v in level],
        "SECTOR": np.where(local, "", "05"),
        "SECTOR_NOMBRE": np.where(local, "", "AMBIENTAL"),
        "PLIEGO": np.where(local, "", "005"),
        "PLIEGO_NOMBRE": np.where(local, "", "MINISTERIO DEL AMBIENTE"),
        "SEC_EJEC": executing,
        "EJECUTORA": np.char.mod("%03d", 1 + sequence % 40),
        "EJECUTORA_NOMBRE": [("MUNICIPALIDAD DISTRITAL DE " if m else "UNIDAD EJECUTORA ") + _budget_name(p[2]) for m, p in zip(local, place, strict=True)],
        "DEPARTAMENTO_EJECUTORA": [u[:2] for u in district],
        "DEPARTAMENTO_EJECUTORA_NOMBRE": upper([p[0] for p in place]),
        "PROVINCIA_EJECUTORA": [u[2:4] for u in district],
        "PROVINCIA_EJECUTORA_NOMBRE": upper([p[1] for p in place]),
        "DISTRITO_EJECUTORA": [u[4:] for u in district],
        "DISTRITO_EJECUTORA_NOMBRE": upper([p[2] for p in place]),
        "SEC_FUNC": np.char.mod("%d", 1 + sequence),
        "PROGRAMA_PPTO": rows["programme_code"],
        "PROGRAMA_PPTO_NOMBRE": rows["programme_name"],
        "TIPO_ACT_PROY": rows["activity_or_project"],
        "PRODUCTO_PROYECTO": rows["product_code"],
        "PRODUCTO_PROYECTO_NOMBRE": rows["product_name"],
        "ACTIVIDAD_ACCION_OBRA": rows["activity_code"],
        "ACTIVIDAD_ACCION_OBRA_NOMBRE": rows["activity_name"],
        "FUNCION": rows["function_code"],
        "DIVISION_FUNCIONAL": rows["division_code"],
        "GRUPO_FUNCIONAL": rows["group_code"],
        "META": np.char.mod("%05d", 1 + sequence % 99_998),
        "FINALIDAD": np.where(random.random(n) < 0.02, "99999", np.char.mod("%07d", 30_000 + sequence)),
        "DEPARTAMENTO_META": rows["department_meta"],
        "DEPARTAMENTO_META_NOMBRE": [_budget_name(departments.get(d, "")) for d in rows["department_meta"]],
        "FUENTE_FINANCIAMIENTO": random.choice(["1", "2", "4", "5"], n),
        "RUBRO": random.choice(["00", "09", "13", "18"], n),
        "TIPO_RECURSO": random.choice(["0", "1", "A", "18"], n),
        "CATEGORIA_GASTO": np.where(rows["activity_or_project"].to_numpy() == "2", "6", "5"),
        "TIPO_TRANSACCION": ["2"] * n,
        "TIPO_TRANSACCION_NOMBRE": ["GASTOS PRESUPUESTARIOS"] * n,
        "GENERICA": np.where(rows["activity_or_project"].to_numpy() == "2", "6", "3"),
        "SUBGENERICA": random.choice(["1", "2", "6"], n),
        "SUBGENERICA_DET": random.choice(["1", "2", "3", "7"], n),
        "ESPECIFICA": random.choice(["1", "2", "3", "11"], n),
        "ESPECIFICA_DET": random.choice(["1", "2", "99"], n),
    }
    columns["META_NOMBRE"] = np.where(columns["FINALIDAD"] == "99999", "", rows["activity_name"].to_numpy())
    amounts = {
        "MONTO_PIA": rows["initial_pen"].to_numpy(),
        "MONTO_PIM": rows["modified_pen"].to_numpy(),
        "MONTO_CERTIFICADO_ANUAL": rows["certified_pen"].to_numpy(),
        "MONTO_COMPROMETIDO_ANUAL": rows["committed_pen"].to_numpy(),
        **{f"MONTO_DEVENGADO_{m}": months[:, i] for i, m in enumerate(MONTHS)},
        "MONTO_DEVENGADO_ANUAL": accrued,
        "MONTO_GIRADO_ANUAL": rows["paid_pen"].to_numpy(),
    }
    order = read_seed("mef_wide_columns")["column_name"].to_list()
    frame = pl.DataFrame(columns | amounts)
    frame = frame.with_columns(pl.lit(c.removesuffix("_NOMBRE")).alias(c) for c in order if c not in frame.columns)
    frame = _split_keys(random, frame.select(order), list(amounts))
    return frame.with_columns(_as_text(c) for c in amounts)


def _split_keys(random: np.random.Generator, frame: pl.DataFrame, amounts: list[str]) -> pl.DataFrame:
    """Some keys are on two rows that must be summed: the second carries PIM, certified and committed only."""
    chosen = np.sort(random.choice(frame.height, max(2, frame.height // 90), replace=False))
    moved = ["MONTO_PIM", "MONTO_CERTIFICADO_ANUAL", "MONTO_COMPROMETIDO_ANUAL"]
    second = frame[chosen].with_columns(
        [(pl.col(c) // 3 if c in moved else pl.lit(0, pl.Int64)).alias(c) for c in amounts]
    )
    is_split = pl.Series(np.isin(np.arange(frame.height), chosen))
    first = frame.with_columns(
        [pl.when(is_split).then(pl.col(c) - pl.col(c) // 3).otherwise(pl.col(c)).alias(c) for c in moved]
    )
    empty = frame[chosen[:2]].with_columns([pl.lit(0, pl.Int64).alias(c) for c in amounts])  # full duplicates, all zero
    return pl.concat([first, second, empty, empty])


def _as_text(column: str) -> pl.Expr:
    """Cents as text in soles, trailing zeros dropped, as the source prints them."""
    cents = pl.col(column)
    sign = pl.when(cents < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    whole, rest = (cents.abs() // 100).cast(pl.String), (cents.abs() % 100)
    fraction = pl.when(rest == 0).then(pl.lit("")).otherwise("." + rest.cast(pl.String).str.zfill(2).str.strip_chars_end("0"))
    return pl.concat_str(sign, whole, fraction).alias(column)
