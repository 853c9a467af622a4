"""What the budget does from one day to the next: accounts close, a year opens, months are added, budgets are modified.

Belongs here: events of the wide files of MEF and of the investment bank. Does not: the products that follow from them (witnesses.py).
A month of the new year is added every few days, so that thirty nights see several.
Each returns what it touched: the fiscal year, or investment codes.
"""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from sandbox.budget import MONTHS
from sandbox.days.country import Country

NEW_YEAR = 2026
_PIA, _PIM, _CERTIFIED, _COMMITTED = "MONTO_PIA", "MONTO_PIM", "MONTO_CERTIFICADO_ANUAL", "MONTO_COMPROMETIDO_ANUAL"
_ACCRUED, _PAID = "MONTO_DEVENGADO_ANUAL", "MONTO_GIRADO_ANUAL"


def _month(number: int) -> str:
    return f"MONTO_DEVENGADO_{MONTHS[number - 1]}"


def _plain(amount: Decimal) -> str:
    """As the source prints it: no trailing zeros."""
    text = f"{amount:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"", "-0"} else text


def _add(country: Country, year: int, row: int, **amounts: str) -> None:
    """Add soles to cells of one line."""
    frame = country.budget[year]
    country.budget[year] = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == row)
        .then(pl.lit(_plain(Decimal(frame[column][row]) + Decimal(soles))))
        .otherwise(pl.col(column))
        .alias(column)
        for column, soles in amounts.items()
    )
    country.changed.add(f"budget_{year}")


def _line(country: Country, year: int, name: str) -> int:
    """A line of a programme that is followed."""
    frame = country.budget[year].with_row_index("row")
    lines = frame.filter(pl.col("PROGRAMA_PPTO").is_in(["0144", "0130", "0089"]))["row"].to_list()
    return int(country.random(name).choice(lines))


def close_accounts(country: Country) -> list[str]:
    """The year before is still being closed: what was accrued in December is written down."""
    year = country.date.year - 1
    _add(country, year, _line(country, year, "close"), **{_month(12): "1250.5", _ACCRUED: "1250.5", _PAID: "1250.5"})
    return [str(year)]


def revise_closed_year(country: Country) -> list[str]:
    """A year closed long ago is revised."""
    year = 2021 + (country.day // 14) % 3
    row = _line(country, year, "revise closed")
    _add(country, year, row, **{_month(12): "-310.25", _ACCRUED: "-310.25", _PIM: "4000"})
    return [str(year)]


def open_fiscal_year(country: Country) -> list[str]:
    """The file of the new year appears: the lines of the year before, with an opening budget and nothing spent."""
    amounts = [c for c in country.budget[NEW_YEAR - 1].columns if c.startswith("MONTO_")]
    country.budget[NEW_YEAR] = country.budget[NEW_YEAR - 1].with_columns(
        [pl.lit("0").alias(c) for c in amounts if c not in {_PIA, _PIM}]
        + [pl.lit(str(NEW_YEAR)).alias("ANO_EJE"), pl.col(_PIA).alias(_PIM)]
    )
    country.changed.add(f"budget_{NEW_YEAR}")
    return [str(NEW_YEAR)]


def next_month(country: Country) -> list[str]:
    """The next month of the new year: as much as the year before spent in it."""
    frame = country.budget[NEW_YEAR]
    done = [n for n in range(1, 13) if frame.select((pl.col(_month(n)) != "0").any()).item()]
    number = max(done, default=0) + 1
    if number > 12:
        return []
    spent = country.budget[NEW_YEAR - 1][_month(number)]

    def raised(column: str) -> pl.Series:
        return pl.Series(column, [_plain(Decimal(a) + Decimal(b)) for a, b in zip(frame[column], spent, strict=True)])

    country.budget[NEW_YEAR] = frame.with_columns(
        spent.alias(_month(number)), *(raised(c) for c in (_CERTIFIED, _COMMITTED, _ACCRUED, _PAID))
    )
    country.changed.add(f"budget_{NEW_YEAR}")
    return [f"{NEW_YEAR}-{number:02d}"]


def modify_budget(country: Country) -> list[str]:
    """Money moves between two lines, and a third gets more."""
    for place, soles in enumerate(("-1500", "1500", "98000.75")):
        _add(country, NEW_YEAR, _line(country, NEW_YEAR, f"modify {place}"), **{_PIM: soles})
    return [str(NEW_YEAR)]


def revise_investments(country: Country) -> list[str]:
    """The bank writes another cost for three investments."""
    frame = country.investments
    rows = sorted(int(r) for r in country.random("investments").permutation(frame.height)[:3])
    costs = [_plain(Decimal(frame["COSTO_ACTUALIZADO"][row]) * Decimal("1.10")) for row in rows]
    cost = pl.col("COSTO_ACTUALIZADO")
    for row, text in zip(rows, costs, strict=True):
        cost = pl.when(pl.int_range(pl.len()) == row).then(pl.lit(text)).otherwise(cost)
    country.investments = frame.with_columns(cost.alias("COSTO_ACTUALIZADO"))
    country.changed.add("investments")
    return [frame["CODIGO_UNICO"][row] for row in rows]
