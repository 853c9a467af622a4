"""Kinds of broken row: what is done to one good row, the rule that must catch it, and what else follows from it.

A kind changes a row of its own that nothing was wrong with, so that the counts of every rule can be foretold.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl

from dbt_like_sql.seeds import read_seed
from restoration.submissions.template import write_template
from sandbox.world import World

Row = dict[str, Any]
HELD_AREA = "areas.table.initiative_of_the_area_passed_the_protocol"
THIS_YEAR = dt.datetime.now(dt.UTC).year


@dataclass(frozen=True)
class Broken:
    """One kind. `also` are rules that the same damage breaks by itself; `times` rows fail the intended rule."""

    kind: str
    place: str
    rule: str
    change: Callable[[Row], Row]
    also: tuple[str, ...] = ()
    times: int = 1
    is_added: bool = field(default=False)  # the row is added beside the good one, which is kept

    @property
    def expected(self) -> Counter[str]:
        return Counter({self.rule: self.times}) + Counter(self.also)


# -- geometry, in the coordinates of the row's own polygon ---------------------------------------


def middle(row: Row) -> tuple[float, float]:
    ring = json.loads(row["geometry"])["rings"][0]
    return sum(p[0] for p in ring) / len(ring), sum(p[1] for p in ring) / len(ring)


def drawn(row: Row, metres: list[tuple[float, float]], hectares: float | None, **values: Any) -> Row:
    """The row with a polygon of these corners, in metres from the middle of its own."""
    lon, lat = middle(row)
    ring = [
        [round(lon + x / (111_320 * math.cos(math.radians(lat))), 7), round(lat + y / 110_574, 7)] for x, y in metres
    ]
    return row | {"geometry": json.dumps({"rings": [[*ring, ring[0]]]}), "HA_DECL": hectares} | values


def square(row: Row, hectares: float, **values: Any) -> Row:
    half = math.sqrt(hectares * 10_000) / 2
    return drawn(row, [(-half, -half), (-half, half), (half, half), (half, -half)], hectares, **values)


def circle(row: Row, metres: float, corners: int) -> Row:
    angles = [-2 * math.pi * i / corners for i in range(corners)]  # clockwise
    return drawn(row, [(metres * math.cos(a), metres * math.sin(a)) for a in angles], math.pi * metres**2 / 10_000)


def moved(row: Row, east: float) -> Row:
    rings = [[[x + east, y] for x, y in ring] for ring in json.loads(row["geometry"])["rings"]]
    return row | {"geometry": json.dumps({"rings": rings})}


def turned(row: Row) -> Row:
    rings = [[[y, x] for x, y in ring] for ring in json.loads(row["geometry"])["rings"]]
    return row | {"geometry": json.dumps({"rings": rings})}


def day(text: str) -> int:
    """Esri's milliseconds of a day in Lima."""
    return int(dt.datetime.fromisoformat(f"{text}T05:00:00+00:00").timestamp() * 1000)


def given(**values: Any) -> Callable[[Row], Row]:
    return lambda row: row | values


# -- the kinds -------------------------------------------------------------------------------------


def _initiative(kind: str, rule: str, change: Callable[[Row], Row], *also: str) -> Broken:
    return Broken(kind, "minam", f"initiatives.{rule}", change, also)


def _area(
    kind: str, rule: str, change: Callable[[Row], Row], *also: str, times: int = 1, is_added: bool = False
) -> Broken:
    return Broken(kind, "minam", f"areas.table.{rule}", change, also, times, is_added)


def _line(kind: str, rule: str, is_added: bool = False, **values: str) -> Broken:
    return Broken(kind, "spending", f"spending.{rule}", given(**values), is_added=is_added)


def _investment(kind: str, rule: str, **values: str) -> Broken:
    return Broken(kind, "investments", f"investments.{rule}", given(**values))


def _submitted(kind: str, rule: str, *also: str, **values: Any) -> Broken:
    return Broken(kind, "submission", rule, given(**values), also)


def _indicator(kind: str, rule: str, *also: str, is_added: bool = False, **values: Any) -> Broken:
    return Broken(kind, "indicator", f"indicator_values.{rule}", given(**values), also, is_added=is_added)


KINDS = (
    _initiative("no identifier", "source_record_id.required", given(COD_INIC=" "), HELD_AREA),
    _initiative("no name", "name.required", given(NOM_INIC=None), HELD_AREA),
    _initiative("a status nobody knows", "status.required", given(ESTADO=7), HELD_AREA),
    _initiative("a type nobody knows", "restoration_type.required", given(TIPO_REST=9), HELD_AREA),
    _initiative(
        "ends before it begins",
        "table.end_date_is_not_before_start_date",
        given(FEC_INI=day("2021-05-01"), FEC_FIN=day("2020-05-01")),
        HELD_AREA,
    ),
    _initiative(
        "under way, begins in the future",
        "table.initiative_under_way_does_not_begin_in_the_future",
        given(ESTADO=2, FEC_INI=day(f"{THIS_YEAR + 3}-01-01"), FEC_FIN=None),
        HELD_AREA,
    ),
    _initiative("begins in 1950", "table.start_date_is_plausible", given(FEC_INI=day("1950-01-01"))),
    _initiative("no start", "start_date.start_date_is_given", given(FEC_INI=None)),
    _initiative("complete, without an end", "table.end_date_is_given_after_completion", given(ESTADO=3, FEC_FIN=None)),
    _initiative("a filler for a name", "table.name_says_what_it_is", given(NOM_INIC="Por definir")),
    _initiative("an ecosystem nobody knows", "table.ecosystem_name_is_known", given(ECOSISTEMA="Bosque encantado")),
    _initiative("no ecosystem", "table.ecosystem_is_given", given(ECOSISTEMA=" ")),
    _initiative("a ubigeo of no district", "table.ubigeo_is_a_district_of_inei", given(UBIGEO="999999")),
    _initiative("a CUI of five digits", "table.investment_code_has_seven_digits", given(CUI="24692")),
    _initiative("a generic CUI", "table.investment_code_is_not_generic", given(CUI="2001621")),
    _initiative("a negative target", "table.target_area_is_above_zero", given(HA_META=-5.0)),
    _initiative("a target larger than a region", "table.target_area_is_believable", given(HA_META=9_999_999.0)),
    _initiative(
        "a hundred times its target", "table.declared_area_is_in_proportion_to_the_target", given(HA_META=0.01)
    ),
    _initiative(
        "a mail address in the name",
        "table.texts_hold_no_personal_data",
        given(NOM_INIC="Vivero de alisos, pedidos a juana.quispe@example.org"),
    ),
    _initiative(
        "a DNI for an identifier",
        "table.code_is_no_personal_data",
        given(COD_INIC="DNI 41234567"),
        HELD_AREA,
        "areas.table.code_is_no_personal_data",
    ),
    _area(
        "curves instead of rings",
        "geometry_can_be_read",
        given(geometry=json.dumps({"curveRings": [[[-75, -10], {"c": [[-75.1, -10], [-75.05, -10.1]]}]]})),
        "areas.table.ground_is_drawn",
    ),
    _area(
        "latitude for longitude",
        "longitude_and_latitude_are_in_their_places",
        turned,
        "areas.table.area_touches_its_declared_district",
        "areas.table.declared_area_is_within_half_of_the_drawn",
    ),
    _area(
        "in the Atlantic",
        "area_lies_in_peru",
        lambda row: moved(row, 40),
        "areas.table.area_touches_its_declared_district",
    ),
    _area("a sliver of 40 m²", "polygon_is_no_sliver", lambda row: square(row, 0.004)),
    _area("a third of a hectare", "polygon_is_at_least_half_a_hectare", lambda row: square(row, 0.3)),
    _area("a whole landscape", "polygon_is_not_a_whole_landscape", lambda row: square(row, 12_100, HA_META=20_000.0)),
    _area("traced pixel by pixel", "polygon_has_a_bearable_number_of_vertices", lambda row: circle(row, 300, 10_100)),
    _area(
        "crosses itself",
        "polygon_does_not_cross_itself",
        times=2,  # it falls into two polygons
        change=lambda row: drawn(row, [(0, 0), (0, 260), (400, -50), (400, 150)], 4.68),
    ),
    _area(
        "declares 80 % more than it draws",
        "declared_area_is_within_half_of_the_drawn",
        lambda row: square(row, 20, HA_DECL=36.0),
    ),
    _area(
        "declares 30 % more than it draws",
        "declared_area_is_within_a_quarter_of_the_drawn",
        lambda row: square(row, 20, HA_DECL=26.0),
    ),
    _area(
        "more hectares than its district, undrawn",
        "declared_area_without_a_polygon_fits_in_the_place_it_names",
        given(geometry=None, HA_DECL=9_900_000.0),
        "areas.table.ground_is_drawn",
        "initiatives.table.declared_area_is_in_proportion_to_the_target",
    ),
    _area("declares nothing", "declared_area_is_given", given(HA_DECL=None)),
    _area("declares less than nothing", "declared_area_is_not_negative", given(HA_DECL=-10.0)),
    _area("drawn twice in its record", "polygon_is_drawn_once", dict, is_added=True),
    _area(
        "drawn again under another name",
        "polygon_belongs_to_one_record_of_its_source",
        given(COD_INIC="RED-2099-000001"),
        "initiatives.table.activities_are_given",
        "initiatives.table.tenure_is_given",
        is_added=True,
    ),
    _area("says it is in Tacna", "area_touches_its_declared_district", given(UBIGEO="230101")),
    _area(
        "nowhere at all",
        "record_without_a_polygon_has_a_district",
        given(geometry=None, UBIGEO="999999"),
        "initiatives.table.ubigeo_is_a_district_of_inei",
        "areas.table.ground_is_drawn",
    ),
    _line("a programme code without its zero", "table.programme_code_is_one_of_the_six", PROGRAMA_PPTO="130"),
    _line("an amount in words", "table.amounts_are_numbers", MONTO_PIA="n/d"),
    _line("no executing unit", "executing_unit_code.required", SEC_EJEC=""),
    _line(
        "months that do not add up",
        "table.accrued_of_the_year_is_the_sum_of_its_months",
        MONTO_DEVENGADO_ENERO="777777.77",
    ),
    _line("a department nobody knows", "table.department_of_the_spending_is_known", DEPARTAMENTO_META="77"),
    _line("no department", "table.department_of_the_spending_is_given", DEPARTAMENTO_META="0"),
    _line("a product code cut short", "table.product_or_project_code_has_seven_digits", PRODUCTO_PROYECTO="30000"),
    _line(
        "a level of government nobody knows",
        "government_level.government_level_is_one_of_the_three",
        NIVEL_GOBIERNO="X",
    ),
    _line("neither project nor product", "activity_or_project.line_is_of_a_project_or_a_product", TIPO_ACT_PROY="9"),
    _line("the same line twice", "table.line_is_no_copy_of_another", is_added=True),
    _line(
        "a person's RUC in an activity",
        "table.texts_hold_no_personal_data",
        ACTIVIDAD_ACCION_OBRA_NOMBRE="PAGO A RUC 10412345679",
    ),
    _investment(
        "a mobile number in the name",
        "table.texts_hold_no_personal_data",
        NOMBRE_INVERSION="MEJORAMIENTO, INFORMES AL 987.654.321",
    ),
    _investment("no CUI", "cui.required", CODIGO_UNICO=""),
    _investment("a CUI of six digits", "table.investment_code_has_seven_digits", CODIGO_UNICO="246924"),
    _investment("an investment without a name", "name.required", NOMBRE_INVERSION=" "),
    _investment("a negative cost", "table.cost_is_not_negative", COSTO_ACTUALIZADO="-5"),
    _investment("no cost", "table.cost_is_given", COSTO_ACTUALIZADO=""),
    _investment(
        "spent a hundred times its cost",
        "table.accrued_is_in_proportion_to_the_cost",
        COSTO_ACTUALIZADO="1000",
        DEVEN_ACUMUL_ANIO_ANT="100000",
    ),
    _investment(
        "viable before it was registered",
        "table.viability_does_not_come_before_registration",
        FECHA_REGISTRO="2020-01-01 00:00:00",
        FECHA_VIABILIDAD="2001-01-01 00:00:00",
    ),
    _investment("in no district", "table.district_is_given", UBIGEO="999999"),
    _submitted("no code of its own", "submissions.own_code.required", codigo=None),
    _submitted("a start in words", "submissions.table.start_date_can_be_read", fecha_inicio="a fines de marzo"),
    _submitted("an end in words", "submissions.table.end_date_can_be_read", fecha_fin="pronto"),
    _submitted("an area with its unit", "submissions.table.declared_area_can_be_read", superficie_ha="20 ha"),
    _submitted("a target with a thousands mark", "submissions.table.target_area_can_be_read", meta_ha="1.200,5"),
    _submitted("an amount in words, submitted", "submissions.table.amount_can_be_read", monto_soles="mil"),
    _submitted("a report year in words", "submissions.table.report_year_can_be_read", anio_reporte="este año"),
    _submitted("half a coordinate", "submissions.table.longitude_and_latitude_can_be_read", latitud=None),
    _submitted("perhaps", "submissions.table.yes_or_no_is_said_as_such", verificado_campo="quizás"),
    _submitted(
        "a tenure nobody knows",
        "submissions.table.tenure_is_understood",
        "initiatives.table.tenure_is_given",
        tenencia="De todos",
    ),
    _submitted(
        "indigenous land without consent",
        "initiatives.table.consent_is_given_on_indigenous_land",
        tenencia="Territorio indígena o tradicional",
        consentimiento=None,
    ),
    _submitted("a funder without an amount", "initiatives.table.funder_comes_with_its_amount", monto_soles=None),
    _submitted("a report of long ago", "initiatives.table.report_is_recent", anio_reporte=str(THIS_YEAR - 5)),
    _submitted("an activity nobody knows", "initiatives.table.activities_are_of_the_list", actividades="4;99"),
    _submitted("no activities", "initiatives.table.activities_are_given", actividades=None),
    _submitted(
        "a person behind the funder",
        "submissions.table.texts_hold_no_personal_data",
        "initiatives.table.texts_hold_no_personal_data",
        financiador="Contacto: Juana Quispe Mamani",
    ),
    _submitted(
        "a DNI in a remark", "submissions.table.texts_hold_no_personal_data", observaciones="D.N.I. N° 41.234.567 firmó"
    ),
    _submitted(
        "a telephone beside the tenure",
        "submissions.table.texts_hold_no_personal_data",
        "submissions.table.tenure_is_understood",
        "initiatives.table.tenure_is_given",
        tenencia="Comunal, cel. 987654321",
    ),
    _submitted("a DNI for a code", "submissions.table.code_is_no_personal_data", codigo="DNI 41234567"),
    _indicator(
        "a mail address in the method", "table.texts_hold_no_personal_data", metodo="Encuesta de juana@example.org"
    ),
    _indicator(
        "a DNI for a code, of a value",
        "table.code_is_no_personal_data",
        "indicator_values.table.initiative_of_the_value_passed_the_protocol",
        codigo="DNI 41234567",
    ),
    _indicator("an indicator nobody knows", "table.indicator_is_one_of_aurora", indicador="AURORA-999"),
    _indicator("a value in words", "table.value_is_a_number", valor="mucho"),
    _indicator("250 %", "table.value_is_possible_for_its_indicator", valor="250"),
    _indicator("kilograms of a percentage", "table.unit_is_that_of_the_indicator", unidad="kg"),
    _indicator("measured in 1850", "table.year_is_a_year", anio="1850"),
    _indicator("two values of a year", "table.indicator_has_one_value_a_year", is_added=True),
    _indicator("of an initiative nobody sent", "table.initiative_of_the_value_passed_the_protocol", codigo="NADIE-1"),
    _indicator("of no initiative", "own_code.required", codigo=None),
    _indicator("no method", "table.method_is_given", metodo=None),
)


# -- putting them in -------------------------------------------------------------------------------


def inject(world: World, clean_records: Iterator[str], inbox: Path) -> dict[str, str]:
    """Damage the world, one good row a kind; returns which record each kind of MINAM's layer was done to."""
    done = _inject_features(world, clean_records)
    of_lines = [k for k in KINDS if k.place == "spending"]
    _inject_csv(world.files / "2022-Gasto-Devengado.csv", of_lines, _small_lines)
    of_investments = [k for k in KINDS if k.place == "investments"]
    _inject_csv(world.files / "DETALLE_INVERSIONES.csv", of_investments, _good_investments)
    _submit(inbox / "gore_prueba" / "entrega.xlsx")
    return done


def _inject_features(world: World, clean_records: Iterator[str]) -> dict[str, str]:
    path = world.layers / "minam_polygons.parquet"
    rows = pl.read_parquet(path).to_dicts()
    place = {row["COD_INIC"]: i for i, row in enumerate(rows)}
    done = {}
    for kind in (k for k in KINDS if k.place == "minam"):
        record = next(clean_records)
        number = place[record]
        broken = kind.change(rows[number])
        if kind.is_added:
            rows.append(broken | {"OBJECTID": max(row["OBJECTID"] for row in rows) + 1})
        else:
            rows[number] = broken
        done[kind.kind] = str(broken["COD_INIC"]) if kind.is_added else record
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    return done


def _inject_csv(path: Path, kinds: list[Broken], good: Callable[[pl.DataFrame], list[int]]) -> None:
    frame = pl.read_csv(path, infer_schema=False)
    rows = frame.to_dicts()
    for kind, number in zip(kinds, good(frame), strict=False):
        broken = kind.change(rows[number])
        if kind.is_added:
            rows.append(broken)
        else:
            rows[number] = broken
    pl.DataFrame(rows, schema=frame.schema).write_csv(path, quote_style="always")


def _small_lines(frame: pl.DataFrame) -> list[int]:
    """Lines of one programme with little money, so that no total moves far enough to stop the release."""
    amounts = [c for c in frame.columns if c.startswith("MONTO_") and c.endswith(("_PIA", "_PIM", "_ANUAL"))]
    largest = pl.max_horizontal(pl.col(c).cast(pl.Float64).abs() for c in amounts)
    found = frame.with_row_index("number").filter(
        (pl.col("PROGRAMA_PPTO") == "0130")
        & (pl.col("MONTO_DEVENGADO_ANUAL").cast(pl.Float64) > 0)
        & (pl.col("DEPARTAMENTO_META").str.strip_chars().str.len_chars() == 2)
    )
    return [int(n) for n in found.sort(largest)["number"]]


def _good_investments(frame: pl.DataFrame) -> list[int]:
    given_cui = pl.col("CODIGO_UNICO").str.contains(r"^2\d{6}$") & pl.col("CODIGO_UNICO").is_unique()
    found = frame.with_row_index("number").filter(
        given_cui
        & (pl.col("UBIGEO").str.len_chars() == 6)
        & (pl.col("COSTO_ACTUALIZADO").cast(pl.Float64, strict=False) > 0)
        & pl.col("FECHA_VIABILIDAD").is_not_null()
        & (pl.col("FECHA_VIABILIDAD") != "")
    )
    return [int(n) for n in found["number"]]


def good_submission(number: int) -> Row:
    """A row of the template with everything that the protocol asks for, at the capital of a district."""
    place = read_seed("districts_inei_2025").filter(pl.col("ubigeo").str.starts_with("1")).row(number * 7, named=True)
    return {
        "codigo": f"P-{number:03d}",
        "nombre": f"Restauración de bofedales en {place['district_name']}",
        "institucion": "Gobierno Regional de Prueba",
        "estado": "En ejecución",
        "tipo": "Restauración ecológica",
        "ecosistema": "Bofedal",
        "ubigeo": place["ubigeo"],
        "fecha_inicio": "2024-03-01",
        "meta_ha": "100",
        "superficie_ha": "20",
        "verificado_campo": "SI",
        "longitud": str(place["capital_lon"]),
        "latitud": str(place["capital_lat"]),
        "tenencia": "Comunal",
        "actividades": "4;24",
        "consentimiento": "SI",
        "financiador": "Fondo de prueba",
        "monto_soles": "1000",
        "anio_reporte": str(THIS_YEAR),
        "documento": "Informe 1",
    }


def good_indicator(number: int) -> Row:
    """A value of the first initiative; another indicator each time, all of them percentages."""
    listed = read_seed("aurora_indicators").filter(pl.col("unit") == "%")["indicator_id"]
    return {
        "codigo": "P-000",
        "indicador": listed[number],
        "anio": "2024",
        "valor": "12.5",
        "unidad": "%",
        "metodo": "Encuesta",
    }


def _submit(path: Path) -> None:
    """A filled template: three good rows of each sheet and one a kind."""
    write_template(path)
    workbook = openpyxl.load_workbook(path)
    for sheet, place, good in (
        ("Iniciativas", "submission", good_submission),
        ("Indicadores", "indicator", good_indicator),
    ):
        rows = [good(number) for number in range(3)]
        for number, kind in enumerate((k for k in KINDS if k.place == place), start=3):
            rows += [good(number)] if kind.is_added else []
            rows.append(kind.change(good(number)))
        columns = {cell.value: cell.column for cell in workbook[sheet][1]}
        for number, row in enumerate(rows, start=2):
            for name, value in row.items():
                workbook[sheet].cell(number, columns[name], value)
    workbook.save(path)
