"""The daily digest in Spanish: what is published, what changed, who delivers well, what is open.

Belongs here: reading the published file and saying it in a page. Does not: sending (resources/notifications.py).
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb

from pipelines.operations.incidents import IncidentLog
from resources.notifications import Message
from restoration.exports.release import current_release

_WORST = 5


def digest(published: Path, data_dir: Path) -> Message:
    """The digest of what is published now."""
    if not published.exists():
        return Message(
            "Almacén de restauración: todavía no hay publicación", "La primera corrida no ha terminado. Vea Dagster."
        )
    with duckdb.connect(str(published), read_only=True) as con:
        release = current_release(con)
        targets = con.execute(
            "select target_name_es, net_ha, progress_pct from marts.progress_to_targets where is_latest order by target_ha"
        ).fetchall()
        changes = con.execute(
            "select subject, change_kind, count(*) from marts.changes_since_last_release group by all order by all"
        ).fetchall()
        scores = con.execute(
            "select institution_name, score, trend from quality.scorecard where source = 'all' and dimension = 'all'"
            f" order by score, institution_name limit {_WORST}"
        ).fetchall()
        held = con.execute("select count(*) from quality.quarantine").fetchone() or (0,)
        waiting = con.execute("select count(*) from core.record_links where outcome = 'review'").fetchone() or (0,)
    verified = release.verified_at.astimezone(dt.UTC)
    lines = ["ENTORNO DE PRUEBA: datos inventados.", ""] if release.is_sandbox else []
    lines += [
        f"Publicación {release.release_id}, datos al {release.as_of}, revisada {verified:%Y-%m-%d %H:%M} UTC.",
        "",
        "Avance (las metas no se suman):",
    ]
    lines += [f"• {name}: {net:,.0f} ha netas, {share:.2f} %" for name, net, share in targets]
    lines += ["", "Cambios desde la publicación anterior:"]
    lines += [f"• {subject}: {kind}, {count:,}" for subject, kind, count in changes] or ["• ninguno"]
    lines += ["", "Puntajes más bajos:"]
    lines += [f"• {name}: {score:.1f}" + (f" ({trend:+.1f})" if trend else "") for name, score, trend in scores]
    lines += ["", f"En cuarentena: {held[0]:,} filas. Pares por revisar: {waiting[0]:,}."]
    open_now = IncidentLog(data_dir).open()
    lines += ["", f"Problemas abiertos: {len(open_now)}", *(i.lines for i in open_now.values())]
    return Message(f"Almacén de restauración: resumen del {release.as_of}", "\n".join(lines))
