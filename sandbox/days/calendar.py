"""Which day is which, and what happens on it.

Belongs here: dates, the calendar of events and of bad days of servers. Does not: what an event does (registries.py, budget.py,
surroundings.py, submissions.py).

Day 0 is the world that `make run` serves. A day is the state of all sources at 02:00 in Lima, when the nightly run reads them.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

FIRST_DATE = dt.date(2025, 12, 31)  # day 0, a Wednesday: Sundays are days 4, 11, 18, 25

# event -> first day, and every how many days after that; 0 is once
CALENDAR: dict[str, tuple[int, int]] = {
    "revise": (1, 2),
    "redraw": (2, 5),
    "add": (2, 4),
    "change_status": (3, 3),
    "withdraw": (3, 7),
    "learn_cui": (4, 6),
    "partner_reports": (4, 5),
    "abandon": (7, 17),
    "merge": (8, 11),
    "split": (9, 13),
    "rename_institution": (12, 0),
    "submission_arrives": (2, 12),
    "submission_is_corrected": (3, 0),
    "submission_is_withdrawn": (5, 0),
    "submission_comes_twice": (9, 0),
    "close_accounts": (1, 4),
    "revise_closed_year": (4, 14),
    "open_fiscal_year": (5, 0),
    "modify_budget": (7, 6),
    "next_month": (8, 5),
    "revise_investments": (2, 5),
    "new_degradation_year": (10, 0),
    "new_protected_area": (16, 0),
    "rename_field": (15, 0),
    "register_follows": (18, 0),
    "split_district": (17, 0),
    "crosswalk_follows": (24, 0),
}

# a piece of the address, and what its server does on that day: down (503), half (half of the answer), slow
BAD_DAYS: dict[int, dict[str, str]] = {
    4: {"Servicios_OGC/Restauracion": "down"},
    6: {"DETALLE_INVERSIONES": "half"},
    11: {"Gasto-Devengado-Mensual": "half"},
    12: {"Navegar_7.aspx": "slow"},
    17: {"ServicioRecuperacion": "down"},
    22: {"datastorefiles": "down"},
}
_RANDOM_BAD_DAYS = (
    "ServicioDegradacion",
    "sernanp_visor",
    "geoserver/Interoperabilidad",
    "api/v2/bigquery",
    "INVERSIONES_BRECHAS",
)


def date_of(day: int) -> dt.date:
    """The date of a day."""
    return FIRST_DATE + dt.timedelta(days=day)


def night_of(day: int) -> dt.datetime:
    """When the nightly run of a day begins: 02:00 in Lima, which keeps UTC-5 all year."""
    date = date_of(day)
    return dt.datetime(date.year, date.month, date.day, 7, tzinfo=dt.UTC)


def events_on(day: int) -> list[str]:
    """Names of what happens on a day, in the order of the calendar."""
    return [
        name
        for name, (first, every) in CALENDAR.items()
        if day == first or (every and day > first and (day - first) % every == 0)
    ]


def random_of(seed: int, day: int, name: str = "") -> np.random.Generator:
    """Chance of one event of one day of one world, whatever else happens on that day."""
    return np.random.default_rng([seed, 20, day, *name.encode()])


def bad_servers(seed: int, day: int) -> dict[str, str]:
    """Servers that have a bad day: those of the calendar, and every sixth day or so another one, at random."""
    found: dict[str, Any] = dict(BAD_DAYS.get(day, {}))
    random = random_of(seed, day, "servers")
    if day > 0 and random.random() < 1 / 6:
        found[str(random.choice(_RANDOM_BAD_DAYS))] = str(random.choice(["down", "half"]))
    return found
