"""What a submission is: the columns of the template, under which names they are understood, in which words they are asked.

Belongs here: the form that regional governments, NGOs, companies, communities and academia fill in. Does not: reading files
(resources), judging rows (expectations) or answering (assets/answers.py). No Dagster.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import polars as pl
import shapely

from dbt_like_sql.seeds import read_seed
from resources.tables import ROW

FILE_ROW = "fila"


@dataclass(frozen=True)
class Asked:
    """One column of the template. `code_list` gives the choices of its drop-down."""

    name: str
    help_es: str
    example: str
    is_required: bool = False
    code_list: str | None = None
    aliases: tuple[str, ...] = ()


TEMPLATE = (
    Asked("codigo", "Su propio código de la iniciativa. Varias filas con el mismo código son varias áreas de una iniciativa.",
          "REST-2024-001", is_required=True, aliases=("cod", "codini", "codinic", "codigoiniciativa")),
    Asked("nombre", "Nombre de la iniciativa.", "Restauración de bofedales en Huaytire", is_required=True,
          aliases=("nomini", "nominic", "name", "nombreiniciativa")),
    Asked("institucion", "Institución responsable. Si se deja en blanco, es la carpeta en que se entrega el archivo.",
          "Gobierno Regional de Tacna", aliases=("institucionresponsable", "titular", "titula", "instituc")),
    Asked("estado", "Estado de avance.", "En ejecución", is_required=True, code_list="status",
          aliases=("situacion", "situac", "status")),
    Asked("tipo", "Tipo de restauración.", "Restauración ecológica", is_required=True, code_list="restoration_type",
          aliases=("tiporestauracion", "tiporest", "tipres", "tiporestau")),
    Asked("ecosistema", "Ecosistema, según el Mapa Nacional de Ecosistemas.", "Bofedal", code_list="ecosystem",
          aliases=("ecosis",)),
    Asked("ubigeo", "Código INEI del distrito, seis cifras. No RENIEC. Necesario si no hay polígono ni coordenadas.", "230105",
          aliases=("distritoubigeo", "codubigeo", "iddist")),
    Asked("cui", "Código único de inversión, siete cifras que empiezan en 2, si la iniciativa tiene uno.", "2469244",
          aliases=("codigounico", "codcui")),
    Asked("fecha_inicio", "Fecha de inicio, año-mes-día.", "2024-03-01", aliases=("fecini", "inicio", "fechainici")),
    Asked("fecha_fin", "Fecha de término, año-mes-día; en blanco si sigue.", "", aliases=("fecfin", "fecter", "termino", "fechatermino")),
    Asked("meta_ha", "Superficie que se propone restaurar, en hectáreas.", "120.5", aliases=("hameta", "supmet", "meta")),
    Asked("superficie_ha", "Superficie que ya está en restauración en esta área, en hectáreas.", "37.25", is_required=True,
          aliases=("hadecl", "supapr", "superficie", "areaha", "hectareas", "superficieha", "superfici")),
    Asked("verificado_campo", "Si alguien la verificó en campo.", "SI", code_list="yes_no", aliases=("verifcampo", "vercam", "verificado", "verificad")),
    Asked("longitud", "Longitud en grados decimales (entre -82 y -68), si no se entrega polígono.", "-70.2871", aliases=("lon", "lng", "x")),
    Asked("latitud", "Latitud en grados decimales (entre -19 y 1).", "-16.9312", aliases=("lat", "y")),
    Asked("observaciones", "Lo que convenga saber.", "", aliases=("observ", "obs", "observaci", "observacio")),
)  # fmt: skip

_YES_NO = ("SI", "NO")


def choices(code_list: str) -> list[str]:
    """What a drop-down offers."""
    if code_list == "yes_no":
        return list(_YES_NO)
    if code_list == "status":
        return read_seed("initiative_statuses")["status_name_es"].to_list()
    if code_list == "restoration_type":
        return read_seed("restoration_types")["type_name_es"].to_list()
    return sorted(read_seed("ecosystems")["ecosystem_name"].to_list())


def folded(text: str) -> str:
    """Letters and digits alone, without accents: how headers are compared."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]", "", plain)


def _known_names(asked: Asked) -> list[str]:
    """Folded names that mean this column, its own first; a shapefile keeps ten letters of each."""
    own = [folded(asked.name), folded(asked.name[:10]), folded(asked.name)[:10]]
    return list(dict.fromkeys([*own, *asked.aliases]))


def to_template(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of any submission in the template's columns, all text, with WKB `geometry` and the row's number in its file.

    Columns are known by their folded names; those that the template does not ask for are left out. Longitude and
    latitude become a point where a row has no geometry.
    """
    by_name = {folded(column): column for column in reversed(rows.columns)}
    given: dict[str, str] = {}
    for asked in TEMPLATE:
        named = [by_name[name] for name in _known_names(asked) if name in by_name]
        filled = [column for column in named if rows[column].null_count() < rows.height]
        if named:
            given[asked.name] = (filled or named)[0]
    texts = [
        (pl.col(given[a.name]) if a.name in given else pl.lit(None, pl.String)).cast(pl.String).alias(a.name)
        for a in TEMPLATE
    ]
    geometry = pl.col("geometry") if "geometry" in rows.columns else pl.lit(None, pl.Binary).alias("geometry")
    number = pl.col(ROW) if ROW in rows.columns else pl.int_range(1, pl.len() + 1)  # features count from 1
    frame = rows.select(number.cast(pl.Int64).alias(FILE_ROW), *texts, geometry)
    return frame.with_columns(_points(frame))


def _points(frame: pl.DataFrame) -> pl.Series:
    numbers = frame.select(
        pl.col(c).str.strip_chars().str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
        for c in ("longitud", "latitud")
    )
    made = [
        wkb if wkb is not None else None if lon is None or lat is None else shapely.to_wkb(shapely.Point(lon, lat))
        for wkb, lon, lat in zip(frame["geometry"], numbers["longitud"], numbers["latitud"], strict=True)
    ]
    return pl.Series("geometry", made, dtype=pl.Binary)
