"""The miniature Peru on one day: what its registries, files and inbox hold, and the truth about it.

Belongs here: the state that events change, and which parts of it changed. Does not: making day 0 (sandbox/*.py), events, writing
it to the disk (days/writing.py).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import shapely

from sandbox.budget import Budget, make_budget
from sandbox.days.calendar import date_of, random_of
from sandbox.geography import Ground, area_ha, make_ground
from sandbox.initiatives import Initiative, Truth, make_initiatives, make_registries
from sandbox.investments import make_investments


@dataclass(frozen=True)
class Event:
    """Something that happened: its name, and the records, initiatives or files it touched."""

    name: str
    subjects: tuple[str, ...]


@dataclass
class Country:
    """Everything that can change. `frames` are the registries' layers: rows of attributes and Esri JSON, by layer name."""

    seed: int
    scale: float
    ground: Ground
    initiatives: dict[str, Initiative]
    frames: dict[str, pl.DataFrame]
    records: pl.DataFrame
    areas: pl.DataFrame
    budget: dict[int, pl.DataFrame]
    investments: pl.DataFrame
    inbox: Path
    day: int = 0
    ferm: list[dict[str, Any]] = field(default_factory=list)
    renamed_fields: dict[str, dict[str, str]] = field(default_factory=dict)
    register: dict[str, dict[str, str]] = field(default_factory=dict)
    codes: pl.DataFrame = field(default_factory=pl.DataFrame)
    changed: set[str] = field(default_factory=set)

    @property
    def date(self) -> dt.date:
        """Of the day."""
        return date_of(self.day)

    def random(self, name: str) -> np.random.Generator:
        """The chance of an event of today."""
        return random_of(self.seed, self.day, name)

    # -- the truth about records ---------------------------------------------------------------------

    def record_of(self, initiative_key: str, registry: str) -> str | None:
        """The identifier under which a registry knows an initiative."""
        found = self.records.filter((pl.col("initiative_key") == initiative_key) & (pl.col("registry") == registry))
        return str(found["source_record_id"][0]) if found.height else None

    def known_to(self, registry: str, *, alone: bool = False) -> list[str]:
        """Sound initiatives that a registry knows, or that it alone does, in the order of their keys."""
        sound = self.records.filter(pl.col("quarantine_reason").is_null())
        keys = sound.filter(pl.col("registry") == registry)["initiative_key"]
        if alone:
            several = self.records.filter(pl.col("initiative_key").is_duplicated())["initiative_key"]
            keys = keys.filter(~keys.is_in(several.to_list()))
        return sorted(keys.to_list())

    def simple(self) -> list[str]:
        """Initiatives that MINAM alone knows, by one sound polygon drawn once."""
        areas = self.areas.filter(pl.col("registry") == "minam")
        once = areas.filter(~pl.col("source_record_id").is_duplicated() & pl.col("quarantine_reason").is_null())
        rows = self.frames["minam_polygons"]
        drawn = rows.filter(~pl.col("COD_INIC").is_duplicated() & pl.col("geometry").is_not_null())[
            "COD_INIC"
        ].to_list()
        named = set(once.filter(pl.col("source_record_id").is_in(drawn))["initiative_key"].to_list())
        return [key for key in self.known_to("minam", alone=True) if key in named]

    # -- changes ---------------------------------------------------------------------------------------

    def update(self, layer: str, record: str, **values: Any) -> None:
        """Set attributes of every row of a record."""
        column = CODE_COLUMN[layer]
        self.frames[layer] = self.frames[layer].with_columns(
            pl.when(pl.col(column) == record)
            .then(pl.lit(value, dtype=self.frames[layer].schema[name]))
            .otherwise(pl.col(name))
            .alias(name)
            for name, value in values.items()
        )
        self.changed.add(layer)

    def append(self, layer: str, rows: list[dict[str, Any]]) -> None:
        """New rows, with object ids above all others."""
        if not rows:
            return
        known = self.frames[layer]
        last = int(known["OBJECTID"].max() or 0)  # type: ignore[arg-type]
        numbered = [{"OBJECTID": last + place} | row for place, row in enumerate(rows, start=1)]
        self.frames[layer] = pl.concat([known, pl.DataFrame(numbered, schema=known.schema)])
        self.changed.add(layer)

    def add_truth(self, truth: Truth) -> None:
        """Record the truth about new records."""
        if truth.records:
            self.records = pl.concat([self.records, pl.DataFrame(truth.records, schema=self.records.schema)])
        if truth.areas:
            hectares = area_ha(shapely.from_wkb([a["geometry"] for a in truth.areas]))
            areas = [a | {"area_ha": float(ha)} for a, ha in zip(truth.areas, hectares, strict=True)]
            self.areas = pl.concat([self.areas, pl.DataFrame(areas, schema=self.areas.schema)])

    def remove(self, registry: str, record: str) -> None:
        """A registry removes a record."""
        for layer in LAYERS_OF[registry]:
            column = CODE_COLUMN[layer]
            kept = self.frames[layer].filter(pl.col(column) != record)
            if kept.height < self.frames[layer].height:
                self.frames[layer] = kept
                self.changed.add(layer)
        is_it = (pl.col("registry") == registry) & (pl.col("source_record_id") == record)
        self.records, self.areas = self.records.filter(~is_it), self.areas.filter(~is_it)

    def set_truth(self, registry: str, record: str, **values: Any) -> None:
        """Correct the truth about a record and its areas: `status`, `quarantine_reason`, `initiative_key`, `source_record_id`."""
        is_it = (pl.col("registry") == registry) & (pl.col("source_record_id") == record)
        for name in ("records", "areas"):
            frame = getattr(self, name)
            changes = [
                pl.when(is_it).then(pl.lit(value)).otherwise(pl.col(c)).alias(c)
                for c, value in values.items()
                if c in frame.columns
            ]
            setattr(self, name, frame.with_columns(changes))


CODE_COLUMN = {"minam_polygons": "COD_INIC", "minam_points": "COD_INIC", "serfor_polygons": "CODINI"}
LAYERS_OF = {"minam": ("minam_polygons", "minam_points"), "serfor": ("serfor_polygons",)}


def first_day(seed: int, scale: float, inbox: Path) -> Country:
    """The country on day 0, as `sandbox.world` wrote it. `inbox` is a folder of its own, which events change."""
    from sandbox.witnesses import crosswalk, ferm

    ground = make_ground(seed, scale)
    initiatives = make_initiatives(seed, scale, ground)
    registries = make_registries(seed, initiatives)
    budget: Budget = make_budget(seed, scale, initiatives)
    return Country(
        seed=seed,
        scale=scale,
        ground=ground,
        initiatives={i.key: i for i in initiatives},
        frames={
            "minam_polygons": _typed(registries.minam_polygons),
            "minam_points": _typed(registries.minam_points),
            "serfor_polygons": _typed(registries.serfor_polygons),
        },
        records=registries.truth_records,
        areas=registries.truth_areas,
        budget=dict(budget.files),
        investments=make_investments(seed, scale, initiatives),
        inbox=inbox,
        ferm=ferm(seed, initiatives),
        codes=crosswalk(),
    )


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """In a very small world a column may have no value on day 0, and so no type; later days give it one."""
    empty = [name for name, kind in frame.schema.items() if kind == pl.Null]
    return frame.with_columns(pl.col(name).cast(pl.Int64 if name.startswith("FEC") else pl.String) for name in empty)
