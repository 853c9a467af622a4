"""The steps core.record_links and core.initiative_ids.

Belongs here: what they read from the build and what they return. Does not: how pairs are settled or ids kept.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from dbt_like_sql.step import Step
from resources.warehouse import register_frame
from restoration.linkage import identity, links
from restoration.linkage.decisions import DecisionStore

_HERE = Path(__file__).parent
_CODE = sorted(p for p in _HERE.iterdir() if p.suffix in {".py", ".json"})


class LinkageStep(Step):
    """A step that any code of linkage, or the model, changes."""

    @property
    def code(self) -> Sequence[Path]:
        """All of this folder."""
        return _CODE


@dataclass(frozen=True)
class RecordLinks(LinkageStep):
    """Pairs of records, scored and settled."""

    decision_store: DecisionStore | None

    @property
    def about(self) -> dict[str, str]:
        """The model's weights, as a table's worth of words and a picture that needs no network."""
        known = json.loads((_HERE / "model.json").read_text(encoding="utf-8"))
        picture = base64.b64encode((_HERE / "model.png").read_bytes()).decode()
        return {
            "model": f"Version `{known['version']}`, learnt on {known['trained_on']}: {known['record_count']} records,"
            f" {known['known_pair_count']} pairs that share a CUI",
            "match_weights": f"![match weights](data:image/png;base64,{picture})",
        }

    def problems(self) -> list[str]:
        """Decisions that were not understood; they stay in their file."""
        return self.decision_store.problems() if self.decision_store else []

    def fingerprint(self, con: duckdb.DuckDBPyConnection, as_of: dt.date) -> str:
        """Of the code, the model and the decisions, which are taken in here."""
        if self.decision_store:
            self.decision_store.absorb(con, as_of)
        return self.code_version + repr(sorted(DecisionStore.decisions(con).items()))

    def make(self, con: duckdb.DuckDBPyConnection, as_of: dt.date, query: str) -> str:  # noqa: ARG002
        """Score by splink, settle by decisions, rules and thresholds."""
        from restoration.linkage.model import (  # splink takes half a second to import, and is seldom needed
            LinkageModel,
            score,
        )

        model = LinkageModel.read()
        records = con.execute("from core.linkage_records order by record_key").to_arrow_table()
        reported = con.execute("select record_key, registry, source_record_id, cui from core.linkage_records").pl()
        limits = dict(con.execute("select threshold, probability from seeds.linkage_thresholds").fetchall())
        thresholds = links.Thresholds(limits["linked"], limits["review"])
        homes = {m.record_key: m.initiative_id for m in _decision_store(con) if m.until is None}
        settled = links.settle(reported, score(records, model), DecisionStore.decisions(con), thresholds, homes)
        register_frame(
            con, "made_record_links", settled.with_columns(model_version=pl.lit(model.version)), is_temporary=True
        )
        return "select * from made_record_links order by 1, 2"


class InitiativeIds(LinkageStep):
    """The registry of ids, with today's groups."""

    def make(self, con: duckdb.DuckDBPyConnection, as_of: dt.date, query: str) -> str:  # noqa: ARG002
        """Group what is linked, and continue the registry that the build file carries over."""
        records = con.execute(
            "select r.record_key, r.founds_initiative, coalesce(i.trust_order, 99) as trust_order"
            " from core.linkage_records as r left join seeds.institutions as i on r.source = i.institution_id"
        ).pl()
        linked = con.execute("select record_key_a, record_key_b from core.record_links where outcome = 'linked'").pl()
        created = identity.carried_on(identity.grouped(records, linked), _decision_store(con), as_of)
        frame = pl.DataFrame(
            [m.__dict__ for m in created],
            infer_schema_length=None,
            schema={
                "record_key": pl.String,
                "initiative_id": pl.String,
                "since": pl.Date,
                "came_by": pl.String,
                "until": pl.Date,
                "went_by": pl.String,
            },
        )
        register_frame(con, "made_initiative_ids", frame, is_temporary=True)
        return "select * from made_initiative_ids order by record_key, since"


def _decision_store(con: duckdb.DuckDBPyConnection) -> list[identity.Membership]:
    """Who held which id, as the build file carries it over from the previous release; nothing in a first release."""
    there = con.execute(
        "select 1 from duckdb_tables() where database_name = current_database() and schema_name = 'core'"
        " and table_name = 'initiative_ids'"
    ).fetchone()
    if not there:
        return []
    columns = "record_key, initiative_id, since, came_by, until, went_by"
    return [identity.Membership(*row) for row in con.execute(f"select {columns} from core.initiative_ids").fetchall()]
