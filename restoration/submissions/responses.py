"""The answer beside each submission, in Spanish: what was accepted, what was not and how to fix it, what was withdrawn.

Belongs here: reading the published file for one submission and writing its workbook. Does not: judging rows (expectations).
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import polars as pl
import xlsxwriter

from expectations.contracts import read_contract
from resources.inbox import WITHDRAW_FOLDER, Inbox, answer_path
from resources.shared_folders import remove_file, replace_file

logger = logging.getLogger(__name__)

Lines = list[tuple[str, str | float]]  # label and value

_STATE = ".respuestas.json"
_CONTRACTS = ("submissions", "initiatives", "areas", "indicator_values")
_PERSONAL = {f"{name}.table.texts_hold_no_personal_data" for name in _CONTRACTS}  # said of rows that are refused, too
_GENERAL_ADVICE = "Corrija el dato y vuelva a dejar el archivo con el mismo nombre."

_CONSEQUENCE = (
    "areas.table.initiative_of_the_area_passed_the_protocol"  # said only where nothing else is wrong with the row
)

_ROWS = """
with held as (
    select
        json_extract_string(record, '$.layer_name') as submission,
        try_cast(json_extract_string(record, '$.source_row') as bigint) as source_row,
        json_extract_string(record, '$.source_record_id') as source_record_id,
        table_name,
        rule_id,
        reason_es
    from quality.quarantine
    where source = 'submissions'
),
warned as (
    select areas.source_row, told.rule_id
    from staging.std_areas as areas
    inner join quality.warnings as told on told.record_key in (areas.area_id, areas.record_key)
    where areas.source = 'submissions' and areas.layer_name = $submission
    union
    select features.source_row, told.rule_id
    from staging.stg_submissions__features as features
    inner join quality.warnings as told on told.record_key = features.row_key
    where features.submission = $submission
),
reasons as (
    select features.source_row, held.rule_id, held.reason_es
    from staging.stg_submissions__features as features
    inner join held
        on
            (held.table_name in ('staging.std_areas', 'staging.stg_submissions__features') and held.submission = features.submission and held.source_row = features.source_row)
            or (held.table_name = 'staging.std_initiatives' and held.source_record_id is not distinct from features.source_record_id)
    where features.submission = $submission
),
placed as (
    select
        areas.source_row,
        count(*) as area_count,
        min(areas.initiative_id) as initiative_id,
        sum(areas.geometry_ha) as geometry_ha,
        sum(areas.net_ha) as net_ha,
        min(areas.ubigeo) as ubigeo
    from core.areas as areas
    where areas.source = 'submissions' and areas.layer_name = $submission
    group by areas.source_row
)
select
    'Iniciativas' as hoja,
    features.file_row::bigint as fila,
    features.own_code as codigo,
    features.name as nombre,
    placed.initiative_id as iniciativa,
    placed.area_count as areas,
    round(features.declared_ha, 2) as superficie_declarada_ha,
    round(placed.geometry_ha, 2) as superficie_dibujada_ha,
    round(placed.net_ha, 2) as superficie_neta_ha,
    placed.ubigeo as ubigeo_encontrado,
    (
        select list_sort(list(distinct {'rule_id': r.rule_id, 'reason_es': r.reason_es}))
        from reasons as r where r.source_row = features.source_row
    ) as reasons,
    (select list_sort(list(distinct w.rule_id)) from warned as w where w.source_row = features.source_row) as warnings
from staging.stg_submissions__features as features
left join placed on features.source_row = placed.source_row
where features.submission = $submission
order by features.source_row
"""
_INDICATORS = """
select
    'Indicadores' as hoja,
    given.file_row as fila,
    given.own_code as codigo,
    given.indicator_at_source as nombre,
    kept.initiative_id as iniciativa,
    (
        select list_sort(list(distinct {'rule_id': held.rule_id, 'reason_es': held.reason_es}))
        from quality.quarantine as held
        where held.table_name = 'staging.stg_submissions__indicators' and held.record_key = given.value_key
    ) as reasons
from staging.stg_submissions__indicators as given
left join core.indicator_values as kept on given.value_key = kept.value_key
where given.layer_name = $submission
order by given.source_row
"""
_STATUS = """
select last_error, last_good_at, (select release_id from meta.releases order by published_at desc limit 1)
from quality.source_status where source = 'submissions.areas' and partition = $submission
"""
_WITHDRAWN = """
select
    status.snapshot_id is null and not status.is_stale,
    count(distinct gone.source_row),
    coalesce(sum(gone.declared_ha), 0),
    coalesce(sum(gone.geometry_ha), 0),
    coalesce(sum(gone.net_ha), 0)
from quality.source_status as status
left join history.areas as gone
    on
        gone.source = 'submissions'
        and gone.layer_name = status.partition
        and epoch(gone.valid_to) >= epoch(status.last_checked_at)
where status.source = 'submissions.areas' and status.partition = $submission
group by status.snapshot_id, status.is_stale
"""
_GONE = ("Resultado", "Retirado: lo que este archivo había entregado ya no cuenta.")
_STILL_THERE: Lines = [
    ("Resultado", "No se retiró nada: el archivo sigue en la carpeta de la institución."),
    ("Qué hacer", "Para retirarlo, quítelo de esa carpeta y deje este aquí. Si quiere mantenerlo, borre este."),
]
_NEVER_RECEIVED: Lines = [
    ("Resultado", "No se retiró nada: nunca se entregó un archivo de este nombre."),
    ("Qué hacer", "Revise el nombre y la carpeta: deben ser los de la entrega."),
]


def answer_all(con: duckdb.DuckDBPyConnection, inbox: Inbox) -> dict[str, dict[str, int]]:
    """Write the answers that are new or differ from the last ones; returns accepted and rejected rows by submission.

    `con` reads the published file.
    """
    state_path = inbox.folder / _STATE
    before = _reported_before(state_path)
    answered = dict(before)
    received: dict[str, dict[str, int]] = {}
    delivered = inbox.submissions()
    for submission, path in delivered.items():
        status = con.execute(_STATUS, {"submission": submission}).fetchone()
        if status is None:
            continue  # it arrived after this run had read the inbox
        rows = con.execute(_ROWS, {"submission": submission}).pl()
        accepted, rejected = _judged(rows)
        values, wrong_values = _judged(con.execute(_INDICATORS, {"submission": submission}).pl())
        rejected = pl.concat([rejected, wrong_values])
        received[submission] = {"accepted": accepted.height, "rejected": rejected.height}
        facts = [path.name, str(status[0]), accepted.write_json(), rejected.write_json(), str(values.height)]
        lines = _summary(path.name, status[0], str(status[2]), accepted.height, rejected.height, values.height)
        _answer(answered, submission, facts, path, lines, {"Aceptadas": accepted, "Por corregir": rejected})
    for submission, path in inbox.withdrawals().items():
        if reported := _withdrawn(con, submission, is_there=submission in delivered):
            facts = [path.name, *(f"{label}\0{text}" for label, text in reported)]
            _answer(answered, f"{WITHDRAW_FOLDER}/{submission}", facts, path, [("Archivo", path.name), *reported], {})
            if reported[0] == _GONE and answered.pop(submission, ""):  # the earlier answer is no longer valid
                remove_file(answer_path(path.parent.parent / path.name))
    if answered != before:
        replace_file(state_path, json.dumps(answered, indent=1).encode())
    return received


def _reported_before(path: Path) -> dict[str, str]:
    """What the last answers said; nothing where that cannot be read: then each is written again."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _answer(
    answered: dict[str, str],
    name: str,
    facts: Sequence[str],
    path: Path,
    lines: Lines,
    sheets: Mapping[str, pl.DataFrame],
) -> None:
    """Write an answer that would say something else than the last one of this name."""
    content = hashlib.sha256("\0".join(facts).encode()).hexdigest()
    target = answer_path(path)
    if answered.get(name) == content and target.is_file() and not target.is_symlink():
        return
    try:
        replace_file(target, _workbook(lines, sheets))
    except OSError as error:
        # a folder that cannot be written costs its institution the answer, and nobody else anything
        logger.warning("the answer %s cannot be written: %s", target.name, error.strerror)
        return
    answered[name] = content


def _withdrawn(con: duckdb.DuckDBPyConnection, submission: str, *, is_there: bool) -> Lines:
    """The result of a request to withdraw a submission; nothing where it arrived after this run had read the inbox."""
    if is_there:
        return _STILL_THERE
    row = con.execute(_WITHDRAWN, {"submission": submission}).fetchone()
    if row is None:
        return _NEVER_RECEIVED
    is_withdrawn, rows, declared, drawn, net = row
    if not is_withdrawn:
        return []
    return [
        _GONE,
        ("Filas aceptadas que se retiraron", rows),
        ("Hectáreas declaradas que se retiraron", round(float(declared), 2)),
        ("Hectáreas dibujadas que se retiraron", round(float(drawn), 2)),
        ("Hectáreas netas que se retiraron", round(float(net), 2)),
        ("Qué hacer", "Nada. Para entregarlo otra vez, deje el archivo en la carpeta de la institución y borre este."),
    ]


def _advice() -> Mapping[str, str]:
    return {r.rule_id: r.mend_es for name in _CONTRACTS for r in read_contract(name).rules if r.mend_es}


def _to_improve(rule_ids: Sequence[str] | None, meanings: Mapping[str, str]) -> str:
    return "; ".join(dict.fromkeys(meanings[rule] for rule in rule_ids or ()))


def _judged(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Accepted rows, and rejected rows with what happened and what to do."""
    advice = _advice()
    meanings = {r.rule_id: r.reason_es for name in _CONTRACTS for r in read_contract(name).rules}
    accepted = rows.filter(pl.col("iniciativa").is_not_null()).drop("reasons", "hoja")
    if "warnings" in accepted.columns:
        reported = pl.Series(
            "por_mejorar", [_to_improve(w, meanings) for w in accepted["warnings"].to_list()], dtype=pl.String
        )
        accepted = accepted.drop("warnings").with_columns(reported)
    said = []
    for row in rows.filter(pl.col("iniciativa").is_null()).iter_rows(named=True):
        reasons = row["reasons"] or []
        own = [r for r in reasons if r["rule_id"] != _CONSEQUENCE] or reasons
        own = [*own, *({"rule_id": w, "reason_es": meanings[w]} for w in row.get("warnings") or () if w in _PERSONAL)]
        fixes = dict.fromkeys(advice[r["rule_id"]] for r in own if r["rule_id"] in advice)
        said.append(
            {
                "hoja": row["hoja"],
                "fila": row["fila"],
                "codigo": row["codigo"],
                "nombre": row["nombre"],
                "que_paso": "; ".join(dict.fromkeys(r["reason_es"] for r in own)) or "La fila no generó ninguna área",
                "que_hacer": " ".join(fixes) or _GENERAL_ADVICE,
            }
        )
    schema = {
        "hoja": pl.String,
        "fila": pl.Int64,
        "codigo": pl.String,
        "nombre": pl.String,
        "que_paso": pl.String,
        "que_hacer": pl.String,
    }
    return accepted, pl.DataFrame(said, schema=schema)


def _summary(name: str, error: str | None, release: str, accepted: int, rejected: int, indicator_values: int) -> Lines:
    lines: Lines = [
        ("Archivo", name),
        ("Filas aceptadas", accepted),
        ("Valores de indicadores aceptados", indicator_values),
        ("Filas por corregir", rejected),
        ("Publicación", release),
    ]
    if error:
        lines.append(("No se pudo leer", error))
        lines.append(
            (
                "Qué hacer",
                (
                    "Vuelva a guardar el archivo en uno de los formatos aceptados y déjelo de nuevo. "
                    "Lo que se había aceptado antes sigue vigente."
                ),
            )
        )
    elif rejected:
        lines.append(
            (
                "Qué hacer",
                (
                    "Corrija las filas de la hoja «Por corregir» y vuelva a dejar el archivo completo, "
                    "con el mismo nombre."
                ),
            )
        )
    else:
        lines.append(("Qué hacer", "Nada: todo fue aceptado. Cuando algo cambie, vuelva a dejar el archivo completo."))
    return lines


def _workbook(lines: Lines, sheets: Mapping[str, pl.DataFrame]) -> bytes:
    """An answer as a workbook."""
    written = io.BytesIO()
    with xlsxwriter.Workbook(
        written, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    ) as workbook:
        bold, wrap = workbook.add_format({"bold": True}), workbook.add_format({"text_wrap": True, "valign": "top"})
        sheet = workbook.add_worksheet("Resumen")
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 1, 90, wrap)
        for number, (label, value) in enumerate(lines):
            sheet.write(number, 0, label, bold)
            sheet.write(number, 1, value, wrap)
        for title, frame in sheets.items():
            widths = {"nombre": 320, "que_paso": 420, "que_hacer": 520, "por_mejorar": 520}
            frame.write_excel(
                workbook,
                title,
                column_widths={c: widths.get(c, 130) for c in frame.columns},
                freeze_panes=(1, 0),
                column_formats={c: wrap for c in frame.columns if c in {"que_paso", "que_hacer", "por_mejorar"}},
            )
    return written.getvalue()
