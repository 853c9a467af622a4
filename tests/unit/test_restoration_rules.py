"""Which spending is restoration: the names of investments against people's judgement, rules against the catalogue's own names."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.seeds import read_seed
from resources.warehouse import connect
from restoration.build.session import MACROS

NAMES = Path(__file__).with_name(
    "investment_names.csv"
)  # real names of Invierte.pe, judged by hand; their source is in the file


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    con = connect()
    con.execute(MACROS.read_text(encoding="utf-8"))
    con.register("rules", read_seed("restoration_rules").to_arrow())
    return con


def test_names_are_read_as_people_judged_them(con: duckdb.DuckDBPyConnection) -> None:
    with NAMES.open(encoding="utf-8", newline="") as file:
        judged = [(row["name"], row["is_restoration"] == "yes") for row in csv.DictReader(file)]
    assert len(judged) > 75
    read = [con.execute("select names_recovery(?)", [name]).fetchone()[0] for name, _ in judged]  # type: ignore[index]
    wrong = [name for (name, right), ours in zip(judged, read, strict=True) if ours != right]
    assert len(wrong) <= 0.05 * len(judged), wrong


@pytest.mark.parametrize(
    ("name", "is_recovery"),
    [
        ("RESTAURACIÓN DE BOSQUES DE QUEÑUA EN LA CUENCA ALTA DEL RÍO MANTARO", True),
        ("Recuperación de humedales altoandinos - Junín", True),
        ("REFORESTACION CON ESPECIES NATIVAS PARA PROTECCION DE SUELOS", True),
        ("RECUPERACION DE LA CARRETERA QUE CRUZA EL BOSQUE DE PROTECCION; VIAS DE ACCESO", False),
        ("MEJORAMIENTO DE LA AV. FORESTACION Y SUELOS DE LA URBANIZACION", False),
        ("CONSERVACION DE LA CATEDRAL", False),
    ],
)
def test_other_names(con: duckdb.DuckDBPyConnection, name: str, is_recovery: bool) -> None:
    assert con.execute("select names_recovery(?)", [name]).fetchone() == (is_recovery,)


@pytest.mark.parametrize(
    ("programme", "product", "activity", "expected"),
    [
        ("0121", "3000825", "5006066", ("enabling", "low")),  # titling
        ("0121", "3000825", "5006068", ("not_restoration", "medium")),  # commercial assistance
        ("0121", "3000633", "5004496", ("not_restoration", "medium")),  # market information
        ("0130", "3000384", "5004420", ("direct", "high")),  # recovery of degraded forest areas
        ("0130", "3000384", "5004422", ("enabling", "medium")),  # awareness
        ("0130", "3000384", "5005177", ("not_restoration", "high")),  # patrol
        ("0068", "3000738", "5005580", ("not_restoration", "high")),  # training
        ("0068", "3000739", "5005583", ("not_restoration", "high")),  # campaigns
    ],
)
def test_the_first_rule_that_holds_decides(
    con: duckdb.DuckDBPyConnection, programme: str, product: str, activity: str, expected: tuple[str, str]
) -> None:
    found = con.execute(
        """
        select restoration_class, confidence from rules
        where coalesce(activity_or_project, '') in ('', '3') and coalesce(programme_code, '') in ('', ?)
            and coalesce(product_code, '') in ('', ?) and coalesce(activity_code, '') in ('', ?) and coalesce(evidence, '') = ''
        order by rule_order limit 1
        """,
        [programme, product, activity],
    ).fetchone()
    assert found == expected


def test_every_rule_on_a_product_says_what_it_was_checked_against() -> None:
    rules = read_seed("restoration_rules")
    assert (
        rules.filter(rules["product_code"].is_not_null() & rules["checked_against"].is_null())["rule_id"].to_list()
        == []
    )
