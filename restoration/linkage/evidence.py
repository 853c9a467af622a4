"""What two records are compared by, and what each finding is called.

Belongs here: comparisons, their levels in SQL and in words, and which pairs are looked at. Does not: weights (model.json) or
what follows from a score (links.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import splink.comparison_level_library as levels
import splink.comparison_library as comparisons
from splink import SettingsCreator, block_on

_ALIKE = "len(list_intersect(name_words_l, name_words_r)) / len(list_distinct(list_concat(name_words_l, name_words_r)))"
_SHARE = "coalesce(ground_shares_l[record_key_r], 0)"
_METRES = "sqrt(pow(x_m_l - x_m_r, 2) + pow(y_m_l - y_m_r, 2))"
_DAYS = "abs(date_diff('day', start_date_l, start_date_r))"
_APART_BY = "abs(size_ha_l - size_ha_r) / greatest(size_ha_l, size_ha_r)"


@dataclass(frozen=True)
class Level:
    """A finding: its condition over the columns of both records, and its words."""

    condition: str
    es: str
    en: str


@dataclass(frozen=True)
class Evidence:
    """One comparison: nothing is concluded where it is `unknown`; else the first level that holds, or `other`."""

    name: str
    unknown: str
    levels: tuple[Level, ...]
    other: Level


EVIDENCE = (
    Evidence(
        "name",
        "name_key_l is null or name_key_r is null",
        (
            Level("name_key_l = name_key_r", "mismo nombre", "same name"),
            Level(
                f"{_ALIKE} >= 0.75 or jaro_winkler_similarity(name_key_l, name_key_r) >= 0.95",
                "nombre casi igual",
                "almost the same name",
            ),
            Level(f"{_ALIKE} >= 0.4", "nombre parecido", "similar name"),
        ),
        Level("", "otro nombre", "another name"),
    ),
    Evidence(
        "ground",
        "x_m_l is null or x_m_r is null",
        (
            Level(
                f"{_SHARE} >= 0.7", "mismo terreno (70 % o más del menor)", "same ground (70 % or more of the smaller)"
            ),
            Level(
                f"{_SHARE} >= 0.3",
                "terreno en parte común (30 % o más del menor)",
                "ground partly shared (30 % or more of the smaller)",
            ),
            Level(f"{_METRES} < 300", "a menos de 300 m", "less than 300 m apart"),
            Level(f"{_METRES} < 2000", "a menos de 2 km", "less than 2 km apart"),
        ),
        Level("", "otro terreno", "other ground"),
    ),
    Evidence(
        "place",
        "len(places_l) = 0 or len(places_r) = 0",
        (
            Level("len(list_intersect(places_l, places_r)) > 0", "mismo distrito", "same district"),
            Level("department_ubigeo_l = department_ubigeo_r", "mismo departamento", "same department"),
        ),
        Level("", "otro departamento", "another department"),
    ),
    Evidence(
        "start",
        "start_date_l is null or start_date_r is null",
        (
            Level(f"not (is_year_only_l or is_year_only_r) and {_DAYS} = 0", "mismo inicio", "same start"),
            Level(
                f"case when is_year_only_l or is_year_only_r then year(start_date_l) = year(start_date_r) else {_DAYS} <= 60 end",
                "inicio cercano (60 días o el mismo año)",
                "start near (60 days or the same year)",
            ),
            Level(f"{_DAYS} <= 400", "inicio con un año de diferencia", "start a year apart"),
        ),
        Level("", "otro inicio", "another start"),
    ),
    Evidence(
        "lead",
        "lead_key_l is null or lead_key_r is null",
        (
            Level("lead_key_l = lead_key_r", "misma institución responsable", "same lead institution"),
            Level(
                "jaro_winkler_similarity(lead_key_l, lead_key_r) >= 0.92",
                "institución casi igual",
                "almost the same institution",
            ),
        ),
        Level("", "otra institución", "another institution"),
    ),
    Evidence(
        "cui",
        "cui_l is null or cui_r is null",
        (Level("cui_l = cui_r", "mismo CUI", "same CUI"),),
        Level("", "otro CUI", "another CUI"),
    ),
    Evidence(
        "size",
        "coalesce(size_ha_l, 0) <= 0 or coalesce(size_ha_r, 0) <= 0",
        (
            Level(f"{_APART_BY} <= 0.01", "mismas hectáreas", "same hectares"),
            Level(f"{_APART_BY} <= 0.25", "hectáreas cercanas", "similar hectares"),
        ),
        Level("", "otras hectáreas", "other hectares"),
    ),
)

BLOCKS = (  # only pairs that meet in one of these are compared
    block_on("cui"),
    block_on("places", arrays_to_explode=["places"]),
    block_on("cells", arrays_to_explode=["cells"]),
    block_on("ground_pairs", arrays_to_explode=["ground_pairs"]),
    # a record without a place; with one, equal names alone would match across the whole country
    "l.name_key = r.name_key and (len(l.places) = 0 or len(r.places) = 0)",
)


def settings() -> SettingsCreator:
    """The comparisons as splink wants them, untrained. A rare name that is the same says more than a common one."""
    created = []
    for evidence in EVIDENCE:
        found = [
            levels.CustomLevel(level.condition, level.en).configure(
                tf_adjustment_column="name_key" if (evidence.name, place) == ("name", 0) else None
            )
            for place, level in enumerate(evidence.levels)
        ]
        unknown = levels.CustomLevel(evidence.unknown, "unknown").configure(is_null_level=True)
        created.append(
            comparisons.CustomComparison(
                output_column_name=evidence.name,
                comparison_description=evidence.name,
                comparison_levels=[unknown, *found, levels.ElseLevel()],
            )
        )
    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record_key",
        comparisons=created,
        blocking_rules_to_generate_predictions=list(BLOCKS),
        retain_matching_columns=True,  # without them splink keeps no findings, and nobody could say why
        retain_intermediate_calculation_columns=False,
    )


def in_words(language: str) -> pl.Expr:
    """What was found of a pair, from splink's `gamma_` columns: 'same name; same district; another start'."""
    reported = []
    for evidence in EVIDENCE:
        words = [getattr(level, language) for level in (*evidence.levels, evidence.other)]
        top = len(evidence.levels)  # splink numbers levels downwards, the else level being 0 and unknown -1
        said = {top - place: word for place, word in enumerate(words)}
        reported.append(pl.col(f"gamma_{evidence.name}").replace_strict(said, default=None, return_dtype=pl.String))
    return pl.concat_list(reported).list.drop_nulls().list.join("; ")
