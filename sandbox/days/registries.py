"""What registries do from one day to the next: they add, revise, redraw, merge, split and withdraw initiatives.

Belongs here: events of MINAM's, SERFOR's and FERM's records, with the truth kept in step. Does not: when they happen (calendar.py).
Each returns the keys of the initiatives it touched.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from typing import Any

import polars as pl
import shapely

from sandbox.days.country import LAYERS_OF, Country
from sandbox.geography import COORDINATE_DECIMALS, area_ha
from sandbox.initiatives import (
    MINAM_STATUS,
    SERFOR_STATUS,
    STATUSES,
    Initiative,
    Truth,
    epoch_ms,
    esri_polygon,
    minam_record,
    serfor_record,
)
from sandbox.spellings import Office

_NEXT = dict(itertools.pairwise(STATUSES))
_FERM_STATUS = {"in_progress": "In progress", "post_completion": "Post-completion monitoring"}


def _some(country: Country, name: str, keys: list[str], count: int) -> list[str]:
    """As many of these keys as there are, up to `count`, by the day's chance."""
    chosen = country.random(name).permutation(len(keys))[:count]
    return [keys[int(place)] for place in sorted(chosen)]


def _number(country: Country, place: int) -> int:
    """A number that no initiative has: those of day 0 lie below 900,000."""
    return 900_000 + country.day * 100 + place


def revise(country: Country) -> list[str]:
    """Targets and declared hectares are corrected, one initiative is checked in the field."""
    keys = _some(country, "revise", country.known_to("minam"), 3)
    for place, key in enumerate(keys):
        initiative, record = country.initiatives[key], country.record_of(key, "minam") or ""
        if place == 0:
            initiative.field_checked = True
            values: dict[str, Any] = {"VERIF_CAMPO": "SI"}
        else:
            initiative.target_ha = round(initiative.target_ha * 1.25, 2)
            values = {"HA_META": initiative.target_ha}
        for layer in LAYERS_OF["minam"]:
            country.update(layer, record, **values)
    for key in _some(country, "revise serfor", country.known_to("serfor"), 1):
        record, rows = country.record_of(key, "serfor") or "", country.frames["serfor_polygons"]
        declared = rows.filter(pl.col("CODINI") == record)["SUPAPR"][0]
        country.update("serfor_polygons", record, SUPAPR=round(declared * 1.03, 2))
        keys.append(key)
    return keys


def redraw(country: Country) -> list[str]:
    """A polygon is digitised anew, some forty metres off."""
    keys = _some(country, "redraw", country.simple(), 2)
    for key in keys:
        record = country.record_of(key, "minam") or ""
        is_it = (pl.col("registry") == "minam") & (pl.col("source_record_id") == record)
        old = shapely.from_wkb(country.areas.filter(is_it)["geometry"][0])
        new = shapely.Polygon(
            [
                (round(x + 0.0004, COORDINATE_DECIMALS), round(y - 0.0003, COORDINATE_DECIMALS))
                for x, y in old.exterior.coords
            ]
        )
        country.areas = country.areas.with_columns(
            geometry=pl.when(is_it).then(pl.lit(shapely.to_wkb(new))).otherwise(pl.col("geometry")),
            area_ha=pl.when(is_it).then(float(area_ha([new])[0])).otherwise(pl.col("area_ha")),
        )
        country.update("minam_polygons", record, geometry=_drawn(new))
    return keys


def _drawn(shape: Any) -> str:
    return esri_polygon([[list(map(float, point)) for point in shapely.get_coordinates(shape)[::-1]]])


def add(country: Country) -> list[str]:
    """MINAM registers new initiatives, near others of their kind."""
    keys = []
    for place, like in enumerate(_some(country, "add", country.simple(), 2)):
        model, number = country.initiatives[like], _number(country, place)
        shift = 0.004 * (place + 1)
        initiative = dataclasses.replace(
            model,
            key=f"T{number:06d}",
            name=f"{model.name.split(' en ')[0]} en Nueva Unión {country.day}-{place}, distrito de {model.name.rsplit('distrito de ', 1)[-1]}",
            status="in_progress",
            start=country.date,
            end=None,
            cui=None,
            parts=[
                shapely.transform(part, lambda p, s=shift: (p + s).round(COORDINATE_DECIMALS)) for part in model.parts
            ],
        )
        country.initiatives[initiative.key] = initiative
        _register(country, initiative, f"RED-{country.date.year}-{number:06d}")
        keys.append(initiative.key)
    return keys


def _register(country: Country, initiative: Initiative, record: str) -> None:
    polygons: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    truth, office = Truth(), Office(country.seed, 1, int(initiative.key[1:]))
    minam_record(country.random(record), office, initiative, record, "polygon", polygons, points, truth)
    country.append("minam_polygons", polygons)
    country.add_truth(truth)


def change_status(country: Country) -> list[str]:
    """Work begins or ends, and every registry says so; FERM too where it knows the initiative."""
    moving = [key for key in country.known_to("minam") if country.initiatives[key].status in _NEXT]
    keys = _some(country, "change_status", moving, 3)
    for key in keys:
        initiative = country.initiatives[key]
        initiative.status = _NEXT[initiative.status]
        if initiative.status == "post_completion":
            initiative.end = max(country.date, initiative.start + dt.timedelta(days=1))
        _report_status(country, initiative)
    return keys


def _report_status(country: Country, initiative: Initiative) -> None:
    ends = {"FEC_FIN": epoch_ms(initiative.end)} if initiative.end else {}
    if record := country.record_of(initiative.key, "minam"):
        for layer in LAYERS_OF["minam"]:
            country.update(layer, record, ESTADO=MINAM_STATUS[initiative.status], **ends)
        country.set_truth("minam", record, status=initiative.status)
    if record := country.record_of(initiative.key, "serfor"):
        ends = {"FECTER": epoch_ms(initiative.end)} if initiative.end else {}
        country.update("serfor_polygons", record, SITUAC=SERFOR_STATUS[initiative.status], **ends)
        country.set_truth("serfor", record, status=initiative.status)
    for entry in country.ferm:
        if entry["initiative_id"] == f"ferm-{initiative.key.lower()}" and initiative.status in _FERM_STATUS:
            entry["restoration_status"] = _FERM_STATUS[initiative.status]
            country.changed.add("ferm")


def withdraw(country: Country) -> list[str]:
    """Records leave: two that MINAM alone had, and one of an initiative that SERFOR has too."""
    keys = _some(country, "withdraw", country.known_to("minam", alone=True), 2)
    both = [key for key in country.known_to("minam") if country.record_of(key, "serfor")]
    keys += _some(country, "withdraw one of two", both, 1)
    for key in keys:
        country.remove("minam", country.record_of(key, "minam") or "")
        if key not in set(country.records["initiative_key"].to_list()):
            del country.initiatives[key]
    return keys


def abandon(country: Country) -> list[str]:
    """MINAM marks an initiative by a code that its own list of codes does not have."""
    keys = _some(country, "abandon", country.known_to("minam", alone=True), 1)
    for key in keys:
        record = country.record_of(key, "minam") or ""
        for layer in LAYERS_OF["minam"]:
            country.update(layer, record, ESTADO=4)
        country.set_truth("minam", record, quarantine_reason="unknown status")
    return keys


def learn_cui(country: Country) -> list[str]:
    """The investment behind an initiative is written down where it was missing."""
    blank = country.frames["minam_polygons"].filter(pl.col("CUI") == " ")["COD_INIC"].to_list()
    known = [
        k for k in country.known_to("minam") if country.initiatives[k].cui and country.record_of(k, "minam") in blank
    ]
    keys = _some(country, "learn_cui", known, 3)
    for key in keys:
        country.update("minam_polygons", country.record_of(key, "minam") or "", CUI=country.initiatives[key].cui)
    return keys


def partner_reports(country: Country) -> list[str]:
    """SERFOR begins to report what MINAM alone had."""
    keys = _some(country, "partner_reports", country.simple(), 2)
    for key in keys:
        rows: list[dict[str, Any]] = []
        truth, number = Truth(), int(key[1:])
        record = f"SNIFFS-R-{number + 7:06d}"
        serfor_record(
            country.random(key), Office(country.seed, 2, number), country.initiatives[key], record, rows, truth
        )
        renamed = country.renamed_fields.get("serfor_polygons", {})
        country.append("serfor_polygons", [{renamed.get(c, c): v for c, v in row.items()} for row in rows])
        country.add_truth(truth)
    return keys


def merge(country: Country) -> list[str]:
    """MINAM finds that two of its records are one initiative and keeps the first."""
    keys = _some(country, "merge", country.simple(), 2)
    if len(keys) < 2:
        return []
    kept, gone = (country.record_of(key, "minam") or "" for key in keys)
    rows = country.frames["minam_polygons"]
    like = rows.filter(pl.col("COD_INIC") == kept).row(0, named=True)
    said = {c: v for c, v in like.items() if c not in {"OBJECTID", "geometry", "HA_DECL"}}
    country.update("minam_polygons", gone, **said)
    country.records = country.records.filter(pl.col("source_record_id") != gone)
    country.set_truth(
        "minam", gone, initiative_key=keys[0], source_record_id=kept, status=country.initiatives[keys[0]].status
    )
    country.initiatives[keys[0]].parts += country.initiatives.pop(keys[1]).parts
    return keys


def split(country: Country) -> list[str]:
    """MINAM gives the second polygon of a record a code of its own."""
    rows = country.frames["minam_polygons"]
    counts = (
        country.areas.filter(pl.col("registry") == "minam")
        .group_by("source_record_id")
        .agg(pl.len(), pl.col("quarantine_reason").is_null().all().alias("is_sound"))
    )
    two = set(counts.filter((pl.col("len") == 2) & pl.col("is_sound"))["source_record_id"].to_list())
    able = [
        k
        for k in country.known_to("minam", alone=True)
        if country.record_of(k, "minam") in two and len(country.initiatives[k].parts) == 2
    ]
    keys = _some(country, "split", able, 1)
    for place, key in enumerate(list(keys)):
        record, initiative = country.record_of(key, "minam") or "", country.initiatives[key]
        second = int(rows.filter(pl.col("COD_INIC") == record)["OBJECTID"].max())  # type: ignore[arg-type]
        new, name = f"{record}-B", f"{initiative.name} - sector B"
        other = dataclasses.replace(
            initiative, key=f"T{_number(country, 50 + place):06d}", name=name, parts=[initiative.parts.pop()]
        )
        country.initiatives[other.key] = other
        is_it = pl.col("OBJECTID") == second
        country.frames["minam_polygons"] = rows.with_columns(
            COD_INIC=pl.when(is_it).then(pl.lit(new)).otherwise(pl.col("COD_INIC")),
            NOM_INIC=pl.when(is_it).then(pl.lit(name)).otherwise(pl.col("NOM_INIC")),
        )
        country.changed.add("minam_polygons")
        country.records = pl.concat(
            [
                country.records,
                pl.DataFrame(
                    [
                        {
                            "initiative_key": other.key,
                            "registry": "minam",
                            "source_record_id": new,
                            "quarantine_reason": None,
                        }
                    ],
                    schema=country.records.schema,
                ),
            ]
        )
        mine = (pl.col("registry") == "minam") & (pl.col("source_record_id") == record)
        last = pl.int_range(pl.len()) == pl.int_range(pl.len()).filter(mine).max()
        country.areas = country.areas.with_columns(
            initiative_key=pl.when(last).then(pl.lit(other.key)).otherwise(pl.col("initiative_key")),
            source_record_id=pl.when(last).then(pl.lit(new)).otherwise(pl.col("source_record_id")),
        )
        keys.append(other.key)
    return keys


def rename_institution(country: Country) -> list[str]:
    """An agency gets another name, in every record of MINAM."""
    old, new = "AGRO RURAL", "Programa Agro Rural del MIDAGRI"
    touched = [key for key, initiative in country.initiatives.items() if initiative.lead == old]
    for key in touched:
        country.initiatives[key].lead = new
    for layer in LAYERS_OF["minam"]:
        country.frames[layer] = country.frames[layer].with_columns(pl.col("INSTITUC").replace({old: new}))
        country.changed.add(layer)
    return sorted(touched)


def rename_field(country: Country) -> list[str]:
    """SERFOR's layer calls its target by another name; no warning is given."""
    country.renamed_fields["serfor_polygons"] = {"SUPMET": "SUPMETA"}
    country.frames["serfor_polygons"] = country.frames["serfor_polygons"].rename({"SUPMET": "SUPMETA"})
    country.changed.add("serfor_polygons")
    return ["serfor.restoration_areas"]


def register_follows(country: Country) -> list[str]:
    """A data engineer corrects `fields` in the register."""
    country.register["serfor.restoration_areas"] = {"target_ha": "SUPMETA"}
    return ["serfor.restoration_areas"]
