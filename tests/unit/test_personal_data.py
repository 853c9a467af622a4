"""What is personal data and what is not, as people in Peru write it."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.personal_data import REMOVED, WORTH_LOOKING, without_personal_data

IDENTITY = ["41234567", "41.234.567", "41 234 567", "41234567-8"]
PERSONAL = [  # (text, what may not be in it any more)
    *(
        (f"Vive ahí, {word}{number}, y siembra", number)
        for number in IDENTITY
        for word in (
            "DNI ",
            "DNI: ",
            "DNI N° ",
            "DNI Nº",
            "D.N.I. ",
            "D.N.I. N° ",
            "dni nro. ",
            "DNI núm. ",
            "Documento de identidad ",
            "doc. de identidad N° ",
            "documento nacional de identidad: ",
            "DNI (",
            "dni es ",
            "con DNI #",
        )
    ),
    ("dni41234567", "41234567"),
    ("Juana (41234567 DNI)", "41234567"),
    ("DNI 41234567, 42345678 y 43456789", "42345678"),
    ("DNI 41234567 / 43456789", "43456789"),
    ("CE 001234567", "001234567"),
    ("C.E. N° 001234567", "001234567"),
    ("carnet de extranjería 001234567", "001234567"),
    ("Carné de extranjeria: 000123456", "000123456"),
    ("pasaporte N° AB123456", "AB123456"),
    ("RUC 10412345678", "10412345678"),
    ("R.U.C. N° 10-41234567-8", "41234567"),
    ("RUC 15412345678", "15412345678"),
    ("contratista 10412345679 de Tacna", "10412345679"),
    ("juana.quispe@example.org", "juana"),
    ("escribir a j+q@correo.example.pe.", "j+q"),
    ("juana (arroba) example.org", "juana"),
    ("cel. 987654321", "987654321"),
    ("987654321", "987654321"),
    ("987 654 321", "654"),
    ("987-654-321", "654"),
    ("987.654.321", "654"),
    ("+51 987654321", "987654321"),
    ("+51987654321", "987654321"),
    ("(51) 987 654 321", "654"),
    ("0051 987 654 321", "654"),
    ("Llamar a Juana al 987654321 de noche", "987654321"),
    ("Teléfono: 01 234-5678", "5678"),
    ("telf. 2345678", "2345678"),
    ("Telf 054-234567", "234567"),
    ("Fono 234567", "234567"),
    ("WhatsApp 987 654 321", "654"),
    ("(01) 234-5678", "5678"),
    ("(054) 234567", "234567"),
    ("+51 1 2345678", "2345678"),
    ("+591 71234567", "71234567"),
    ("Contacto: Juana Quispe Mamani", "Quispe"),
    ("CONTACTO: JUANA QUISPE", "QUISPE"),
    ("Persona de contacto: Ing. Pérez", "Pérez"),
    ("Responsable: María del Carmen Huamán; 12 ha", "Huamán"),
    ("Encargado - José Ñahui Ccopa", "Ccopa"),
    ("contactar a Juana Quispe", "Quispe"),
    ("Responsable: SERFOR. Contacto: Juana Quispe", "Quispe"),
]
HARMLESS = [
    "2345678",
    "CUI 2345678",
    "CUI: 2345678, SNIP 345678",
    "Código único de inversiones N° 2345678",
    "41234567",  # a number of eight figures alone is a code
    "SIAF 0012345678",
    "120.5 ha",
    "12345678.90",
    "S/ 987 654 321",
    "S/ 987,654,321.00",
    "987654321.55",
    "987 654 321 soles",
    "987654321 m2",
    "ubigeo 150101",
    "RUC 20131312955",  # of an institution
    "20131312955",
    "10412345670",  # eleven figures whose check digit is no RUC's
    "Informe 012-2026-GRRN",
    "Resolución Jefatural N° 0123-2024-ANA",
    "Resolución Directoral 00987-2023-SERFOR-DGGSPFFS",
    "Expediente 2024-0012345",
    "2024-03-01",
    "01/03/2024 - 31/12/2026",
    "2020-2025",
    "-70.2871, -16.9312",
    "UTM 18L 345678 8765432",
    "E 345678 N 8765432",
    "Responsable: Municipalidad Provincial de Tacna",
    "Contacto: Gerencia Regional de Recursos Naturales",
    "Responsable: SERFOR",
    "titular: Comunidad Campesina San Juan",
    "Medios de contacto directo con la comunidad",
    "https://example.org/registro/987654321/areas",
    "REST-2024-001",
    "Mejoramiento del servicio de protección 2345678 en 3 localidades",
    "3000 plantones de Polylepis, 1200 de Alnus acuminata",
    "",
]


@pytest.mark.parametrize(("text", "secret"), PERSONAL)
def test_personal_data_is_taken_out(text: str, secret: str) -> None:
    cleaned = without_personal_data(text)
    assert secret not in cleaned
    assert REMOVED in cleaned


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_none_stays_as_it_is(text: str) -> None:
    assert without_personal_data(text) == text


def test_the_text_around_it_is_kept() -> None:
    assert without_personal_data("Cerco de 120 m. DNI 41234567. Riego") == f"Cerco de 120 m. {REMOVED}. Riego"
    assert without_personal_data("Responsable: Ana Ruiz, 12 ha") == f"Responsable: {REMOVED}, 12 ha"


def test_all_that_is_personal_is_worth_looking_at() -> None:
    """DuckDB asks the detector only about these."""
    missed = [
        t for t, _ in PERSONAL if not duckdb.execute("select regexp_matches(?, ?)", [t, WORTH_LOOKING]).fetchone()[0]
    ]
    assert missed == []


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a.",
        "@",
        "d",
        "d ",
        "dni ",
        "dni n ",
        "4",
        "41234567 ",
        " ",
        "contacto: ",
        "contacto: Ana Ruiz ",
        "contacto ",
        "Responsable - sr. ",
        "9",
        "+5",
        "(0",
        "c.e. n ",
        "987654321 ",
        "987 654 321 ha ",
        "S/ 987 654 321 ",
        "(01) 234-5678 ",
        "10412345679 ",
        "tel. 2345678 ",
        "j@q.pe ",
    ],
)
def test_nobody_stops_a_night_by_a_long_text(piece: str) -> None:
    """A million letters take a second or two; with quadratic time it would be days, and the test would time out."""
    cleaned = without_personal_data(piece * (1_000_000 // len(piece)) + "\n")
    assert cleaned.endswith("\n")


@given(st.text(max_size=200))
def test_any_text_is_read_once_and_for_all(text: str) -> None:
    """Whatever was written, a second reading finds nothing more, and what DuckDB passes over holds nothing."""
    cleaned = without_personal_data(text)
    assert without_personal_data(cleaned) == cleaned
