"""The life of a world: one day after the other, each written to a folder of its own.

Belongs here: letting the events of a day happen, and writing what they changed. Does not: the events, or their calendar.

A day's folder shares every file that did not change with the day before (hard links). Its truth is written in full.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import orjson
import polars as pl

from sandbox.days import budget, registries, submissions, surroundings
from sandbox.days.calendar import CALENDAR, bad_servers, date_of, events_on, night_of
from sandbox.days.country import Country, Event, first_day
from sandbox.world import (
    World,
    folder_of,
    put_in_place,
    world_at,
    write_budget,
    write_crosswalk,
    write_csv,
    write_degradation,
    write_districts,
    write_layer,
    write_truth,
)

_MODULES = (registries, budget, surroundings, submissions)
EVENTS: dict[str, Callable[[Country], list[str]]] = {
    name: getattr(module, name) for name in CALENDAR for module in _MODULES if hasattr(module, name)
}


class Life:
    """The worlds of one seed and scale below `parent`, day after day."""

    def __init__(self, parent: Path, seed: int, scale: float) -> None:
        self.parent, self.seed, self.scale = parent, seed, scale
        self._start = world_at(parent, seed, scale)
        self._scratch = tempfile.TemporaryDirectory(dir=parent)
        inbox = Path(self._scratch.name) / "inbox"
        shutil.copytree(self._start.inbox, inbox)
        self._country = first_day(seed, scale, inbox)

    def __enter__(self) -> Life:
        """As it is."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the scratch folder; the worlds stay."""
        self._scratch.cleanup()

    def world(self, day: int) -> World:
        """The world on a day, which must not be earlier than one requested before."""
        country, world = self._country, self._start
        if day < country.day:
            raise ValueError(f"day {day} is past: this life is at day {country.day}")
        while country.day < day:
            country.day += 1
            happened = [Event(name, tuple(EVENTS[name](country))) for name in events_on(country.day)]
            world = self._written(happened)
        return world if day else self._start

    def _written(self, happened: list[Event]) -> World:
        country = self._country
        folder = folder_of(self.parent, self.seed, self.scale, country.day)
        before = World(folder_of(self.parent, self.seed, self.scale, country.day - 1))
        changed, country.changed = sorted(country.changed), set()
        if folder.exists():
            return World(folder)

        def make(world: World) -> None:
            shutil.copytree(
                before.folder,
                world.folder,
                copy_function=_linked,
                ignore=shutil.ignore_patterns("inbox", "truth", "world.json"),
            )
            shutil.copytree(country.inbox, world.inbox)
            world.truth.mkdir()
            for name in changed:
                _write(world, country, name)
            write_truth(
                world, list(country.initiatives.values()), country.records, country.areas, country.ground.districts
            )
            _money(country).write_parquet(world.truth / "spending.parquet")
            world.truth.joinpath("events.json").write_text(
                json.dumps([{"name": e.name, "subjects": e.subjects} for e in happened])
            )
            moment = night_of(country.day).timestamp() - 3600  # an hour before the night reads it
            for path in world.files.iterdir():
                if path.stat().st_nlink == 1:
                    os.utime(path, (moment, moment))
            world.folder.joinpath("world.json").write_text(
                json.dumps(
                    {
                        "seed": country.seed,
                        "scale": country.scale,
                        "is_sandbox": True,
                        "day": country.day,
                        "date": date_of(country.day).isoformat(),
                        "last_fiscal_year": country.date.year,
                        "bad_servers": bad_servers(country.seed, country.day),
                        "renamed_fields": country.renamed_fields,
                        "register": country.register,
                    }
                )
            )

        return put_in_place(self.parent, folder, make)


def _linked(source: str, target: str) -> None:
    os.link(source, target)


def _write(world: World, country: Country, name: str) -> None:
    """Write one changed part anew; its old files may be shared with the day before, so they are removed first."""
    stale = [world.layers / f"{name}.parquet"]
    if name.startswith("budget_"):
        stale = [
            p
            for p in world.files.iterdir()
            if p.name.startswith(f"{name[7:]}-") or p.name == f"consulta_{name[7:]}.html"
        ]
    stale += {
        "investments": [world.files / "DETALLE_INVERSIONES.csv"],
        "ferm": [world.files / "ferm.json"],
        "codes": [world.files / "ubigeo_equivalencia_inei_reniec.csv"],
    }.get(name, [])
    for path in stale:
        path.unlink(missing_ok=True)
    if name in country.frames:
        country.frames[name].write_parquet(world.layers / f"{name}.parquet")
    elif name.startswith("budget_"):
        write_budget(world, int(name[7:]), country.budget[int(name[7:])])
    elif name.startswith("degradation_"):
        write_degradation(world, int(name[12:]), country.ground.degradation[int(name[12:])])
    elif name == "protected_areas":
        write_layer(world, name, country.ground.protected_areas)
    elif name == "districts":
        write_districts(world, country.ground.districts)
    elif name == "investments":
        write_csv(world, "DETALLE_INVERSIONES", country.investments)
    elif name == "codes":
        write_crosswalk(world, country.codes)
    else:
        (world.files / "ferm.json").write_bytes(orjson.dumps(country.ferm))


def _money(country: Country) -> pl.DataFrame:
    """The true accrued money of each investment by year, from the lines of projects."""
    years = [
        frame.filter(pl.col("TIPO_ACT_PROY") == "2")
        .group_by(cui="PRODUCTO_PROYECTO")
        .agg(accrued_pen=pl.col("MONTO_DEVENGADO_ANUAL").cast(pl.Decimal(18, 2)).sum().cast(pl.Decimal(18, 2)))
        .with_columns(fiscal_year=pl.lit(year))
        for year, frame in country.budget.items()
    ]
    return pl.concat(years).sort("cui", "fiscal_year")
