"""The protocol as pages that an institution can read and sign: docs/protocol, in Spanish and in English.

Belongs here: pages generated from the contracts and the code lists. Does not: anything a person writes (in the two
README.md only the list of contracts is generated).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dbt_like_sql.runner import load_models
from dbt_like_sql.seeds import read_seed, seed_description
from expectations.contracts import PROTOCOL, Contract, Field, contract_names, read_contract
from expectations.rules import DIMENSIONS, Rule

BEGIN, END = "<!-- made from the contracts by `make docs` -->\n", "<!-- end -->"


@dataclass(frozen=True)
class Words:
    """What the pages of one language say around the contracts' own text."""

    language: str
    created: str
    version: str
    row: str
    held_to: str
    columns: str
    column_head: tuple[str, ...]
    rules: str
    rule_head: tuple[str, ...]
    thresholds: str
    threshold_head: tuple[str, ...]
    must: dict[str, str]
    when: str
    outcome: dict[str, str]
    dimension: dict[str, str]
    repair: str
    lists: str
    list_intro: str
    contract_head: tuple[str, ...]
    signed: str
    others: str


ES = Words(
    language="es",
    created="Esta página se genera desde el contrato `expectations/protocol/{name}.odcs.yml` con `make docs`; lo que rige es el contrato.",
    version="Versión",
    row="Una fila es",
    held_to="Se aplica a",
    columns="Datos que se entregan",
    column_head=("Columna", "Nombre", "Significado", "Tipo", "Unidad", "Lista", "¿Obligatorio?", "Ejemplo"),
    rules="Reglas",
    rule_head=("N.°", "Qué incumple la fila", "Por qué existe la regla", "Dimensión", "Consecuencia"),
    thresholds="Umbrales",
    threshold_head=("Umbral", "Valor", "Unidad", "De dónde sale"),
    must={"required": "Sí", "optional": "No", "computed": "La calcula el sistema"},
    when="Sí, si {when}",
    outcome={
        "critical row": "La fila no se suma: queda en cuarentena hasta que la fuente la corrija",
        "critical table": "No se publica nada hasta que se aclare",
        "warning": "La fila se acepta y se señala",
    },
    dimension=DIMENSIONS,
    repair="Qué hacer",
    lists="Listas de códigos",
    list_intro="Los códigos que el protocolo acepta. Se generan desde `dbt_like_sql/seeds` con `make docs`.",
    contract_head=("Contrato", "Qué describe", "Versión", "Reglas"),
    signed="Los seis contratos que una institución adopta:",
    others="Los que rigen las demás fuentes y lo que se publica:",
)
EN = Words(
    language="en",
    created="This page is made from the contract `expectations/protocol/{name}.odcs.yml` by `make docs`; the contract is what holds.",
    version="Version",
    row="One row is",
    held_to="Held to",
    columns="Data to deliver",
    column_head=("Column", "Name", "Meaning", "Type", "Unit", "List", "Required?", "Example"),
    rules="Rules",
    rule_head=("No.", "What the row breaks", "Why the rule is there", "Dimension", "Consequence"),
    thresholds="Thresholds",
    threshold_head=("Threshold", "Value", "Unit", "Where it is from"),
    must={"required": "Yes", "optional": "No", "computed": "Made by the system"},
    when="Yes, if {when}",
    outcome={
        "critical row": "The row is not added up: it stays in quarantine until the source mends it",
        "critical table": "Nothing is published until it is settled",
        "warning": "The row is accepted and pointed out",
    },
    dimension={name: name for name in DIMENSIONS},
    repair="What to do (in Spanish, as submitters read it)",
    lists="Code lists",
    list_intro="The codes that the protocol accepts. Made from `dbt_like_sql/seeds` by `make docs`.",
    contract_head=("Contract", "What it describes", "Version", "Rules"),
    signed="The six contracts that an institution adopts:",
    others="Those that govern the other sources and what is published:",
)


def protocol_pages(root: Path) -> dict[Path, str]:
    """Every generated page by its path."""
    created: dict[Path, str] = {}
    for words in (ES, EN):
        folder = root / "docs" / "protocol" / words.language
        created |= {folder / f"{name}.md": _contract_page(read_contract(name), words) for name in contract_names()}
        created[folder / "code-lists.md"] = _lists_page(words)
        created[folder / "README.md"] = _with_index(folder / "README.md", words)
    return created


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return [_row(head), "|" + "---|" * len(head), *(_row(r) for r in rows), ""]


def _contract_page(contract: Contract, words: Words) -> str:
    es = words.language == "es"
    tables = [t for t, m in load_models().items() if m.about.contract == contract.name]
    lines = [
        f"# {contract.title_es if es else contract.title_en.capitalize()}",
        "",
        words.created.format(name=contract.name),
        "",
        (contract.purpose_es if es else contract.purpose_en) or contract.purpose_en,
        "",
        f"- {words.version} {contract.version}",
    ]
    if grain := contract.grain_es if es else contract.grain_en.removeprefix("one row "):
        lines.append(f"- {words.row} {grain}")
    lines += [f"- {words.held_to} {', '.join(f'`{t}`' for t in tables)}", "", f"## {words.columns}", ""]
    lines += _table(words.column_head, [_column(field, words) for field in contract.fields])
    lines += [f"## {words.rules}", ""]
    lines += _table(
        words.rule_head, [_rule(number, rule, words) for number, rule in enumerate(contract.rules, start=1)]
    )
    if contract.thresholds:
        lines += [f"## {words.thresholds}", ""]
        lines += _table(
            words.threshold_head, [(f"`{t.name}`", f"{t.value:g}", t.unit, t.source) for t in contract.thresholds]
        )
    return "\n".join(lines).rstrip() + "\n"


def _column(field: Field, words: Words) -> tuple[str, ...]:
    es = words.language == "es"
    when = words.when.format(when=field.when_es if es else field.when_en)
    must = when if field.requirement == "conditional" else words.must[field.requirement]
    listed = field.code_list or (field.choices if isinstance(field.choices, str) else ", ".join(field.choices))
    name = f"`{field.name}`" + (f" (`{field.form_name}`)" if field.form_name else "")
    return (
        name,
        field.title_es if es else field.title_en,
        field.meaning_es if es else field.meaning_en,
        f"`{field.type}`",
        field.unit or "",
        f"[{listed}](code-lists.md)" if "." in listed else listed,
        must,
        field.example,
    )


def _rule(number: int, rule: Rule, words: Words) -> tuple[str, ...]:
    es = words.language == "es"
    kind = "warning" if rule.severity == "warning" else f"critical {rule.level}"
    broken = rule.reason_es if es else rule.reason_en.rstrip(".")
    repair = f" *{words.repair}: {rule.mend_es}*" if rule.mend_es else ""
    return (
        str(number),
        f"**{broken}.**{repair} <br>`{rule.rule_id}`",
        rule.why_es if es else rule.why_en,
        words.dimension[rule.dimension],
        words.outcome[kind],
    )


def _lists_page(words: Words) -> str:
    es = words.language == "es"
    fields = [f for name in PROTOCOL for f in read_contract(name).fields]
    named = [f.code_list for f in fields if f.code_list] + [f.choices for f in fields if isinstance(f.choices, str)]
    lines = [f"# {words.lists}", "", words.list_intro, ""]
    for seed in sorted({n.split(".")[0] for n in named if n}):
        about = seed_description(seed)
        frame = read_seed(seed)
        lines += [f"## `{seed}`", "", f"{about['description'][words.language]}. {about['source']}.", ""]
        head = [c["es"] if es else c["en"] for c in about["columns"]]
        rows = frame.with_columns(pl.all().cast(pl.String).fill_null("")).rows()
        lines += _table(head, rows)
    return "\n".join(lines).rstrip() + "\n"


def _with_index(path: Path, words: Words) -> str:
    """The page a person wrote, with its list of contracts regenerated."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    es = words.language == "es"

    def listed(names: Sequence[str]) -> list[str]:
        found = [read_contract(name) for name in names]
        return _table(
            words.contract_head,
            [
                (
                    f"[{c.title_es if es else c.title_en.capitalize()}]({c.name}.md)",
                    (c.purpose_es if es else c.purpose_en) or c.purpose_en,
                    c.version,
                    len(c.rules),
                )
                for c in found
            ],
        )

    others = [name for name in contract_names() if name not in PROTOCOL]
    lines = [words.signed, "", *listed(PROTOCOL), words.others, "", *listed(others)]
    return before + BEGIN + "\n".join(lines).rstrip() + "\n" + END + after
