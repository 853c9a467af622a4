"""Incidents: what went wrong, since when, what is used meanwhile, what to do. One message at the start, one at the end.

Belongs here: finding them after a run, the log of open ones, the texts. Does not: sending (resources/notifications.py)
or retrying (resources/http.py, the one place that does).

Permanent means that a retry cannot fix it: a person has to. Transient is retried automatically every night.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import dagster as dg

from assets.keys import PUBLISHED
from pipelines.operations.backups import newest
from resources import errors
from resources.notifications import Message, Notifier
from resources.snapshots import SnapshotStore
from restoration.sources.register import SourceLayer

logger = logging.getLogger(__name__)

LOG_FILE = "incidents.json"
_OLDEST_COPY = dt.timedelta(days=2)
_TRANSIENT = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.TransientSourceError)
}
_INTERRUPTED = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}
_BLOCKED = {"DagsterAssetCheckFailedError"}  # the check itself has more detail
_NOT_AN_INCIDENT = {errors.AnotherRun.__name__} | _INTERRUPTED | _BLOCKED
_TODO = {
    "TransientSourceError": "Nada: se vuelve a pedir cada noche. Si dura más de tres días, avise a la institución.",
    "CertificateProblem": "Añada la autoridad que falta como `ca_file` del servidor en su registro (docs/runbook.md).",
    "TokenRequired": "Pida a la institución una credencial nueva y póngala en RESTAURACION_TOKEN_<INSTITUCIÓN>.",
    "ColumnsMissing": "La fuente cambió sus columnas: corrija `fields` en su registro (restoration/sources/registers/*.yml).",
    "LayerNotFound": "La capa cambió de nombre: corrija `layer` en su registro.",
    "LayerAmbiguous": "Varias capas coinciden: haga más específico `layer` en su registro.",
    "Refused": "La dirección ya no responde: corrija `url` en su registro.",
    "Shrunk": "La capa perdió filas: consulte a la institución. Si es correcto, suba `allowed_shrink` por una noche.",
    "EmptyAnswer": "La fuente respondió sin datos: consulte a la institución.",
    "NoSpace": "Libere espacio en disco: `python -m pipelines.operations.housekeeping` indica qué se puede borrar.",
    "NotWritable": "Revise propietario, permisos y montaje de la carpeta de datos: `make doctor`.",
    "CorruptWarehouse": "Restaure una copia de respaldo (docs/runbook.md).",
    "PublishRefused": "Vea las reglas que fallan en la corrida en Dagster; lo publicado no cambió.",
}
_AWAITED = "Nada: los archivos del año se publican en sus primeras semanas y se consultan cada noche."
_TODO_OTHERWISE = "Vea el registro de la corrida en Dagster y docs/runbook.md."


@dataclass(frozen=True)
class Incident:
    """One thing that is wrong. `key` identifies it from night to night."""

    key: str
    what: str
    since: str
    is_permanent: bool
    stands: str
    todo: str

    @property
    def lines(self) -> str:
        """As a message shows it."""
        kind = "permanente: requiere intervención" if self.is_permanent else "transitorio: se reintenta automáticamente"
        return (
            f"• {self.what}\n  desde {self.since} ({kind})\n  mientras tanto: {self.stands}\n  qué hacer: {self.todo}"
        )


class IncidentLog:
    """Open incidents below the data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / LOG_FILE

    def open(self) -> dict[str, Incident]:
        """Those that were reported and have not ended."""
        try:
            return {i["key"]: Incident(**i) for i in json.loads(self.path.read_text(encoding="utf-8"))}
        except (OSError, ValueError, TypeError):  # none yet, or torn: reported again rather than lost
            return {}

    def write(self, incidents: Mapping[str, Incident]) -> None:
        """Keep these as open."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_suffix(".part")
        scratch.write_text(
            json.dumps([asdict(i) for i in incidents.values()], indent=1, ensure_ascii=False), encoding="utf-8"
        )
        os.replace(scratch, self.path)


def source_incidents(store: SnapshotStore, layers: Mapping[str, SourceLayer]) -> dict[str, Incident]:
    """Sources whose last attempt failed, from their ledgers."""
    found = {}
    for layer in layers.values():
        parts: Sequence[str | None] = store.partitions(layer.source) if layer.is_partitioned else [None]
        for part in parts:
            attempts = store.attempts(layer.source, part)
            if not attempts or attempts[-1].outcome != "failed":
                continue
            valid = store.good(layer.source, part)  # not what was withdrawn since
            good = [i for i, a in enumerate(attempts) if a in valid]
            first = next(a for a in attempts[good[-1] + 1 if good else 0 :] if a.outcome == "failed")
            last = attempts[-1]
            name = f"{layer.source}{' ' + part if part else ''}"
            is_awaited = not good and layer.is_by_fiscal_year and _opens_soon(part, last.at)
            found[f"source:{name}"] = Incident(
                f"source:{name}",
                f"La fuente {name} ({layer.title_es}) no se pudo leer: {last.message}",
                f"{first.at[:16].replace('T', ' ')} UTC",
                last.error not in _TRANSIENT and not is_awaited,
                f"se usa su copia del {attempts[good[-1]].at[:10]}"
                if good
                else "nunca se leyó: sus tablas están vacías o no hay publicación",
                _AWAITED
                if is_awaited
                else _TODO.get(
                    last.error or "", _TODO["TransientSourceError"] if last.error in _TRANSIENT else _TODO_OTHERWISE
                ),
            )
    return found


def _opens_soon(fiscal_year: str | None, at: str) -> bool:
    """Whether it is the year's first quarter, in which the MEF opens the files of the year."""
    return fiscal_year == at[:4] and at[5:7] <= "03"


def backup_incident(backups: Path | None) -> dict[str, Incident]:
    """That the newest copy of the data folder is old, or that there is none; nothing where nobody said where copies are."""
    if backups is None:
        return {}
    created = newest(backups)
    if created and dt.datetime.now(dt.UTC) - created < _OLDEST_COPY:
        return {}
    when = f"{created:%Y-%m-%d %H:%M} UTC" if created else "nunca"
    reported = Incident(
        "backup:old",
        f"La última copia de respaldo en {backups} es de: {when}",
        when,
        is_permanent=True,
        stands="lo publicado y las copias de las fuentes siguen intactos, pero en una sola máquina",
        todo="Vea por qué no se ejecutó deploy/backup.sh (systemctl status restauracion-backup) y ejecútelo",
    )
    return {reported.key: reported}


def run_incidents(
    instance: dg.DagsterInstance, run: dg.DagsterRun, published: Path
) -> tuple[dict[str, Incident], set[str]]:
    """Steps that failed in a run and blocking checks that failed; and the keys of those that this run saw go well."""
    since = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC"
    stands = (
        f"la publicación del {dt.datetime.fromtimestamp(published.stat().st_mtime, dt.UTC):%Y-%m-%d %H:%M} UTC sigue intacta"
        if published.exists()
        else "todavía no hay publicación"
    )
    found: dict[str, Incident] = {}
    went_well: set[str] = set()
    for entry in instance.all_logs(run.run_id):
        event = entry.dagster_event
        if event is None:
            continue
        if event.is_step_success:
            went_well.add(f"step:{event.step_key}")
        elif event.is_step_failure:
            names, message = _causes(event.step_failure_data.error)
            if not names & _NOT_AN_INCIDENT:
                todo = next((_TODO[n] for n in names if n in _TODO), _TODO_OTHERWISE)
                key = f"step:{event.step_key}"
                found[key] = Incident(
                    key, f"Falló el paso {event.step_key}: {message}", since, not names & _TRANSIENT, stands, todo
                )
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            check = event.asset_check_evaluation_data
            key = f"check:{check.asset_key.to_user_string()}:{check.check_name}"
            if check.passed:
                went_well.add(key)
            elif check.blocking:
                found[key] = Incident(
                    key,
                    f"No se cumple {_reported(check)}",
                    since,
                    is_permanent=True,
                    stands=stands,
                    todo=_todo_of_check(published),
                )
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key == PUBLISHED:
            went_well.add("run")
    if run.status == dg.DagsterRunStatus.FAILURE and not found and not _stepped_aside(instance, run):
        found["run"] = Incident(
            "run",
            f"La corrida {run.run_id[:8]} se interrumpió sin indicar el motivo (¿memoria, reinicio?)",
            since,
            is_permanent=False,
            stands=stands,
            todo=_TODO["TransientSourceError"],
        )
    return found, went_well - set(found)


def blocked_by(events: Sequence[dg.DagsterEvent]) -> list[tuple[str, str]]:
    """Blocking checks that failed in a run: the step, and asset, check, reason, rows and sample keys in a line."""
    checks = [
        (e.step_key or "", e.asset_check_evaluation_data)
        for e in events
        if e.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    return [(step, _reported(check)) for step, check in checks if check.blocking and not check.passed]


def _reported(check: dg.AssetCheckEvaluation) -> str:
    """«check» of an asset, why it matters, and which rows fail it."""
    counts = {
        name: getattr(check.metadata.get(name), "value", None)
        for name in ("rows_failed", "rows_checked", "sample_keys")
    }
    reported = f"«{check.check_name}» en {check.asset_key.to_user_string()}: {check.description or ''}"
    if counts["rows_checked"] is not None:
        reported += f" ({counts['rows_failed']} de {counts['rows_checked']} filas)"
    keys = counts["sample_keys"]
    return reported + (f"; por ejemplo {', '.join(map(str, keys))}" if isinstance(keys, list) and keys else "")


def _todo_of_check(published: Path) -> str:
    """A first run has no quality report to look into."""
    page = published.parents[1] / "quality" / "latest" / "index.html"
    return (
        f"{_TODO['PublishRefused']} El informe de calidad de lo publicado: {page}"
        if page.exists()
        else _TODO["PublishRefused"]
    )


def is_interrupted(event: dg.DagsterEvent) -> bool:
    """Whether a step, or the run between two steps, ended because somebody stopped it (Ctrl-C, SIGTERM)."""
    failed = event.is_step_failure or event.event_type == dg.DagsterEventType.RUN_FAILURE
    return failed and bool(_causes(getattr(event.event_specific_data, "error", None))[0] & _INTERRUPTED)


def _causes(error: object) -> tuple[set[str], str]:
    names, message = set(), ""
    while error is not None:
        names.add(str(getattr(error, "cls_name", "")))
        message = errors.first_line(error)
        error = getattr(error, "cause", None)
    return names, message


def _stepped_aside(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    events = [e.dagster_event for e in instance.all_logs(run.run_id) if e.dagster_event]
    return any(
        is_interrupted(e) or (e.is_step_failure and _causes(e.step_failure_data.error)[0] & _NOT_AN_INCIDENT)
        for e in events
    )


def after_run(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    data_dir: Path,
    layers: Mapping[str, SourceLayer],
    notifier: Notifier,
    backups: Path | None = None,
) -> Message | None:
    """Compare with what was reported before; report what began and what ended. Returns the message sent, if any."""
    log = IncidentLog(data_dir)
    before = log.open()
    sources = source_incidents(SnapshotStore(data_dir / "snapshots"), layers)
    of_run, went_well = run_incidents(instance, run, data_dir / "warehouse" / "restauracion.duckdb")
    present = sources | of_run | backup_incident(backups)
    kept = {
        k: i
        for k, i in before.items()
        if k in present
        or not (k.startswith(("source:", "backup:")) or k in went_well or (k == "run" and "run" in went_well))
    }
    began = [i for k, i in present.items() if k not in before]
    ended = [i for k, i in before.items() if k not in kept]
    try:
        log.write(kept | {i.key: i for i in began})
    except OSError as error:  # reported twice rather than not at all
        logger.warning("the log of incidents cannot be written: %s", error)
    if not began and not ended:
        return None
    message = _message(began, ended, len(kept))
    notifier.send(message)
    return message


def _message(began: Sequence[Incident], ended: Sequence[Incident], still: int) -> Message:
    said = []
    if began:
        said += [f"Empezó ({len(began)}):", *(i.lines for i in began)]
    if ended:
        said += [f"Terminó ({len(ended)}):", *(f"• {i.what.splitlines()[0]} (desde {i.since})" for i in ended)]
    if still:
        said.append(f"Siguen abiertos y ya se informaron: {still}.")
    head = f"{len(began)} problema(s) nuevo(s)" if began else f"{len(ended)} problema(s) resuelto(s)"
    return Message(f"Almacén de restauración: {head}", "\n".join(said))
