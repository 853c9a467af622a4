"""Tiles of the layers that areas are intersected with: large polygons split into small parts, once per layer version.

Belongs here: the step core.ground_tiles. Does not: which layers (its .sql) or cutting areas (core.area_pieces).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import duckdb
import numpy as np
import polars as pl
import shapely
from shapely.geometry.base import BaseGeometry

from dbt_like_sql.step import Step
from resources.warehouse import register_frame

Box = tuple[float, float, float, float]
MOST_VERTICES = 256
_SMALLEST = 0.01  # metres; corners crowded closer than this are cut no further


def tiles(shapes: Iterable[BaseGeometry]) -> tuple[list[BaseGeometry], list[int]]:
    """Parts of at most `MOST_VERTICES` vertices, and the place of the shape that each is of; their areas add up to it.

    A large shape is halved across its longer side until it is small enough. GEOS clips to a rectangle fifteen times
    faster than it intersects with one: 216 polygons of 20,000 vertices took 2.9 s, and 43.7 s by ST_Intersection
    (2026-11-23).
    """
    whole = np.array(list(shapes), dtype=object)
    light: list[BaseGeometry] = []
    boxes: list[Box] = []
    places: list[int] = []
    heavy = list(zip(whole, shapely.bounds(whole).tolist(), range(len(whole)), strict=True))
    while heavy:
        counts = shapely.get_num_coordinates([shape for shape, _, _ in heavy])
        halves: list[tuple[BaseGeometry, Box, int]] = []
        for (shape, box, place), vertices in zip(heavy, counts, strict=True):
            if vertices <= MOST_VERTICES or max(box[2] - box[0], box[3] - box[1]) < _SMALLEST:
                light.append(shape)
                boxes.append(box)
                places.append(place)
            else:
                halves += [(shapely.clip_by_rect(shape, *half), half, place) for half in _halves(*box)]
        heavy = [(shape, box, place) for shape, box, place in halves if not shape.is_empty]
    for number in np.flatnonzero(~shapely.is_valid(light)):  # the fast way promises no valid result
        light[number] = shapely.intersection(whole[places[number]], shapely.box(*boxes[number]))
    return light, places


def _halves(west: float, south: float, east: float, north: float) -> tuple[Box, Box]:
    """A box cut across its longer side."""
    if east - west >= north - south:
        middle = (west + east) / 2
        return (west, south, middle, north), (middle, south, east, north)
    middle = (south + north) / 2
    return (west, south, east, middle), (west, middle, east, north)


class GroundTiles(Step):
    """Layers in tiles."""

    def make(self, con: duckdb.DuckDBPyConnection, as_of: dt.date, query: str) -> str:  # noqa: ARG002
        """Cut what the query gives; its columns are carried on to every tile."""
        layers = con.execute(f"select * replace (st_aswkb(equal_area_shape) as equal_area_shape) from ({query})").pl()
        parts, places = tiles(shapely.from_wkb(layers["equal_area_shape"].to_numpy()))
        created = layers.drop("equal_area_shape")[places].with_columns(
            wkb=pl.Series([shapely.to_wkb(part) for part in parts], dtype=pl.Binary)
        )
        register_frame(con, "made_ground_tiles", created, is_temporary=True)
        return """
            select row_number() over (
                order by t.layer, t.zone_order, t.code, st_xmin(t.equal_area_shape), st_ymin(t.equal_area_shape),
                    st_xmax(t.equal_area_shape), st_ymax(t.equal_area_shape)
            ) as tile_id, t.*
            from (
                select m.* exclude (wkb), st_setcrs(polygons_of(st_geomfromwkb(m.wkb)), 'EPSG:6933') as equal_area_shape
                from made_ground_tiles as m
            ) as t
            where st_area(t.equal_area_shape) > 0
            order by tile_id
        """
