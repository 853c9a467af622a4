"""The linkage model: trained from pairs that share a CUI, saved beside this file, and applied by splink.

Belongs here: training, loading, scoring, the chart of weights. Does not: comparisons (evidence.py) or what follows (links.py).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
from splink import DuckDBAPI, Linker, block_on

from restoration.linkage import evidence

MODEL_FILE = Path(__file__).parent / "model.json"
CHART_FILE = MODEL_FILE.with_suffix(".png")
LOWEST = 0.02  # pairs below this probability are not kept
SEED = 2030
_SAMPLED_PAIRS = 2_000_000
_KNOWN_SHARE = 0.35  # of the pairs that are one initiative, those whose both records bear the CUI; sets the prior only
_SELDOM = 0.005  # a finding never seen in a few hundred known pairs is rare, not impossible
_SAME_CUI = (
    0.9  # known pairs share their CUI by choice, so this cannot be learnt from them: one initiative may have two
)
COLUMNS = [
    "record_key",
    "name_key",
    "name_words",
    "lead_key",
    "department_ubigeo",
    "places",
    "start_date",
    "is_year_only",
    "cui",
    "size_ha",
    "x_m",
    "y_m",
    "cells",
    "ground_shares",
    "ground_pairs",
]


@dataclass(frozen=True)
class LinkageModel:
    """Weights, and what they were learnt from."""

    version: str
    trained_on: str
    record_count: int
    known_pair_count: int
    settings: dict[str, Any]

    @classmethod
    def read(cls, path: Path = MODEL_FILE) -> LinkageModel:
        """The saved model."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path = MODEL_FILE) -> None:
        """Put it where `read` finds it."""
        path.write_text(json.dumps(self.__dict__, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def linker_over(records: pa.Table, settings: Any) -> Iterator[tuple[Linker, DuckDBAPI]]:
    """Splink in a database of its own: it leaves tables behind, and the build file is published."""
    logging.getLogger("splink").setLevel(logging.ERROR)
    with duckdb.connect() as con:
        con.execute("set enable_progress_bar = false")
        api = DuckDBAPI(con)
        frame = api.register(records.select(COLUMNS), dataset_display_name="records")
        yield Linker(frame, settings, log_level=None), api


def score(records: pa.Table, model: LinkageModel) -> pl.DataFrame:
    """Candidate pairs with their probability and findings: record_key_a < record_key_b, match_probability, why_es, why_en."""
    with linker_over(records, model.settings) as (linker, api):
        pairs = linker.inference.predict(threshold_match_probability=LOWEST).physical_name
        found: pl.DataFrame = api.duckdb_con.execute(
            f"select record_key_l, record_key_r, match_probability, columns('gamma_.*') from {pairs}"
        ).pl()
    left, right = pl.col("record_key_l"), pl.col("record_key_r")
    return found.select(
        pl.min_horizontal(left, right).alias("record_key_a"),
        pl.max_horizontal(left, right).alias("record_key_b"),
        "match_probability",
        evidence.in_words("es").alias("why_es"),
        evidence.in_words("en").alias("why_en"),
    )


def train(records: pa.Table, trained_on: str) -> LinkageModel:
    """Learn the weights: chance agreement from random pairs, agreement of one initiative from pairs that share a CUI."""
    named = pl.DataFrame(records.select(["record_key", "cui"])).drop_nulls()
    known = (
        named.join(named, on="cui", suffix="_r")
        .filter(pl.col("record_key") < pl.col("record_key_r"))
        .select(
            record_key_l="record_key",
            record_key_r="record_key_r",
            source_dataset_l=pl.lit("records"),
            source_dataset_r=pl.lit("records"),
        )
    )
    with linker_over(records, evidence.settings()) as (linker, api):
        linker.training.estimate_probability_two_random_records_match([block_on("cui")], recall=_KNOWN_SHARE)
        linker.training.estimate_u_using_random_sampling(max_pairs=_SAMPLED_PAIRS, seed=SEED)
        labels = api.register(known.to_arrow(), dataset_display_name="known")
        linker.training.estimate_m_from_pairwise_labels(labels)
        learnt = _smoothed(linker.misc.save_model_to_json())
    version = hashlib.sha256(json.dumps(learnt, sort_keys=True).encode()).hexdigest()[:10]
    return LinkageModel(version, trained_on, records.num_rows, known.height, learnt)


def _smoothed(settings: dict[str, Any]) -> dict[str, Any]:
    settings.pop("linker_uid", None)
    for comparison in settings["comparisons"]:
        levels = [level for level in comparison["comparison_levels"] if not level.get("is_null_level")]
        if comparison["output_column_name"] == "cui":
            levels[0]["m_probability"], levels[1]["m_probability"] = _SAME_CUI, 1 - _SAME_CUI
        for side, least in (("m_probability", _SELDOM), ("u_probability", 1e-6)):
            for level in levels:
                level[side] = max(level.get(side) or 0, least)
            total = sum(level[side] for level in levels)
            for level in levels:
                level[side] = round(level[side] / total, 8)
    return settings


def weights_chart(records: pa.Table, model: LinkageModel) -> bytes:
    """The chart of match weights as a PNG."""
    import vl_convert

    with linker_over(records.slice(0, 0), model.settings) as (linker, _):
        chart = linker.visualisations.match_weights_chart()
    return bytes(vl_convert.vegalite_to_png(chart.chart_dict, scale=1))
