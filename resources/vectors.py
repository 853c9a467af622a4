"""Files of geometries: GeoPackage, shapefile, KML, KMZ, GeoJSON, GML, alone or in an archive.

Belongs here: converting such a file to rows of text and WKB in EPSG:4326. Does not: fetching or keeping it.
"""

from __future__ import annotations

import ctypes
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
import pyarrow
import pyogrio
import shapely
from defusedxml import DefusedXmlException, ElementTree
from pyproj import CRS, Transformer

from resources.archives import save, unpack
from resources.errors import BrokenFile, UnexpectedFormat, UnsafeXml, WrongReference

ARCHIVES = {".zip", ".rar", ".kmz"}
# the only drivers of GDAL that may open a file of each suffix: left to itself it chooses by content, and some open other files
DRIVERS = {
    ".gpkg": ("GPKG",),
    ".shp": ("ESRI Shapefile",),
    ".kml": ("LIBKML", "KML"),
    ".geojson": ("GeoJSON",),
    ".json": ("GeoJSON", "ESRIJSON"),
    ".gml": ("GML",),
}
READABLE = set(DRIVERS)
_BEGINS = {
    ".gpkg": b"SQLite format 3\0",
    ".shp": b"\x00\x00\x27\x0a",
    ".kml": b"<",
    ".gml": b"<",
    ".geojson": b"{",
    ".json": b"{",
}
_XML = {".kml", ".gml"}
_WGS84 = CRS.from_epsg(4326)


def keep_drivers() -> None:
    """Unregister every driver of GDAL but those of READABLE, in this process and for good."""
    path = next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libgdal" in line)
    gdal, kept = ctypes.CDLL(path), {name for names in DRIVERS.values() for name in names}
    gdal.GDALGetDriver.restype = ctypes.c_void_p
    gdal.GDALGetDriverShortName.restype = ctypes.c_char_p
    for number in reversed(range(gdal.GDALGetDriverCount())):
        driver = ctypes.c_void_p(gdal.GDALGetDriver(number))
        if gdal.GDALGetDriverShortName(driver).decode() not in kept:
            gdal.GDALDeregisterDriver(driver)


def warm_up() -> None:
    """Read a file of one point: what GDAL and PROJ do at their first file is then done before a process forks for each."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "point.geojson"
        path.write_text(
            '{"type": "Feature", "properties": {"a": "b"}, "geometry": {"type": "Point", "coordinates": [-70, -15]}}'
        )
        meta, table = pyogrio.read_arrow(path, layer=pyogrio.list_layers(path)[0][0])
        table.validate(full=True)
        CRS.from_user_input(meta["crs"]).to_epsg()


def read_stream(source: str, stream: BinaryIO, name: str) -> pl.DataFrame:
    """Rows of a file of any of the formats, or of the one such file in an archive. `name` gives its format.

    Raises UnsafeArchive, UnsafeXml, BrokenFile, UnexpectedFormat and WrongReference.
    """
    suffix = Path(name).suffix.lower()
    with tempfile.TemporaryDirectory() as scratch:
        path = save(stream, Path(scratch) / f"file{suffix}")
        if suffix not in ARCHIVES:
            return read_file(source, path, name)
        folder = Path(scratch) / "members"
        members = unpack(source, path, name, folder)
        found = [m for m in members if m.suffix.lower() in READABLE]
        if len(found) != 1:
            held = [str(m.relative_to(folder)) for m in members]
            raise UnexpectedFormat(source, f"one file of geometries in {name}", f"{len(found)} among {held}")
        return read_file(source, found[0], name)


def read_file(source: str, path: Path, name: str) -> pl.DataFrame:
    """Rows of one unpacked file: attributes as text, WKB `geometry` in EPSG:4326, two-dimensional."""
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        raise UnexpectedFormat(source, f"one of {sorted(READABLE | ARCHIVES)}", f"{name}")
    with path.open("rb") as file:
        head = file.read(512)
    if not head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \r\n\t").startswith(_BEGINS[suffix]):
        raise UnexpectedFormat(source, f"what the name {name} says, a {suffix} file", f"bytes that begin {head[:24]!r}")
    if suffix in _XML:
        _refuse_unsafe_xml(source, path, name)
    try:
        held = pyogrio.list_layers(path)
        driver = pyogrio.read_info(path, layer=held[0][0])["driver"] if len(held) else DRIVERS[suffix][0]
        if driver not in DRIVERS[suffix]:
            raise UnexpectedFormat(
                source, f"what the name {name} says, a {suffix} file", f"one that is read as {driver}"
            )
        layers = [str(layer) for layer, kind in held if kind is not None] or [str(layer) for layer, _ in held[:1]]
        if suffix == ".gpkg" and (views := _views(path) & set(layers)):
            raise UnexpectedFormat(
                source, f"tables in {name}", f"the view {sorted(views)[0]!r}; save it as a layer of its own"
            )
        frames = [_read_layer(source, path, layer, name) for layer in layers]
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, UnicodeDecodeError) as error:
        raise BrokenFile(source, name, str(error).replace(str(path), name)) from error
    kept = [f for f in frames if not f.is_empty()]
    return pl.concat(kept, how="diagonal") if kept else pl.DataFrame()


def _views(geopackage: Path) -> set[str]:
    """Views of a GeoPackage: SQL of the file's author, which could run for ever."""
    with closing(sqlite3.connect(geopackage)) as con:
        return {str(row[0]) for row in con.execute("select name from sqlite_master where type = 'view'")}


def _read_layer(source: str, path: Path, layer: str, name: str) -> pl.DataFrame:
    meta, table = pyogrio.read_arrow(path, layer=layer)
    try:
        table.validate(full=True)
    except pyarrow.ArrowInvalid as error:  # a .dbf whose .cpg says UTF-8 over bytes that are not
        raise BrokenFile(source, name, f"its text is not in the encoding that it says: {error}") from error
    frame = pl.DataFrame(pl.from_arrow(table))
    column = meta["geometry_name"] or "wkb_geometry"
    wkb = frame[column] if column in frame.columns else pl.Series(column, [None] * frame.height, dtype=pl.Binary)
    geometries = shapely.force_2d(shapely.from_wkb(wkb.to_numpy(), on_invalid="ignore"))
    moved = _to_wgs84(source, geometries, meta["crs"], name)
    texts = [
        frame[c].cast(pl.String, strict=False).alias(c)
        for c in frame.columns
        if c != column and not isinstance(frame[c].dtype, pl.List | pl.Struct)
    ]
    return pl.DataFrame([*texts, pl.Series("geometry", shapely.to_wkb(moved).tolist(), dtype=pl.Binary)])


def _to_wgs84(source: str, geometries: Any, crs: str | None, name: str) -> Any:
    """Coordinates in EPSG:4326, longitude first. Raises WrongReference for a file that does not say its reference."""
    if not crs:
        bounds = shapely.total_bounds(geometries)
        if not np.isnan(bounds).any() and np.abs(bounds).max() > 180:
            raise WrongReference(source, 4326, f"nothing: {name} does not say its reference (no .prj?)")
        return geometries
    given = CRS.from_user_input(crs)
    if given == _WGS84 or given.to_epsg() == 4326:
        return geometries
    transformer = Transformer.from_crs(given, _WGS84, always_xy=True)

    def move(points: Any) -> Any:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    return shapely.transform(geometries, move)


def _refuse_unsafe_xml(source: str, path: Path, name: str) -> None:
    try:
        for _, element in ElementTree.iterparse(str(path), forbid_dtd=True):
            element.clear()
    except DefusedXmlException as error:
        raise UnsafeXml(source, type(error).__name__) from error
    except ElementTree.ParseError as error:
        raise BrokenFile(source, name, f"XML that ends early or is broken: {error}") from error
