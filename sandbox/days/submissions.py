"""What institutions do with the inbox from one day to the next: they deliver, correct, deliver twice, withdraw.

Belongs here: events of the world's inbox folder. Does not: the first deliveries (sandbox/inbox.py) or bringing them to a data folder
(sandbox/serving.py).
Each returns the files it touched, as `<institution>/<file>`.
"""

from __future__ import annotations

import shutil

import polars as pl

from sandbox.days.country import Country
from sandbox.inbox import WITHDRAWN_FOLDER, rows_of, write_vector


def submission_arrives(country: Country) -> list[str]:
    """A regional government delivers for the first time, or a new file."""
    name = f"gore_cusco/bofedales_{country.day:02d}.geojson"
    random = country.random("arrives")
    write_vector(
        country.inbox / name,
        rows_of(
            random,
            country.ground,
            f"Gobierno Regional de Cusco C{country.day:02d}",
            "Recuperación de bofedales",
            "Bofedal",
            2,
        ),
    )
    return [name]


def submission_is_corrected(country: Country) -> list[str]:
    """The organisation whose file had two bad rows corrects them and delivers the complete file again."""
    name = "ong_tierra/plantaciones.csv"
    path = country.inbox / name
    frame = pl.read_csv(path, separator=";", encoding="windows-1252", infer_schema=False)
    swapped = pl.col("longitud").cast(pl.Float64) > pl.col("latitud").cast(pl.Float64)
    corrected = frame.with_columns(
        estado=pl.lit("En ejecución"),
        longitud=pl.when(swapped).then("latitud").otherwise("longitud"),
        latitud=pl.when(swapped).then("longitud").otherwise("latitud"),
    )
    path.write_bytes(corrected.write_csv(separator=";").encode("cp1252"))
    return [name]


def submission_comes_twice(country: Country) -> list[str]:
    """The same file once more, under the name that a browser gives a second download."""
    name = "agroforestal_sac/sistemas (1).geojson"
    shutil.copyfile(country.inbox / "agroforestal_sac" / "sistemas.geojson", country.inbox / name)
    return [name]


def submission_is_withdrawn(country: Country) -> list[str]:
    """A regional government takes its delivery back."""
    source = country.inbox / "gore_tacna" / "bofedales.kmz"
    target = country.inbox / "gore_tacna" / WITHDRAWN_FOLDER / source.name
    target.parent.mkdir(exist_ok=True)
    source.rename(target)
    return ["gore_tacna/bofedales.kmz"]
