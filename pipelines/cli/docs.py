"""`make docs`: a page a source institution, from its register, and the protocol from its contracts.

Belongs here: writing docs/sources, the list of assumptions and the diagram of the model. Does not: anything a person writes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from assets.keys import raw_key, table_key
from dbt_like_sql.runner import load_models
from pipelines.cli.model_diagram import DIAGRAM, draw_diagram
from pipelines.cli.protocol_docs import protocol_pages
from restoration.sources.register import ROOT, Register, SourceLayer, all_layers, all_registers

_BEGIN, _END = "<!-- made from the registers by `make docs` -->\n", "<!-- end -->"


def pages(root: Path) -> dict[Path, str]:
    """Every generated page by its path."""
    folder = root / "docs" / "sources"
    by_institution: dict[str, list[SourceLayer]] = {}
    for layer in all_layers().values():
        by_institution.setdefault(layer.institution, []).append(layer)
    created = {
        folder / f"{name}.md": _page(all_registers()[name], layers) for name, layers in sorted(by_institution.items())
    }
    assumptions = root / "docs" / "assumptions.md"
    created |= {folder / "README.md": _index(by_institution), assumptions: _assumptions(assumptions)}
    return created | protocol_pages(root) | {root / DIAGRAM: draw_diagram()}


def _index(by_institution: dict[str, list[SourceLayer]]) -> str:
    lines = [
        "# Sources",
        "",
        (
            "Made from `restoration/sources/registers/*.yml` by `make docs`; change the register, not these pages. When each was last fetched, "
            "changed and failed is in the table `quality.source_status` of the published file."
        ),
        "",
        "| source | what | how | cadence | page |",
        "|---|---|---|---|---|",
    ]
    for institution, layers in sorted(by_institution.items()):
        lines += [
            f"| `{x.source}` | {x.title_en} | {x.read_as} | {x.cadence} | [{institution}]({institution}.md) |"
            for x in layers
        ]
    return "\n".join(lines) + "\n"


def _page(register: Register, layers: Sequence[SourceLayer]) -> str:
    lines = [
        f"# {register.name_es}",
        "",
        "Made from the register by `make docs`; change the register, not this page.",
        "",
        f"- Licence: {register.licence}",
        f"- Disclaimer (carried with every row's source): {register.disclaimer}",
    ]
    for host, about in sorted(register.hosts.items()):
        said = [f"at most {about.connections} connections"]
        said += [f"{about.pause_seconds:g} s between requests"] if about.pause_seconds else []
        said += [f"its own authority {about.ca_file}"] if about.ca_file else []
        lines.append(f"- Host `{host}`: {', '.join(said)}")
    for layer in layers:
        lines += ["", *_section(layer)]
    return "\n".join(lines) + "\n"


def _section(layer: SourceLayer) -> list[str]:
    models = [t for t, m in load_models().items() if f"raw.{layer.table}" in m.inputs]
    contracts = sorted({str(load_models()[t].about.contract) for t in models if load_models()[t].about.contract})
    facts = {
        "Título": layer.title_es,
        "Address": layer.url
        if not layer.url_from_year
        else ", ".join(f"from {y}: `{u}`" for y, u in layer.url_from_year.items()),
        "Read as": layer.read_as + (f", layer `{layer.layer_name}`" if layer.layer_name else ""),
        "Parts": "one a fiscal year"
        if layer.is_by_fiscal_year
        else "one a year, part or file found"
        if layer.is_in_parts
        else "one",
        "Cadence": layer.cadence,
        "Rows may shrink by": f"{layer.allowed_shrink:.0%}",
        "Without it": "no release" if layer.is_essential else "its tables are empty until it is read once",
        "Ubigeo system": layer.ubigeo_system,
        "Vintage": layer.vintage or "not said",
        "Raw asset": f"`{raw_key(layer).to_user_string()}`",
        "Staging": ", ".join(f"`{table_key(t).to_user_string()}`" for t in models),
        "Protocol": ", ".join(f"`{c}`" for c in contracts)
        or "initiatives and areas, through `std_initiatives` and `std_areas`, or the rules of the tables below",
        "A file instead of the server": f"`inbox/fuentes/{layer.source}/`"
        if not layer.is_submitted
        else "is what it reads",
        "**Assumed**": layer.assumed or "nothing",
    }
    return [
        f"## `{layer.source}` — {layer.title_en}",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in facts.items()),
        "",
        "Fields (ours: theirs; `?` may be missing): " + ", ".join(f"{ours}: `{t}`" for ours, t in layer.fields.items()),
    ]


def _assumptions(path: Path) -> str:
    """The page with its list of the registers' assumptions regenerated."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    table = ["| source | assumed |", "|---|---|"]
    table += [f"| {layer.source} | {layer.assumed} |" for layer in all_layers().values() if layer.assumed]
    return before + _BEGIN + "\n".join(table) + "\n" + _END + after


def main() -> int:
    """Write every page."""
    for path, text in pages(ROOT).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
