"""The outcome of each pair of records: linked, apart, or to review.

Belongs here: people's decisions before rules before the model, and what prevents a link. Does not: scores (model.py),
names of initiatives (identity.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from restoration.linkage.clusters import Clusters

Pair = tuple[str, str]
SCHEMA = {
    "record_key_a": pl.String,
    "record_key_b": pl.String,
    "match_probability": pl.Float64,
    "outcome": pl.String,
    "decided_by": pl.String,
    "reason_es": pl.String,
    "reason_en": pl.String,
}


@dataclass(frozen=True)
class Thresholds:
    """Probabilities from which a pair is linked, and from which a person should look at it."""

    linked: float
    review: float


@dataclass(frozen=True)
class Proposal:
    """A pair that a person, a rule or the model proposes as one initiative."""

    pair: Pair
    decided_by: str  # person, rule or model
    probability: float | None
    es: str
    en: str


def settle(
    records: pl.DataFrame,
    scored: pl.DataFrame,
    decisions: Mapping[Pair, str],
    thresholds: Thresholds,
    homes: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """One row a pair that was looked at, with its outcome and why (`SCHEMA`).

    `records` has record_key, registry, source_record_id and cui; `scored` what model.score gives; `decisions` says `same` or
    `apart` of a pair; `homes` the initiative that a record was of in the release before. The most probable come first.
    The model never links two records of one registry: only a person or a CUI can say that it has an initiative twice.

    Linked records stay linked until the model scores them as apart: a revised target area changes a score by a few
    hundredths, and an initiative must not change its id for that.
    """
    apart = [pair for pair, decision in decisions.items() if decision == "apart"]
    clusters = Clusters(dict(records.select("record_key", "registry").iter_rows()), apart)
    by_person = {pair: decision for pair, decision in decisions.items() if all(record in clusters for record in pair)}
    rules = {p.pair: p for p in _rules(records)}
    model = {
        (a, b): Proposal((a, b), "model", p, es, en)
        for a, b, p, es, en in scored.sort(
            "match_probability", "record_key_a", "record_key_b", descending=[True, False, False]
        )
        .select("record_key_a", "record_key_b", "match_probability", "why_es", "why_en")
        .iter_rows()
    }
    known = homes or {}
    held = {p: proposal for p, proposal in model.items() if known.get(p[0], p[0]) == known.get(p[1], p[1])}
    held = {p: proposal for p, proposal in held.items() if (proposal.probability or 0) >= thresholds.review}
    new = [proposal for proposal in model.values() if (proposal.probability or 0) >= thresholds.linked]
    refused = _join(clusters, [*_same(by_person), *rules.values(), *held.values(), *new])
    rows = []
    for pair in sorted({*model, *rules, *by_person}):
        together, against = clusters.together(*pair), refused.get(pair)
        scored_pair = model.get(pair)
        probability = scored_pair.probability if scored_pair else None
        if decision := by_person.get(pair):
            outcome = "apart" if decision == "apart" else "linked" if together else "review"
            reported = ("person", *_with(against, *_SAID[decision]))
        elif rule := rules.get(pair):
            outcome = "linked" if together else "review"
            reported = ("rule", *_with(against, rule.es, rule.en))
        else:
            assert scored_pair is not None
            unsure = against is not None or (probability or 0) >= thresholds.review
            outcome = "linked" if together else "review" if unsure else "apart"
            reported = ("model", *_with(against, scored_pair.es, scored_pair.en))
        rows.append((*pair, probability, outcome, *reported))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _join(clusters: Clusters, proposals: Iterable[Proposal]) -> dict[Pair, tuple[str, str]]:
    """Join what is proposed, in this order; the pairs that something prevents, and the reason, in both languages.

    The reason refers to the final groups, so that it does not depend on the order of processing.
    """
    apart = []
    for proposal in proposals:
        pair, is_model = proposal.pair, proposal.decided_by == "model"
        if clusters.together(*pair):
            continue
        if clusters.kept_apart(*pair) or (is_model and clusters.same_registry(*pair)):
            apart.append(pair)
        else:
            clusters.join(*pair)
    return {pair: _against(clusters, pair) for pair in apart}


def _against(clusters: Clusters, pair: Pair) -> tuple[str, str]:
    if enemies := clusters.kept_apart(*pair):
        one, other = enemies
        return f"una persona mantiene aparte {one} y {other}", f"a person keeps {one} and {other} apart"
    registry = clusters.same_registry(*pair)
    return f"uniría dos registros de {registry}", f"would join two records of {registry}"


_SAID = {
    "same": ("decisión de una persona: es la misma", "a person's decision: the same"),
    "apart": ("decisión de una persona: es otra", "a person's decision: another one"),
}


def _with(against: tuple[str, str] | None, es: str, en: str) -> tuple[str, str]:
    return (f"{es}; pero {against[0]}", f"{en}; but {against[1]}") if against else (es, en)


def _same(decisions: Mapping[Pair, str]) -> Iterator[Proposal]:
    for pair, decision in sorted(decisions.items()):
        if decision == "same":
            yield Proposal(pair, "person", None, *_SAID["same"])


def _rules(records: pl.DataFrame) -> Iterator[Proposal]:
    """Same CUI, or one registry's id reported by another: plain numbers are no ids, every registry counts from one.

    Generic CUIs are not among the records' CUIs.
    """
    for one, other, cui, _, _ in _sharing(records, "cui"):
        yield Proposal((one, other), "rule", None, f"mismo CUI {cui}", f"same CUI {cui}")
    ids = records.filter(
        pl.col("source_record_id").str.contains(r"\d.*\d.*\d") & pl.col("source_record_id").str.contains(r"\p{L}{2}")
    )
    for one, other, own, here, there in _sharing(ids, "source_record_id"):
        if here != there:
            yield Proposal((one, other), "rule", None, f"mismo identificador {own}", f"same identifier {own}")


def _sharing(records: pl.DataFrame, column: str) -> list[tuple[str, str, str, str, str]]:
    """Pairs of records that report the same value: both keys, the value, both registries."""
    reported = records.drop_nulls(column).filter(pl.col(column).is_duplicated())
    return (
        reported.join(reported, on=column, suffix="_b")
        .filter(pl.col("record_key") < pl.col("record_key_b"))
        .select("record_key", "record_key_b", column, "registry", "registry_b")
        .sort("record_key", "record_key_b")
        .rows()
    )
