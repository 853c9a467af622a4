"""Esri JSON to columns and WKB.

Belongs here: reading pages that an ArcGIS server sent. Does not: asking for them (arcgis.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import shapely
from shapely.geometry.base import BaseGeometry

from resources.errors import UnexpectedFormat

LABEL_SUFFIX = "__label"  # a coded value's meaning stands beside it
DOMAIN_FAULT_COLUMN = "_domain_fault"  # codes that no domain of the layer knows; null where all are known
FAULT_COLUMN = "_geometry_fault"  # why a geometry could not be read; null where it could or where none was sent

_TYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "esriFieldTypeOID": pl.Int64,
    "esriFieldTypeInteger": pl.Int64,
    "esriFieldTypeSmallInteger": pl.Int64,
    "esriFieldTypeBigInteger": pl.Int64,
    "esriFieldTypeDouble": pl.Float64,
    "esriFieldTypeSingle": pl.Float64,
    "esriFieldTypeDate": pl.Datetime("ms", "UTC"),
}


def page_frame(source: str, metadata: dict[str, Any], page: dict[str, Any]) -> pl.DataFrame:
    """One page as columns: attributes, the meaning of coded values, WKB `geometry`, and what could not be read."""
    attributes = read_attributes(source, metadata["fields"], page["features"])
    return with_labels(metadata, attributes).with_columns(*read_geometries(page["features"]))


def with_labels(metadata: dict[str, Any], rows: pl.DataFrame) -> pl.DataFrame:
    """Add `<FIELD>__label` for each field with coded values (its own or those of a row's subtype) and `_domain_fault`.

    A code that the layer's metadata does not know keeps its value, has no label, and is named in `_domain_fault`.
    """
    domains = {f["name"]: _coded(f.get("domain")) for f in metadata["fields"] if _coded(f.get("domain"))}
    subtype_field = str(metadata.get("typeIdField") or metadata.get("subtypeField") or "")
    subtypes = metadata.get("types") or metadata.get("subtypes") or []
    by_name = {f["name"].lower(): f["name"] for f in metadata["fields"]}
    subtype_field = by_name.get(subtype_field.lower(), "")
    ids = {str(t.get("id", t.get("code"))): t for t in subtypes}
    if subtype_field and ids:
        domains[subtype_field] = {code: str(t["name"]) for code, t in ids.items()}
    for described in ids.values():  # a field may have coded values in some subtypes alone
        for name, domain in (described.get("domains") or {}).items():
            if _coded(domain):
                domains.setdefault(name, {})
    labels, faults = [], []
    for name, coded in domains.items():
        if name not in rows.columns:
            continue
        code = pl.col(name).cast(pl.String).str.strip_chars()
        label = _meaning(code, coded)
        is_coded = pl.lit(bool(coded))
        if subtype_field and name != subtype_field:
            for subtype, described in ids.items():  # a subtype may have a domain of its own for a field
                if own := _coded((described.get("domains") or {}).get(name)):
                    mine = pl.col(subtype_field).cast(pl.String) == subtype
                    label = pl.when(mine).then(_meaning(code, own)).otherwise(label)
                    is_coded = is_coded | mine
        labels.append(label.alias(name + LABEL_SUFFIX))
        unknown = is_coded & label.is_null() & code.is_not_null() & (code != "")
        faults.append(pl.when(unknown).then(pl.concat_str(pl.lit(f"{name} "), code)))
    fault = pl.concat_str(faults, separator=", ", ignore_nulls=True) if faults else pl.lit(None, pl.String)
    return rows.with_columns(*labels, pl.when(fault != "").then(fault).alias(DOMAIN_FAULT_COLUMN))


def _meaning(code: pl.Expr, coded: dict[str, str]) -> pl.Expr:
    return code.replace_strict(coded, default=None, return_dtype=pl.String) if coded else pl.lit(None, pl.String)


def _coded(domain: Any) -> dict[str, str]:
    """Code and meaning of a domain; ranges and inherited domains have none."""
    values = (domain or {}).get("codedValues") or []
    return {str(v["code"]).strip(): str(v["name"]) for v in values}


def read_attributes(source: str, fields: Sequence[dict[str, Any]], features: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Attributes of features as columns in the source's own names; dates become UTC timestamps.

    Raises UnexpectedFormat when a value does not fit the type its field declares.
    """
    columns = []
    for field in fields:
        name, declared = field["name"], field["type"]
        if declared == "esriFieldTypeGeometry":
            continue
        values = [feature["attributes"].get(name) for feature in features]
        dtype = _TYPES.get(declared, pl.String)
        try:
            if declared == "esriFieldTypeDate":
                column = pl.Series(name, values, dtype=pl.Int64).cast(dtype)
            else:
                column = pl.Series(name, values, dtype=dtype)
        except (TypeError, pl.exceptions.PolarsError) as error:
            raise UnexpectedFormat(source, f"{declared} in field {name}", str(error)) from error
        columns.append(column)
    return pl.DataFrame(columns)


def read_geometries(features: Sequence[dict[str, Any]]) -> tuple[pl.Series, pl.Series]:
    """WKB and fault of each feature: a null geometry is legal, one that cannot be read is a fault."""
    geometries = np.full(len(features), None, dtype=object)
    faults: list[str | None] = [None] * len(features)
    single: list[tuple[int, Any]] = []
    for row, feature in enumerate(features):
        geometry = feature.get("geometry")
        if not geometry:
            continue
        if "curveRings" in geometry:
            faults[row] = "curved rings; the server ignored returnTrueCurves=false"
        elif "rings" in geometry:
            rings = [_closed(ring) for ring in geometry["rings"] if len(ring) > 2]
            if not rings:
                faults[row] = "no ring with three corners"
            elif any(not np.isfinite(ring).all() for ring in rings):
                faults[row] = "coordinates that are not numbers"
            elif len(rings) == 1:
                single.append((row, rings[0]))
            else:
                geometries[row] = polygons_from_rings(rings)
        elif "x" in geometry:
            x, y = _number(geometry["x"]), _number(geometry["y"])
            if np.isfinite(x) and np.isfinite(y):
                geometries[row] = shapely.Point(x, y)
            else:
                faults[row] = "coordinates that are not numbers"
        else:
            faults[row] = f"geometry of an unknown kind: {sorted(geometry)}"
    if single:
        coordinates = np.concatenate([ring for _, ring in single])
        indices = np.repeat(np.arange(len(single)), [len(ring) for _, ring in single])
        made = shapely.polygons(shapely.linearrings(coordinates, indices=indices))
        geometries[[row for row, _ in single]] = made
    return pl.Series("geometry", shapely.to_wkb(geometries).tolist(), dtype=pl.Binary), pl.Series(
        FAULT_COLUMN, faults, dtype=pl.String
    )


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _closed(ring: Sequence[Sequence[Any]]) -> Any:
    """Two-dimensional coordinates of a ring whose end meets its start."""
    try:
        points = np.asarray(ring, dtype=np.float64)[:, :2]
    except (TypeError, ValueError, IndexError):
        return np.full((4, 2), np.nan)
    if (points[0] != points[-1]).any():
        points = np.vstack([points, points[:1]])
    if len(points) < 4:
        points = np.vstack([points, points[:1]])
    return points


def polygons_from_rings(rings: Sequence[Any]) -> BaseGeometry:
    """A (multi)polygon from rings in any order.

    Esri winds shells clockwise and holes the other way. Where all rings wind alike (4.7 % of SERFOR's community
    polygons) winding says nothing, and a ring is a hole when an odd number of others contains it.
    """
    shapes = np.array([shapely.Polygon(ring) for ring in rings], dtype=object)
    clockwise = np.array([not shapely.is_ccw(shape.exterior) for shape in shapes])
    order = np.argsort(-shapely.area(shapes), kind="stable")
    inside = [[j for j in order if j != i and _contains(shapes[j], shapes[i])] for i in range(len(shapes))]
    if clockwise.all() or not clockwise.any():
        is_hole = np.array([len(around) % 2 == 1 for around in inside])
    else:
        is_hole = ~clockwise & np.array([bool(around) for around in inside])
    holes: dict[int, list[Any]] = {int(i): [] for i in order if not is_hole[i]}
    for i in np.flatnonzero(is_hole):
        shells = [j for j in inside[i] if j in holes]
        if shells:
            holes[int(shells[-1])].append(rings[int(i)])  # the smallest shell around it
        else:
            holes[int(i)] = []
    parts = [shapely.Polygon(rings[i], cut) for i, cut in holes.items()]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _contains(outer: BaseGeometry, inner: BaseGeometry) -> bool:
    if shapely.area(outer) <= shapely.area(inner):
        return False
    point = inner.representative_point() if inner.is_valid else shapely.Point(inner.exterior.coords[0])
    return bool(outer.is_valid and outer.covers(point) and outer.envelope.covers(inner.envelope))
