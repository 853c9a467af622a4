"""The entity-relationship diagram of the core tables, from the .yml beside them.

Belongs here: what the diagram shows. Does not: drawing it (the program d2, from its wheel).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from dbt_like_sql.descriptions import Column, Description
from dbt_like_sql.runner import load_models

DIAGRAM = Path("restoration") / "exports" / "templates" / "model.svg"
_PROGRAMME = Path(sys.executable).with_name("d2")
_MEASURES = ("_ha", "_pen")


def diagram_source() -> str:
    """The diagram in the language of d2: core tables that are tied to another, their keys and measures."""
    tables = {name: model.about for name, model in load_models().items() if name.startswith("core.")}
    tied = {c.references.rpartition(".")[0] for about in tables.values() for c in about.columns if c.references}
    tied |= {name for name, about in tables.items() if any(c.references for c in about.columns)}
    lines = ["direction: right"]
    for name in sorted(tied):
        about = tables[name]
        pointed = {
            c.references.rpartition(".")[2]
            for t in tables.values()
            for c in t.columns
            if c.references and c.references.startswith(f"{name}.")
        }
        lines.append(f"{_plain(name)}: {{\n  shape: sql_table")
        lines += [
            f"  {c.name}: {c.type.split('(')[0]}{_constraint(c.references, c.name in pointed)}"
            for c in _shown(about, pointed)
        ]
        lines.append("}")
    for name in sorted(tied):
        lines += [
            f"{_plain(name)}.{c.name} -> {_plain(c.references.rpartition('.')[0])}.{c.references.rpartition('.')[2]}"
            for c in tables[name].columns
            if c.references
        ]
    return "\n".join(lines) + "\n"


def _plain(table: str) -> str:
    return table.removeprefix("core.")


def _shown(about: Description, pointed: set[str]) -> list[Column]:
    return [c for c in about.columns if c.references or c.name in pointed or c.name.endswith(_MEASURES)]


def _constraint(references: str | None, is_pointed: bool) -> str:
    if is_pointed:
        return " {constraint: primary_key}"
    return " {constraint: foreign_key}" if references else ""


def draw_diagram() -> str:
    """The diagram as SVG."""
    with tempfile.TemporaryDirectory() as folder:
        source, drawn = Path(folder) / "model.d2", Path(folder) / "model.svg"
        source.write_text(diagram_source(), encoding="utf-8")
        subprocess.run(  # noqa: S603 - our own program with our own file
            [str(_PROGRAMME), "--layout=elk", "--pad=16", "--theme=0", str(source), str(drawn)],
            check=True,
            capture_output=True,
            timeout=120,
        )
        return drawn.read_text(encoding="utf-8")
