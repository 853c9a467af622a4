"""Known exceptions: rows that break a rule and are accepted until a date, because a person reviewed them.

Belongs here: reading and checking `waivers.yml`. Does not: accepting rows (quarantine.py). A rule is never weakened
for a row: the row still fails it, is counted as waived and named in `quality.waivers`, and is quarantined
again after that date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from expectations.contracts import Contract, contract_names
from expectations.rules import ContractError

FILE = Path(__file__).parent / "waivers.yml"
LONGEST_DAYS = 366  # a longer waiver needs a new approval


class Waiver(BaseModel):
    """One entry: which rows of which rule, who allowed it, why, until when (that day included)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rule_id: str
    institution: str | None = None
    record_keys: tuple[str, ...] = ()
    approved_by: str = Field(min_length=3)
    why_es: str = Field(min_length=10)
    added_on: dt.date
    valid_until: dt.date

    @model_validator(mode="after")
    def _bounded(self) -> Waiver:
        if not self.institution and not self.record_keys:
            raise ValueError(f"{self.rule_id}: a waiver names rows (record_keys) or an institution, never everybody")
        if not self.added_on <= self.valid_until <= self.added_on + dt.timedelta(days=LONGEST_DAYS):
            raise ValueError(f"{self.rule_id}: valid_until lies within {LONGEST_DAYS} days after added_on")
        return self

    @property
    def contract(self) -> str:
        """Name of the contract that holds the rule."""
        return self.rule_id.split(".")[0]


def read_waivers() -> list[Waiver]:
    """All entries of the file, expired ones too. Raises ContractError with what is wrong with which entry."""
    entries = yaml.load(FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or []
    try:
        waivers = [Waiver.model_validate(entry) for entry in entries]
    except ValidationError as error:
        raise ContractError(f"{FILE.name}: {error}") from error
    if unknown := sorted({w.rule_id for w in waivers} - {w.rule_id for w in waivers if w.contract in contract_names()}):
        raise ContractError(f"{FILE.name}: {unknown} name no contract; there are {contract_names()}")
    return waivers


def in_force(waivers: Sequence[Waiver], contract: Contract, as_of: dt.date) -> list[Waiver]:
    """Entries that are valid for a contract on a day. Raises ContractError for a rule that no row can break."""
    rules = {rule.rule_id: rule for rule in contract.rules}
    ours = [w for w in waivers if w.contract == contract.name]
    for waiver in ours:
        if waiver.rule_id not in rules or rules[waiver.rule_id].level != "row":
            raise ContractError(f"{FILE.name}: {waiver.rule_id} is no row rule of {contract.name}.odcs.yml")
    return [w for w in ours if w.added_on <= as_of <= w.valid_until]
