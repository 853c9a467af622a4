"""Hostile files in an institution's inbox: what they try to read, reach, overwrite or stop (docs/security.md)."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import geopandas
import openpyxl
import polars as pl
import pytest
import shapely

from resources.cage import CAGE, SUBMISSION, Cage, Limits, bubblewrap
from resources.errors import BrokenFile, UnexpectedFormat, UnsafeXml
from resources.http import Http
from resources.inbox import Inbox
from resources.lake import Lake
from resources.shared_folders import replace_file
from resources.snapshots import SnapshotStore
from restoration.sources.extraction import Extraction, Refreshed
from restoration.sources.register import SourceLayer
from tests.attacks.fuzz import case, originals, zipped

SECRET = "root-secret-4f1c"
FEATURE = {
    "type": "Feature",
    "properties": {
        "codigo": "A-1",
        "nombre": "Recuperación de bofedales",
        "institucion": "ONG Tierra",
        "superficie_ha": "1",
    },
    "geometry": {"type": "Point", "coordinates": [-70.0, -15.8]},
}
HONEST = json.dumps({"type": "FeatureCollection", "features": [FEATURE]})


@dataclass
class Outside:
    """A file of this machine and a server that no submission may reach."""

    secret: Path
    url: str
    asked: list[str]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    secret = tmp_path_factory.mktemp("outside") / "secret.csv"
    secret.write_text(f"codigo,nombre,longitud,latitud\nS-1,{SECRET},-70.0,-15.8\n")
    asked: list[str] = []

    class Canary(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(HONEST.encode())

        do_HEAD = do_POST = do_GET  # noqa: N815 (names of http.server)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Canary)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Outside(secret, f"http://127.0.0.1:{server.server_port}", asked)
    server.shutdown()
    assert asked == [], "a submission made this machine ask a server"


def disguises(outside: Outside) -> dict[str, str]:
    """Contents that would make GDAL, unrestricted, open something else."""
    vrt = "<OGRVRTDataSource><OGRVRTLayer name='{}'><SrcDataSource>{}</SrcDataSource><GeometryType>wkbPoint</GeometryType></OGRVRTLayer></OGRVRTDataSource>"
    csv, url = f"CSV:{outside.secret}", outside.url
    return {
        "vrt over a file": vrt.format("secret", csv),
        "vrt over a server": vrt.format("OGRGeoJSON", f"/vsicurl/{url}/x.geojson"),
        "vrt with SQL": f"<OGRVRTDataSource><OGRVRTLayer name='q'><SrcDataSource>{csv}</SrcDataSource><SrcSQL>select * from secret</SrcSQL></OGRVRTLayer></OGRVRTDataSource>",
        "wfs": f"<OGRWFSDataSource><URL>{url}/wfs?SERVICE=WFS</URL></OGRWFSDataSource>",
        "wms": f"<GDAL_WMS><Service name='WMS'><ServerUrl>{url}</ServerUrl></Service></GDAL_WMS>",
        "raster vrt": f"<VRTDataset rasterXSize='1' rasterYSize='1'><VRTRasterBand><SimpleSource><SourceFilename>/vsicurl/{url}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>",
        "gml with a schema elsewhere": f"<gml:FeatureCollection xmlns:gml='http://www.opengis.net/gml' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:schemaLocation='http://x {url}/x.xsd'><gml:featureMember><a><nombre>x</nombre></a></gml:featureMember></gml:FeatureCollection>",
        "kml with a network link": f"<kml xmlns='http://www.opengis.net/kml/2.2'><NetworkLink><Link><href>{url}/x.kml</href></Link></NetworkLink></kml>",
        "an entity": f"<!DOCTYPE a [<!ENTITY x SYSTEM 'file://{outside.secret}'>]><kml><Document><name>&x;</name></Document></kml>",
        "a path": str(outside.secret),
        "an address": f"/vsicurl/{url}/x.geojson",
        "esri scrolling": json.dumps(
            {
                "displayFieldName": "x",
                "geometryType": "esriGeometryPoint",
                "exceededTransferLimit": True,
                "features": [],
            }
        ),
        "gdal algorithm": json.dumps(
            {
                "type": "gdal_streamed_alg",
                "command_line": f"gdal vector pipeline ! read {outside.secret} ! write x --of stream",
            }
        ),
        "stac": json.dumps(
            {
                "type": "FeatureCollection",
                "stac_version": "1.0.0",
                "features": [
                    {"type": "Feature", "stac_version": "1.0.0", "id": "a", "assets": {"a": {"href": f"{url}/x.tif"}}}
                ],
            }
        ),
    }


SUFFIXES = (".geojson", ".json", ".kml", ".gml", ".gpkg", ".shp")


def read(name: str, body: bytes, limits: Limits = SUBMISSION) -> pl.DataFrame:
    reader, options = ("table", [None]) if name.endswith((".xlsx", ".csv")) else ("vectors", [])
    return CAGE.read(reader, "submissions.areas", body, name, limits, *options)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".zip", ".kmz"])
def test_a_file_is_read_as_what_its_name_says_or_not_at_all(outside: Outside, suffix: str) -> None:
    for kind, text in disguises(outside).items():
        body = text.encode()
        if suffix in {".zip", ".kmz"}:
            inner = "doc.kml" if suffix == ".kmz" else "x.geojson"
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr(inner, text)
            body = packed.getvalue()
        try:
            reported = repr(read(f"x{suffix}", body).rows())
        except (BrokenFile, UnexpectedFormat, UnsafeXml) as error:
            reported = str(error)
        assert SECRET not in reported, kind


def test_the_reader_sees_no_file_no_setting_and_no_network(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a compromised reader has access to nothing: tested from inside, by code that no file could contain."""
    if not bubblewrap("/tmp"):
        pytest.skip("bubblewrap is not installed")
    read("x.geojson", HONEST.encode())
    assert CAGE._process is not None
    inside = children(CAGE._process.pid)[1]  # below bubblewrap and its first process
    environment = Path(f"/proc/{inside}/environ").read_bytes().decode()
    assert "RESTAURACION" not in environment
    assert "HOME=" not in environment
    root = Path(f"/proc/{inside}/root")
    assert not (root / str(outside.secret).lstrip("/")).exists()
    assert not (root / "etc/passwd").exists()
    assert not (root / str(Path(__file__).parents[2] / "pyproject.toml").lstrip("/")).exists()
    links = Path(f"/proc/{inside}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in links] == ["lo"]


def test_without_bubblewrap_there_is_no_network_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.cage.bubblewrap", lambda _: [])
    cage = Cage()
    assert cage.read("vectors", "a.b", HONEST.encode(), "x.geojson", SUBMISSION).height == 1
    assert cage._process is not None
    links = Path(f"/proc/{cage._process.pid}/net/dev").read_text().splitlines()[2:]
    cage.close()
    if "unshare" not in str(cage.started_by):
        pytest.skip("the kernel does not let this user make a network of its own")
    assert [line.split(":")[0].strip() for line in links] == ["lo"]


def children(pid: int) -> list[str]:
    """Processes below one, the innermost last."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [child, *children(int(child))]
    return found


def far_cell() -> bytes:
    """A workbook of one kilobyte whose used range has 17 thousand million cells."""
    workbook, body = openpyxl.Workbook(), io.BytesIO()
    workbook.active["A1"], workbook.active["XFD1048576"] = "codigo", "x"
    workbook.save(body)
    return body.getvalue()


def nested(depth: int) -> bytes:
    inner = '{"type":"Point","coordinates":[-70,-15.8]}'
    for _ in range(depth):
        inner = f'{{"type":"GeometryCollection","geometries":[{inner}]}}'
    return json.dumps({"type": "FeatureCollection", "features": [FEATURE | {"geometry": json.loads(inner)}]}).encode()


def endless_view(folder: Path) -> bytes:
    """A GeoPackage whose layer is a view that never ends."""
    path = folder / "vista.gpkg"
    geopandas.GeoDataFrame({"nombre": ["x"]}, geometry=[shapely.Point(-70, -15.8)], crs=4326).to_file(path, layer="x")
    with sqlite3.connect(path) as con:
        con.execute(
            "create view sin_fin as with recursive n(i) as (select 1 union all select i + 1 from n) select i as fid, x.nombre, x.geom from n, x"
        )
        con.execute(
            "insert into gpkg_contents (table_name, data_type, identifier, srs_id) values ('sin_fin', 'features', 'sin_fin', 4326)"
        )
        con.execute("insert into gpkg_geometry_columns values ('sin_fin', 'geom', 'POINT', 4326, 0, 0)")
    return path.read_bytes()


def test_a_file_that_would_take_all_memory_or_all_time_costs_its_limits_alone(tmp_path: Path) -> None:
    small = Limits(20, 512 << 20, 64 << 20)
    for name, body in (("lejos.xlsx", far_cell()), ("vista.gpkg", endless_view(tmp_path))):
        with pytest.raises((BrokenFile, UnexpectedFormat)):
            read(name, body, small)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.geojson", os.urandom(1 << 20) * 100)
    with pytest.raises(BrokenFile):
        read("grande.zip", packed.getvalue(), Limits(20, 512 << 20, 32 << 20))
    assert read("x.geojson", HONEST.encode()).height == 1, "the next file is read as ever"


def test_a_reader_that_is_killed_is_named_and_started_again() -> None:
    read("x.geojson", HONEST.encode())
    assert CAGE._process is not None
    CAGE._process.kill()
    CAGE._process.wait()
    assert read("x.geojson", HONEST.encode()).height == 1


def test_the_reader_outlives_the_thread_that_started_it() -> None:
    """Sources are read by threads; the first that has a file starts the process for all of them."""
    cage = Cage()
    body = HONEST.encode()
    first = threading.Thread(target=cage.read, args=("vectors", "a.b", body, "x.geojson", SUBMISSION))
    first.start()
    first.join()
    assert cage._process is not None
    process = cage._process
    time.sleep(0.3)
    assert process.poll() is None
    cage.read("vectors", "a.b", body, "x.geojson", SUBMISSION)
    assert cage._process is process
    inside = children(process.pid)
    cage.close()
    gone(inside)


def test_the_reader_ends_with_a_run_that_is_killed() -> None:
    code = (
        "import sys, time; from resources.cage import CAGE, SUBMISSION\n"
        "CAGE.read('table', 'a.b', b'a;b\\n1;2\\n', 'x.csv', SUBMISSION, None); print(CAGE._process.pid, flush=True); time.sleep(60)"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    started = int(run.stdout.readline())
    inside = children(started)
    assert Path(f"/proc/{started}").exists()
    run.kill()
    run.wait()
    gone([str(started), *inside])


def gone(processes: list[str]) -> None:
    """Wait until processes ended."""
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in processes):
        assert time.monotonic() < deadline, processes
        time.sleep(0.05)


def is_running(pid: str) -> bool:
    """Whether a process is there and more than an entry that nobody has read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# -- the inbox ----------------------------------------------------------------------------------------


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox" / "ong_tierra"
    folder.mkdir(parents=True)
    (folder / "honesto.geojson").write_text(HONEST)
    return folder.parent


def refreshed(inbox: Path, layers: dict[str, SourceLayer], http: Http) -> dict[str, Refreshed]:
    data = inbox.parent
    extraction = Extraction(http, SnapshotStore(data / "snapshots"), Lake(data / "lake"), Inbox(inbox))
    return {r.partition or "": r for r in extraction.refresh_all([(layers["submissions.areas"], None)])}


def test_bad_files_beside_a_good_one_cost_themselves_alone(
    inbox: Path, layers: dict[str, SourceLayer], quick_http: Http, tmp_path: Path, outside: Outside
) -> None:
    folder = inbox / "ong_tierra"
    bad = {
        "vrt.geojson": disguises(outside)["vrt over a file"].encode(),
        "hondo.geojson": nested(300),
        "vista.gpkg": endless_view(tmp_path),
        "vacio.zip": b"PK\x05\x06" + bytes(18),
        "texto.xlsx": b"no es un libro",
        "ceros.gpkg": b"SQLite format 3\x00" + bytes(4096),
        "nulo.csv": b"\x00" * 100,
    }
    for name, body in bad.items():
        (folder / name).write_bytes(body)
    os.mkfifo(folder / "tubo.geojson")
    received = refreshed(inbox, layers, quick_http)
    assert received.pop("ong_tierra--honesto.geojson").error is None
    assert set(received) == {f"ong_tierra--{name}" for name in bad}
    failed = {name: r.error for name, r in received.items() if r.error is not None}
    assert set(failed) >= {f"ong_tierra--{n}" for n in bad if n not in {"hondo.geojson"}}
    assert all(SECRET not in str(error) for error in failed.values())


@pytest.mark.parametrize(
    "name", ["x" * 180 + ".geojson", "S.A.C..geojson", "ñandú  (copia) #2.geojson", "-rf.geojson", "%2e%2e.geojson"]
)
def test_a_file_of_any_name_is_read(inbox: Path, layers: dict[str, SourceLayer], quick_http: Http, name: str) -> None:
    (inbox / "ong_tierra" / "honesto.geojson").rename(inbox / "ong_tierra" / name)
    (received,) = refreshed(inbox, layers, quick_http).values()
    assert received.error is None
    assert received.manifest is not None
    assert received.manifest.rows == 1


def test_no_two_files_share_a_name(
    inbox: Path, layers: dict[str, SourceLayer], quick_http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    for path in ("ong_tierra/Mi archivo.geojson", "ong_tierra/mi-archivo.geojson", "ONG_Tierra/honesto.geojson"):
        (inbox / path).parent.mkdir(exist_ok=True)
        (inbox / path).write_text(HONEST)
    received = refreshed(inbox, layers, quick_http)
    assert len(received) == 4
    assert all(r.error is None and r.manifest and r.manifest.rows == 1 for r in received.values())
    assert Inbox(inbox).alike() == [["ONG_Tierra", "ong_tierra"]]
    assert "ONG_Tierra and ong_tierra are institutions of their own" in caplog.text


def test_a_file_whose_name_here_changed_is_not_counted_twice(
    inbox: Path, layers: dict[str, SourceLayer], quick_http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data folder of before 2026-11-27, in which `Mi archivo.geojson` was read as `ong_tierra--mi-archivo.geojson`."""
    (inbox / "ong_tierra" / "honesto.geojson").rename(inbox / "ong_tierra" / "Mi archivo.geojson")
    with monkeypatch.context() as before:
        before.setattr("resources.inbox._partition", lambda folder, file: "ong_tierra--mi-archivo.geojson")
        assert set(refreshed(inbox, layers, quick_http)) == {"ong_tierra--mi-archivo.geojson"}
    received = refreshed(inbox, layers, quick_http)
    assert [r.manifest is not None for r in received.values()].count(True) == 1
    store = SnapshotStore(inbox.parent / "snapshots")
    assert store.is_withdrawn("submissions.areas", "ong_tierra--mi-archivo.geojson")


def test_a_current_delivery_is_not_taken_for_another_of_a_similar_name(
    inbox: Path, layers: dict[str, SourceLayer], quick_http: Http
) -> None:
    """`mi-archivo.geojson` left its folder and is still current; `Mi archivo.geojson` is another file."""
    folder = inbox / "ong_tierra"
    (folder / "honesto.geojson").rename(folder / "mi-archivo.geojson")
    refreshed(inbox, layers, quick_http)
    (folder / "mi-archivo.geojson").unlink()
    (folder / "Mi archivo.geojson").write_text(HONEST)
    received = refreshed(inbox, layers, quick_http)
    assert len(received) == 2
    assert all(r.manifest is not None for r in received.values())


def test_folders_of_synchronisers_are_no_institutions(inbox: Path) -> None:
    (inbox / ".stfolder").mkdir()
    (inbox / ".stfolder" / "x.geojson").write_text(HONEST)
    assert list(Inbox(inbox).submissions()) == ["ong_tierra--honesto.geojson"]


# -- what is written into folders of others -----------------------------------------------------------


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="Not a directory"):
        replace_file(tmp_path / "link" / "x", b"1")
    replace_file(tmp_path / "real" / "x", b"1")
    replace_file(tmp_path / "real" / "x", b"2")
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["x"]
    assert (tmp_path / "real" / "x").read_bytes() == b"2"


def test_text_in_another_encoding_than_the_file_says_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Found by fuzzing, and common: a table in Latin-1 beside a .cpg that says UTF-8."""
    rows = geopandas.GeoDataFrame({"nombre": ["Queñual"]}, geometry=[shapely.Point(-70, -15.8)], crs=4326)
    rows.to_file(tmp_path / "capa.shp", encoding="ISO-8859-1")
    (tmp_path / "capa.cpg").write_text("UTF-8")
    packed = zipped({path.name: path.read_bytes() for path in sorted(tmp_path.glob("capa.*"))})
    with pytest.raises(BrokenFile, match="encoding"):
        read("capa.zip", packed)


def test_disturbed_files_of_every_format_are_read_or_refused_with_a_reason(tmp_path: Path) -> None:
    """A short look; `python -m tests.attacks.fuzz --minutes 60` is the long one (docs/security.md)."""
    honest = originals(tmp_path)
    for name, body in honest.items():
        file = name.replace(".shp.zip", ".zip").replace(".geojson.zip", ".zip")
        assert read(file, body).height > 0, f"{name} is read when nobody disturbs it"
    received = [case(seed, honest) for seed in range(30)]
    assert [reported for reported in received if reported[1].startswith("FINDING")] == []
