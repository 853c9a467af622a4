"""Esri JSON to columns and WKB.

Belongs here: reading pages that an ArcGIS server sent. Does not: asking for them (arcgis.py).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import polars as pl
import shapely
from shapely.geometry.base import BaseGeometry

from resources.errors import UnexpectedFormat

LABEL_SUFFIX = "__label"  # a coded value's meaning is in the column beside it
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


def page_frame(source: str, metadata: dict[str, Any], body: bytes) -> pl.DataFrame:
    """One page as columns: attributes, the meaning of coded values, WKB `geometry`, and what could not be read.

    Pages of the usual shape are read column by column (orjson, which makes an object of every number, takes five times as
    long); anything unusual in a page sends all of it through the slow path, whose result is the same.
    """
    quick = _columns(metadata["fields"], body)
    if quick is None:
        page = orjson.loads(body)
        attributes = read_attributes(source, metadata["fields"], page["features"])
        geometries = read_geometries(page["features"])
    else:
        attributes, geometries = quick
    return with_labels(metadata, attributes).with_columns(*geometries)


_NUMBERS = pl.Float64  # integers too: a fraction where none may be must be seen, not cut off
_UNUSUAL = (b'"curveRings"', b'"paths"', b'"points"', b'"NaN"')
_EXACT = 2.0**53


def _columns(fields: Sequence[dict[str, Any]], body: bytes) -> tuple[pl.DataFrame, tuple[pl.Series, pl.Series]] | None:
    """Attributes and geometries of a page of the usual shape; None for any other."""
    if any(token in body for token in _UNUSUAL):
        return None
    named = {f["name"]: _TYPES.get(f["type"], pl.String) for f in fields if f["type"] != "esriFieldTypeGeometry"}
    attributes = pl.Struct({name: pl.String if kind == pl.String else _NUMBERS for name, kind in named.items()})
    point = pl.List(pl.Float64)
    geometry = pl.Struct({"rings": pl.List(pl.List(point)), "x": pl.Float64, "y": pl.Float64})
    feature = pl.Struct({"attributes": attributes, "geometry": geometry})
    try:
        rows = pl.read_json(io.BytesIO(body), schema={"features": pl.List(feature)})["features"].explode()
    except pl.exceptions.PolarsError:
        return None
    if len(rows) == 0 or rows.null_count():
        return None
    shapes = rows.struct.field("geometry")
    rings, x, y = (shapes.struct.field(name) for name in ("rings", "x", "y"))
    if body.count(b'"geometry":{') != int((rings.is_not_null() | x.is_not_null()).sum()):
        return None  # a geometry of another kind
    frame = _typed(rows.struct.field("attributes").struct.unnest(), named)
    return None if frame is None else (frame, _geometries(rings, x, y))


def _typed(frame: pl.DataFrame, named: dict[str, Any]) -> pl.DataFrame | None:
    """Numbers as their fields declare them; None where one does not fit."""
    whole = [name for name, kind in named.items() if kind not in (pl.String, pl.Float64)]
    for name in whole:
        column = frame[name].drop_nulls()
        if len(column) and ((column != column.floor()).any() or (column.abs() >= _EXACT).any()):
            return None
    return frame.with_columns(pl.col(name).cast(pl.Int64).cast(named[name]) for name in whole)


def _geometries(rings: pl.Series, x: pl.Series, y: pl.Series) -> tuple[pl.Series, pl.Series]:
    """WKB and fault of each row; closed single rings at once, all others one by one."""
    count = len(rings)
    geometries = np.full(count, None, dtype=object)
    faults: list[str | None] = [None] * count
    points = np.flatnonzero(x.is_not_null().to_numpy())
    for row in points:
        geometries[row], faults[row] = read_geometry({"x": x[int(row)], "y": y[int(row)]})
    drawn = np.flatnonzero(rings.is_not_null().to_numpy())
    if len(drawn):
        given = rings.drop_nulls()
        ring_counts = given.list.len().to_numpy().astype(np.int64)
        flat_rings = given.explode(empty_as_null=False)
        sizes = flat_rings.list.len().fill_null(0).to_numpy().astype(np.int64)
        flat_points = flat_rings.explode(empty_as_null=False)
        xy = np.column_stack(
            [
                flat_points.list.get(i, null_on_oob=True).cast(pl.Float64).fill_null(float("nan")).to_numpy()
                for i in (0, 1)
            ]
        )
        first_ring = (np.cumsum(ring_counts) - ring_counts).astype(np.int64)
        first_point = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        single = np.flatnonzero(ring_counts == 1)
        start, end = first_point[first_ring[single]], first_point[first_ring[single] + 1]
        finite = np.isfinite(xy).all(axis=1)
        bad = np.concatenate([[0], np.cumsum(~finite)]).astype(np.int64)
        usual = (end - start >= 4) & (bad[end] == bad[start])
        usual[usual] &= (xy[start[usual]] == xy[end[usual] - 1]).all(axis=1)
        single, start, end = single[usual], start[usual], end[usual]
        if len(single):
            lengths = end - start
            chosen = np.repeat(start - np.concatenate([[0], np.cumsum(lengths)])[:-1], lengths) + np.arange(
                lengths.sum()
            )
            created = shapely.linearrings(xy[chosen], indices=np.repeat(np.arange(len(single)), lengths))
            geometries[drawn[single]] = shapely.polygons(created)
        others = np.setdiff1d(np.arange(len(drawn)), single)
        for place in others:
            listed = [
                xy[first_point[r] : first_point[r + 1]]
                for r in range(first_ring[place], first_ring[place] + ring_counts[place])
            ]
            geometries[drawn[place]], faults[drawn[place]] = read_geometry({"rings": listed})
    wkb = pl.Series("geometry", shapely.to_wkb(geometries).tolist(), dtype=pl.Binary)
    return wkb, pl.Series(FAULT_COLUMN, faults, dtype=pl.String)


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
    read = [read_geometry(feature.get("geometry")) for feature in features]
    geometries = np.array([geometry for geometry, _ in read], dtype=object)
    return pl.Series("geometry", shapely.to_wkb(geometries).tolist(), dtype=pl.Binary), pl.Series(
        FAULT_COLUMN, [fault for _, fault in read], dtype=pl.String
    )


def read_geometry(geometry: dict[str, Any] | None) -> tuple[BaseGeometry | None, str | None]:
    """One Esri geometry, or why it cannot be read."""
    if not geometry:
        return None, None
    if "curveRings" in geometry:
        return None, "curved rings; the server ignored returnTrueCurves=false"
    if "rings" in geometry:
        rings = [_closed(ring) for ring in geometry["rings"] or [] if len(ring) > 2]
        if not rings:
            return None, "no ring with three corners"
        if any(not np.isfinite(ring).all() for ring in rings):
            return None, "coordinates that are not numbers"
        return (shapely.Polygon(rings[0]) if len(rings) == 1 else polygons_from_rings(rings)), None
    if "x" in geometry:
        x, y = _number(geometry["x"]), _number(geometry["y"])
        if np.isfinite(x) and np.isfinite(y):
            return shapely.Point(x, y), None
        return None, "coordinates that are not numbers"
    return None, f"geometry of an unknown kind: {sorted(geometry)}"


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
