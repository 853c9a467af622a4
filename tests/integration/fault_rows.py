"""Rows of the fault matrix: what a server (or a file) can do wrong, and the required result.

Belongs here: faults that make a good answer of the sandbox bad, and the list of rows. Does not: running
nights and judging them (test_fault_matrix.py). Faults that belong to single rows of data are in test_bad_input.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import polars as pl
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from sandbox.catalogue import ANA, FAO, SERVICES, Service
from sandbox.servers.app import Fault
from sandbox.world import World

STANDS = "stands"  # the source fails, its last good snapshot is kept, the release names it as stale
RECOVERS = "recovers"  # the client works around it: the same snapshot as in the good night, and nothing is stale
READS = "reads"  # other bytes with the same facts: a new snapshot, the same figures

Damage = Callable[[World], None]
Change = Callable[[tuple[Service, ...]], tuple[Service, ...]]


@dataclass(frozen=True)
class Row:
    """One fault. `words` appear in the message (STANDS) or in a request of the client (RECOVERS).

    `faults` are by a piece of the path and query; `damage` changes the world that is served; `services` what the
    services say of themselves; `host` names a host that is answered elsewhere: by nobody, or with a bad certificate.
    """

    name: str
    source: str
    outcome: str
    words: str
    partition: str | None = None
    faults: dict[str, Fault] = field(default_factory=dict)
    damage: Damage | None = None
    services: Change | None = None
    host: tuple[str, str] | None = None

    def touches(self, other: Row) -> bool:
        """Whether the two cannot be distinguished in one night."""
        same_part = self.partition == other.partition or None in (self.partition, other.partition)
        same_piece = any(a in b or b in a for a in self.faults for b in other.faults)
        return same_piece or (self.source == other.source and same_part)


# -- where --------------------------------------------------------------------------------------------


def service_of(data: str) -> tuple[Service, int]:
    """The service that has a layer, and the layer's id there."""
    return next((s, layer.id) for s in SERVICES for layer in s.layers if layer.data == data)


def metadata(data: str) -> str:
    """Piece of the address of a service's description."""
    return f"{service_of(data)[0].path}/MapServer?"


def query(data: str) -> str:
    """Piece of the address of a layer's query."""
    service, layer = service_of(data)
    return f"{service.path}/MapServer/{layer}/query"


def replaced(data: str, make: Callable[[Service], Service]) -> Change:
    """The services, with the one that has this layer replaced."""
    path = service_of(data)[0].path
    return lambda services: tuple(make(s) if s.path == path else s for s in services)


def with_layers(service: Service, **changes: Any) -> Service:
    """A service with the same changes on each of its layers that hold data."""
    return dataclasses.replace(
        service, layers=tuple(dataclasses.replace(x, **changes) if x.data else x for x in service.layers)
    )


# -- faults of any answer -----------------------------------------------------------------------------


class Slow(Response):
    """An answer that comes long after everybody has hung up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait first."""
        await asyncio.sleep(60)
        await super().__call__(scope, receive, send)


def always(make: Callable[[], Response]) -> Fault:
    """The same answer to everything."""
    return lambda _request, _answer: make()


def on_features(change: Callable[[Request, dict[str, Any]], Response | dict[str, Any]]) -> Fault:
    """Change pages of features, and nothing else."""

    def fault(request: Request, answer: Response) -> Response:
        if b'"features"' not in getattr(answer, "body", b""):
            return answer
        changed = change(request, orjson.loads(answer.body))
        return changed if isinstance(changed, Response) else json_of(changed)

    return fault


def json_of(payload: Any) -> Response:
    """JSON as the servers write it."""
    return Response(orjson.dumps(payload), media_type="application/json")


def cut_json(_request: Request, answer: dict[str, Any]) -> Response:
    """JSON that ends in the middle, with the length that fits it."""
    body = orjson.dumps(answer)
    return Response(body[: len(body) // 2], media_type="application/json")


def cut_in_body(_request: Request, answer: dict[str, Any]) -> Response:
    """The connection is closed in the middle of the announced length."""
    body = orjson.dumps(answer)
    return Response(body[: len(body) // 2], headers={"Content-Length": str(len(body))}, media_type="application/json")


def too_many_at_once(request: Request, answer: dict[str, Any]) -> Response | dict[str, Any]:
    """500 for every page of more than 200 features, as servers do that run out of memory."""
    if int(request.query_params.get("resultRecordCount", 1000)) > 200:
        return Response("Error performing query operation", status_code=500)
    return answer


def capped_in_silence(_request: Request, answer: dict[str, Any]) -> dict[str, Any]:
    """No more than 100 features whatever is asked and advertised, and no flag that says so."""
    answer.pop("exceededTransferLimit", None)
    return answer | {"features": answer["features"][:100]}


class Again:
    """Pages that overlap: each later page by offset begins with features of the first one, as without a fixed order."""

    def __init__(self) -> None:
        self._first: list[Any] = []

    def __call__(self, request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        """Remember the first page; spoil the others."""
        offset = request.query_params.get("resultOffset")
        if offset is None:
            return answer
        if offset == "0":
            self._first = answer["features"]
            return answer
        return answer | {"features": [*self._first[:5], *answer["features"][5:]]}


class Grows:
    """A layer that somebody edits while we read it: each count is higher than the one before."""

    def __init__(self) -> None:
        self._more = 0

    def __call__(self, _request: Request, answer: Response) -> Response:
        """Change counts alone."""
        if b'"count"' not in answer.body:
            return answer
        self._more += 1
        return json_of({"count": orjson.loads(answer.body)["count"] + self._more})


class BusyOnce:
    """429 with the seconds to wait, the first time; the times of the requests are kept."""

    def __init__(self, seconds: int) -> None:
        self._seconds, self._reported = seconds, False

    def __call__(self, _request: Request, answer: Response) -> Response:
        """Refuse once."""
        if self._reported:
            return answer
        self._reported = True
        return Response(status_code=429, headers={"Retry-After": str(self._seconds)})


def turned(_request: Request, answer: dict[str, Any]) -> dict[str, Any]:
    """Latitude where longitude belongs, in Esri JSON and in GeoJSON."""

    def swapped(value: Any) -> Any:
        return [value[1], value[0]] if value and isinstance(value[0], float | int) else [swapped(v) for v in value]

    for feature in answer["features"]:
        shape = feature.get("geometry") or {}
        for key in ("rings", "coordinates"):
            if key in shape:
                shape[key] = swapped(shape[key])
    return answer


def in_utm_said_to_be(wkid: int) -> Callable[[Request, dict[str, Any]], dict[str, Any]]:
    """Coordinates of UTM 18 S whatever was asked for, declared as `wkid`."""

    def change(_request: Request, answer: dict[str, Any]) -> dict[str, Any]:
        for feature in answer["features"]:
            if feature.get("geometry"):
                feature["geometry"]["rings"] = [
                    [[300_000 + x * 1e4, 9_000_000 + y * 1e4] for x, y in ring] for ring in feature["geometry"]["rings"]
                ]
        return answer | {"spatialReference": {"wkid": wkid, "latestWkid": wkid}}

    return change


def arcgis_error(code: int, message: str) -> Fault:
    """An error object inside HTTP 200 in place of features."""
    return on_features(lambda *_: {"error": {"code": code, "message": message, "details": []}})


LOGIN = "<!DOCTYPE html><html><head><title>Iniciar sesión</title></head><body><form>…</form></body></html>"


# -- faults of files ----------------------------------------------------------------------------------


def zip_with(name: str, content: bytes) -> bytes:
    """A zip archive of one member."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as workbook:
        workbook.writestr(name, content)
    return body.getvalue()


def bomb() -> bytes:
    """64 MiB of nothing in 64 KiB."""
    return zip_with("Distrito.gpkg", bytes(64 << 20))


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{i} "{f"&lol{i - 1 or str()};" * 10}">' for i in range(1, 10))
    + ']><wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs/2.0">&lol9;</wfs:FeatureCollection>'
).encode()


def file_change(name: str, change: Callable[[bytes], bytes]) -> Damage:
    """Another content of a file that a file host serves."""

    def damage(world: World) -> None:
        path = world.files / name
        path.write_bytes(change(path.read_bytes()))

    return damage


def copy_of_2023(world: World) -> None:
    """The file of 2024 holds the bytes of 2023, as the host has served it."""
    (world.files / "2024-Gasto-Devengado.csv").write_bytes((world.files / "2023-Gasto-Devengado.csv").read_bytes())


def columns_reversed(body: bytes) -> bytes:
    """The same table with its columns in another order."""
    frame = pl.read_csv(io.BytesIO(body), infer_schema=False)
    return frame.select(reversed(frame.columns)).write_csv(quote_style="always").encode()


def fewer(name: str, share: float) -> Damage:
    """A layer that lost the rest of its features."""

    def damage(world: World) -> None:
        path = world.layers / f"{name}.parquet"
        frame = pl.read_parquet(path)
        frame.head(int(frame.height * share)).write_parquet(path)

    return damage


# -- rows ---------------------------------------------------------------------------------------------

ROWS = (
    Row("down", "ana.watersheds", STANDS, "no answer from www.idep.gob.pe", host=(ANA, "nobody")),
    Row("certificate expired", "ferm.initiatives", STANDS, "the certificate of", host=(FAO, "expired")),
    Row(
        "slow past the time-out",
        "minam.oecms",
        STANDS,
        "no answer from geoservidorperu.minam.gob.pe",
        faults={metadata("oecms"): always(Slow)},
    ),
    Row(
        "500 on big pages only",
        "minam.ecosystems",
        RECOVERS,
        "resultRecordCount=173",
        faults={query("ecosystems"): on_features(too_many_at_once)},
    ),
    Row(
        "429 with Retry-After",
        "serfor.fragile_ecosystems",
        RECOVERS,
        "Inventario_Forestal",
        faults={query("fragile_ecosystems"): BusyOnce(2)},
    ),
    Row(
        "error JSON in 200",
        "serfor.forest_zoning",
        STANDS,
        "the service answered error 400",
        faults={query("forest_zoning"): arcgis_error(400, "Unable to complete operation.")},
    ),
    Row(
        "error 500 in 200",
        "sernanp.regional_areas",
        STANDS,
        "the service answered error 500",
        faults={query("regional_areas"): arcgis_error(500, "Error performing query operation")},
    ),
    Row(
        "HTML login page in 200",
        "minam.merese_agreements",
        STANDS,
        "a web page (HTML)",
        faults={query("merese_agreements"): always(lambda: HTMLResponse(LOGIN))},
    ),
    Row(
        "truncated JSON",
        "sernanp.private_areas",
        STANDS,
        "JSON that ends early",
        faults={query("private_areas"): on_features(cut_json)},
    ),
    Row(
        "connection cut in the body",
        "sernanp.buffer_zones",
        STANDS,
        "the connection broke in the body",
        faults={query("buffer_zones"): on_features(cut_in_body)},
    ),
    Row(
        "empty features",
        "minam.recovery_points",
        STANDS,
        "the answer holds no rows",
        faults={query("minam_points"): on_features(lambda _, answer: answer | {"features": []})},
    ),
    Row("40 % fewer features", "minam.recovery_areas", STANDS, "lost 40 %", damage=fewer("minam_polygons", 0.6)),
    Row(
        "duplicate object ids between pages",
        "serfor.restoration_areas",
        RECOVERS,
        "OBJECTID+%3E",
        services=replaced("serfor_polygons", lambda s: dataclasses.replace(s, max_record_count=50)),
        faults={query("serfor_polygons"): on_features(Again())},
    ),
    Row(
        "layer changed during paging",
        "minam.degradation",
        STANDS,
        "changed while it was read",
        partition="2024",
        faults={query("degradation_2024"): Grows()},
    ),
    Row(
        "exceededTransferLimit missing",
        "minam.recovery_areas",
        RECOVERS,
        "resultOffset=110",
        faults={query("minam_polygons"): on_features(capped_in_silence)},
    ),
    Row(
        "no pagination support",
        "serfor.restoration_areas",
        RECOVERS,
        "OBJECTID+%3E",
        services=replaced(
            "serfor_polygons",
            lambda s: dataclasses.replace(with_layers(s, supports_pagination=False), max_record_count=50),
        ),
    ),
    Row(
        "renamed layer",
        "minam.merese_agreements",
        STANDS,
        "no layer matches",
        services=replaced("merese_agreements", lambda s: with_layers(s, name="Acuerdos 2026")),
    ),
    Row(
        "doubled layer name",
        "minam.oecms",
        STANDS,
        "2 layers match",
        services=replaced(
            "oecms",
            lambda s: dataclasses.replace(
                s, layers=(*s.layers, dataclasses.replace(s.layers[0], id=1, name="OMEC potenciales"))
            ),
        ),
    ),
    Row(
        "shifted ids",
        "minam.degradation",
        RECOVERS,
        "ServicioDegradacion/MapServer/3/query",
        services=replaced(
            "degradation_2024",
            lambda s: dataclasses.replace(s, layers=tuple(dataclasses.replace(x, id=x.id + 3) for x in s.layers)),
        ),
    ),
    Row(
        "token required",
        "serfor.restoration_areas",
        STANDS,
        "RESTAURACION_TOKEN_SERFOR",
        faults={
            query("serfor_polygons"): always(lambda: json_of({"error": {"code": 499, "message": "Token Required"}}))
        },
    ),
    Row(
        "swapped axes of a whole layer",
        "serfor.forest_zoning",
        STANDS,
        "lie outside Peru",
        faults={query("forest_zoning"): on_features(turned)},
    ),
    Row(
        "swapped axes of a WFS",
        "inei.districts",
        READS,
        "",
        faults={"typeNames=Interoperabilidad%3Aig_distrito": on_features(turned)},
    ),
    Row(
        "coordinates of another reference than declared",
        "sernanp.national_areas",
        STANDS,
        "lie outside Peru",
        faults={query("protected_areas"): on_features(in_utm_said_to_be(4326))},
    ),
    Row(
        "another reference than asked for",
        "sernanp.national_areas",
        STANDS,
        "asked for EPSG:4326",
        faults={query("protected_areas"): on_features(in_utm_said_to_be(32718))},
    ),
    Row(
        "zip bomb", "inei.district_file", STANDS, "(a bomb?)", faults={"Distrito.rar": always(lambda: Response(bomb()))}
    ),
    Row(
        "path traversal in an archive",
        "inei.district_file",
        STANDS,
        "lies outside the archive's folder",
        faults={"Distrito.rar": always(lambda: Response(zip_with("../../Distrito.gpkg", b"SQLite format 3")))},
    ),
    Row(
        "billion-laughs XML",
        "inei.provinces",
        STANDS,
        "entities and external references are refused",
        faults={"ig_provincia": always(lambda: Response(LAUGHS, media_type="text/xml"))},
    ),
    Row(
        "latin-1 bytes",
        "invierte.investments",
        READS,
        "",
        damage=file_change("DETALLE_INVERSIONES.csv", lambda b: b.decode("utf-8-sig").encode("latin-1")),
    ),
    Row(
        "a column changed its name",
        "invierte.closed",
        STANDS,
        "MONTO_VIABLE may be 'MTO_VIABLE' now",
        damage=file_change("CIERRE_INVERSIONES.csv", lambda b: b.replace(b"MONTO_VIABLE", b"MTO_VIABLE", 1)),
    ),
    Row(
        "HTML in place of a file",
        "invierte.gaps",
        STANDS,
        "a web page (HTML)",
        faults={"INVERSIONES_BRECHAS.csv": always(lambda: HTMLResponse(LOGIN))},
    ),
    Row(
        "columns reordered",
        "mef.budget_execution",
        READS,
        "",
        partition="2021",
        damage=file_change("2021-Gasto-Devengado.csv", columns_reversed),
    ),
    Row(
        "a year's file is a copy of another year's",
        "mef.budget_execution",
        STANDS,
        "byte for byte the file of 2023",
        partition="2024",
        damage=copy_of_2023,
    ),
    Row(
        "a file cut in the middle",
        "mef.budget_execution",
        STANDS,
        "cannot be read whole",
        partition="2020",
        damage=file_change("2020-Gasto-Devengado.csv", lambda b: b[: len(b) // 2]),
    ),
    Row(
        "an export without its table",
        "mef.consulta_amigable",
        STANDS,
        "a page with 0 tables",
        partition="2022",
        damage=lambda world: (world.files / "consulta_2022.html").unlink(),
    ),
)


def nights(rows: tuple[Row, ...] = ROWS) -> list[list[Row]]:
    """Rows put together so that those of one night do not touch one another."""
    created: list[list[Row]] = []
    for row in rows:
        for night in created:
            if row.outcome != READS and any(r.outcome == READS for r in night):
                continue
            if row.outcome == READS and any(r.outcome != READS for r in night):
                continue
            if not any(row.touches(other) for other in night):
                night.append(row)
                break
        else:
            created.append([row])
    return created
