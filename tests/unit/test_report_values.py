"""How the report shows a value: amounts as numbers, codes as words."""

from __future__ import annotations

import re

import pytest

from dbt_like_sql.runner import load_models
from dbt_like_sql.seeds import read_seed
from restoration.report.figures import TERMS, Column, _number_or_word
from restoration.report.page import said, shown

CHANGED = Column("value_after", "Ahora", "Now", "number_or_term")


@pytest.mark.parametrize(
    ("reported", "as_shown"),
    [("1234567.5", "1,234,567.50"), ("0", "0.00"), ("-12.3456", "-12.35"), ("in_progress", "in_progress"), (None, "–")],
)
def test_a_text_of_the_mart_is_shown_as_the_number_that_it_is(reported: str | None, as_shown: str) -> None:
    assert shown(_number_or_word(reported), CHANGED) == as_shown


def test_a_text_is_never_formatted_as_a_number() -> None:
    for kind in ("number", "S/", "ha", "count", "%", "score", "text", "term"):
        assert shown("in_progress", Column("v", "v", "v", kind)) == "in_progress"


def test_every_status_subject_measure_and_reason_of_changes_has_words_in_both_languages() -> None:
    """The codes are read from the mart's SQL and the seeds: a new one without words fails here."""
    sql = load_models()["marts.changes_since_last_release"].sql
    codes = set(re.findall(r"(?:then|else) '([a-z_]+)'", sql)) - {"added", "removed", "revised", "ha"}
    codes |= set(re.findall(r"'([a-z_]+)' as (?:subject|measure|reason)", sql))
    for measures in re.findall(r"unnest\(\[('[^\]]+')\]\) as measure", sql):
        codes |= set(re.findall(r"'([a-z_]+)'", measures))
    codes |= set(read_seed("reconciliation_tolerances")["measure"]) | set(read_seed("initiative_statuses")["status"])
    assert {
        "withdrawn",
        "sum_of_initiatives",
        "split",
        "updated_cost_pen",
        "status",
        "in_progress",
        "spending",
    } <= codes
    assert codes <= set(TERMS), sorted(codes - set(TERMS))
    assert not [code for code in codes if code in said(code)]
