"""Rules that matter are tests: import direction, environment variables, descriptions, words in one place."""

from __future__ import annotations

import ast
import datetime as dt
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from dbt_like_sql.runner import engine_tables, load_models
from dbt_like_sql.seeds import read_seed, seed_description, seed_names
from expectations.contracts import PROTOCOL, contract_names, read_contract
from expectations.rules import DIMENSIONS
from restoration.sources.register import all_layers

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipelines", "assets", "restoration", "resources", "expectations", "dbt_like_sql", "sandbox")


def modules(*places: str) -> list[Path]:
    found = []
    for place in places:
        path = ROOT / place
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return found


def test_imports_keep_their_contracts() -> None:
    """As pyproject.toml has them: downwards alone, and the domain without Dagster, through others too."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "3 kept, 0 broken" in done.stdout


def test_the_pipeline_never_reads_the_truth() -> None:
    for path in modules("pipelines", "assets", "restoration", "resources", "expectations", "dbt_like_sql"):
        assert "truth" not in ast.unparse(ast.parse(path.read_text())).replace("taken for the truth", "")


def test_a_module_opens_with_what_belongs_here_and_what_does_not() -> None:
    for path in modules(*PACKAGES):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert docstring, path
        if path.name != "__init__.py" and path.parent.name != "servers":
            assert "Belongs here:" in docstring, path.relative_to(ROOT)
            assert "Does not" in docstring, path.relative_to(ROOT)


def test_every_environment_variable_is_in_the_example_and_in_the_docs() -> None:
    pattern = re.compile(r"\b(?:RESTAURACION|DAGSTER|GX)_[A-Z_]+\b")
    used = {
        name
        for path in [*modules(*PACKAGES, "benchmarks"), ROOT / "Makefile"]
        for name in pattern.findall(path.read_text())
    }
    example = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    documented = set(pattern.findall((ROOT / "docs" / "settings.md").read_text()))
    prefixes = {name for name in used if name.endswith("_")}  # then an institution's name
    for names in (example, documented):
        assert all(any(name.startswith(prefix) for name in names) for prefix in prefixes)
        plain = {n for n in used if not n.startswith(tuple(prefixes))}
        assert plain == {n for n in names if not n.startswith(tuple(prefixes))}


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for requirement in declared:
        line = next(x for x in lines if f'"{requirement}"' in x)
        assert re.search(r"#\s+\S+ \S+", line), f"{requirement} has no reason beside it"


def test_definitions_are_valid_load_without_great_expectations_and_keep_what_they_make_private() -> None:
    code = (
        "import os, sys, dagster as dg\nfrom pipelines.definitions import defs\n"
        "d = defs() if callable(defs) else defs\ndg.Definitions.validate_loadable(d)\n"
        "assert 'great_expectations' not in sys.modules\n"
        "assert os.umask(0) == 0o027, 'sensors write incidents'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_dagster_validates_the_workspace(tmp_path: Path) -> None:
    import os

    env = os.environ | {"DAGSTER_HOME": str(tmp_path), "RESTAURACION_DATA_DIR": str(tmp_path / "data")}
    dagster = Path(sys.executable).with_name("dagster")
    done = subprocess.run(
        [dagster, "definitions", "validate", "-w", "workspace.yaml"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "All code locations passed validation" in done.stdout + done.stderr


def test_dg_checks_the_definitions() -> None:
    dg = Path(sys.executable).with_name("dg")
    done = subprocess.run([dg, "check", "defs"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "All definitions loaded successfully" in done.stdout + done.stderr


def test_every_asset_has_owner_kind_group_and_description() -> None:
    from pipelines.definitions import build_definitions
    from pipelines.settings import Settings

    definitions = build_definitions(Settings.from_env({"RESTAURACION_FISCAL_YEAR": "2025"}))
    specs = list(definitions.resolve_all_asset_specs())
    assert len(specs) > 35
    for spec in specs:
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        assert spec.group_name in {"raw", "staging", "core", "marts", "quality", "publish", "exports"}, spec.key
        assert len(spec.description or "") > 60, spec.key
    for name, cron in {"nightly_lima": "0 2 * * 1-6", "weekly_lima": "0 2 * * 0"}.items():
        schedule = definitions.resolve_schedule_def(name)
        assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, "America/Lima")


@pytest.mark.parametrize(
    ("name", "day", "is_known", "first", "refresh"),
    [
        ("nightly_lima", dt.date(2025, 6, 10), True, "2025", "due"),
        ("nightly_lima", dt.date(2025, 2, 10), True, "2024", "due"),  # the year before is still being closed
        ("nightly_lima", dt.date(2025, 6, 10), False, "2020", "due"),  # its closed years were never read
        ("weekly_lima", dt.date(2025, 6, 15), True, "2020", "all"),
    ],
)
def test_a_schedule_asks_for_the_years_and_sources_of_its_day(
    tmp_path: Path, name: str, day: dt.date, is_known: bool, first: str, refresh: str
) -> None:
    import dagster as dg

    from pipelines.definitions import build_definitions
    from pipelines.settings import Settings

    env = {"RESTAURACION_FISCAL_YEAR": "2025", "RESTAURACION_DATA_DIR": str(tmp_path)}
    definitions = build_definitions(Settings.from_env(env))
    if is_known:
        for layer in all_layers().values():
            for year in range(2020, 2026) if layer.is_by_fiscal_year else ():
                home = tmp_path / "snapshots" / layer.institution / layer.name / str(year)
                home.mkdir(parents=True)
                (home / "ledger.jsonl").write_text('{"at": "2025-01-01T00:00:00+00:00", "outcome": "failed"}\n')
    with dg.DagsterInstance.ephemeral() as instance:
        moment = dt.datetime(day.year, day.month, day.day, 7, tzinfo=dt.UTC)
        context = dg.build_schedule_context(instance, scheduled_execution_time=moment)
        tick = definitions.resolve_schedule_def(name).evaluate_tick(context)
        (request,) = tick.run_requests or []
        job = definitions.resolve_job_def("nightly")
        run = instance.create_run_for_job(job, tags=request.tags, run_config=request.run_config)
    assert run.tags["dagster/asset_partition_range_start"] == first
    assert run.tags["dagster/asset_partition_range_end"] == "2025"
    assert run.run_config["ops"]["source_layers"]["config"] == {"refresh": refresh}
    dg.validate_run_config(job, run.run_config)


def test_core_and_marts_never_read_quarantined_rows() -> None:
    """Core and marts read `accepted.` of a table under a quarantining contract; quality compares with what was received."""
    models = load_models()
    guarded = {t for t, m in models.items() if m.about.contract and read_contract(m.about.contract).quarantines}
    for table, model in models.items():
        if table.startswith(("core.", "marts.")):
            assert not model.reads & guarded, f"{table} reads {model.reads & guarded}"


def test_every_contract_is_enforced_on_some_model() -> None:
    used = {m.about.contract for m in load_models().values() if m.about.contract}
    assert used == set(contract_names())


def test_every_mart_has_a_contract_that_blocks() -> None:
    """What is published as a figure is checked against where it comes from."""
    marts = {t: m.about.contract for t, m in load_models().items() if t.startswith("marts.")}
    assert [t for t, contract in marts.items() if not contract] == []
    assert [t for t, c in marts.items() if not any(rule.is_blocking for rule in read_contract(str(c)).rules)] == []


def test_a_column_of_the_protocol_is_described_by_its_contract_alone() -> None:
    for table, model in load_models().items():
        if model.about.contract:
            path = ROOT / "dbt_like_sql" / f"{table.replace('.', '/')}.yml"
            written = {c["name"]: c for c in yaml.safe_load(path.read_text())["columns"]}
            fields = {f.name for f in read_contract(model.about.contract).fields}
            if model.about.contract in PROTOCOL:
                assert fields <= set(written), f"{table} lacks {fields - set(written)}"
                assert not [n for n in fields if "es" in written[n]], f"{table} describes what its contract describes"


def test_the_protocol_says_everything_of_every_column_and_rule() -> None:
    for name in PROTOCOL:
        contract = read_contract(name)
        assert contract.title_en
        assert contract.purpose_es
        assert contract.grain_es
        for field in contract.fields:
            assert all((field.title_es, field.title_en, field.meaning_es, field.meaning_en, field.type)), field
            assert field.requirement != "conditional" or (field.when_es and field.when_en), field
        enforced = yaml.safe_load((ROOT / "expectations" / "protocol" / f"{name}.odcs.yml").read_text())["schema"][0][
            "properties"
        ]
        named = {p["value"] for c in enforced for p in c["customProperties"] if p["property"] == "required_by"}
        assert named <= {rule.name for rule in contract.rules}, "a column is required by a rule that does not exist"
        for rule in contract.rules:
            assert all((rule.why_es, rule.why_en, rule.dimension in DIMENSIONS)), rule


def test_every_source_is_held_to_the_protocol() -> None:
    """Each raw table is read by a staging model that has a contract, or whose rows go on into one that has."""
    models = load_models()

    def held(table: str) -> bool:
        readers = [t for t, m in models.items() if t.startswith("staging.") and table in m.needs]
        return any(models[t].about.contract or held(t) for t in readers)

    assert [layer.source for layer in all_layers().values() if not held(f"raw.{layer.table}")] == []


def test_seeds_have_the_columns_they_describe() -> None:
    for name in seed_names():
        frame = read_seed(name)
        assert frame.height > 0
        assert seed_description(name)["source"]


def test_code_lists_in_contracts_are_columns_of_seeds() -> None:
    lists = [f.code_list for n in contract_names() for f in read_contract(n).fields if f.code_list]
    lists += [
        f.choices for n in contract_names() for f in read_contract(n).fields if isinstance(f.choices, str) and f.choices
    ]
    assert len(lists) > 8
    for named in lists:
        seed, column = named.split(".")
        assert read_seed(seed)[column].null_count() == 0, named


def test_the_pages_of_the_sources_are_those_of_the_registers() -> None:
    from pipelines.cli.docs import pages

    for path, text in pages(ROOT).items():
        assert path.exists(), f"{path.name} is missing: make docs"
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not what its register says: make docs"
    written = {*(ROOT / "docs" / "sources").glob("*.md"), *(ROOT / "docs" / "protocol").rglob("*.md")}
    assert written <= set(pages(ROOT)), "a page without a register or a contract"


def test_every_assumption_is_listed_in_one_place() -> None:
    listed = (ROOT / "docs" / "assumptions.md").read_text()
    for layer in all_layers().values():
        if layer.assumed:
            assert layer.source in listed, f"{layer.source} assumes names that docs/assumptions.md does not list"


def test_the_same_quantity_has_the_same_type_everywhere() -> None:
    types: dict[str, dict[str, str]] = {}
    tables = {t: m.about for t, m in load_models().items()} | engine_tables()
    for table, about in tables.items():
        for column in about.columns:
            types.setdefault(column.name, {})[table] = column.type
            if column.name.endswith("_pen") and "month" not in column.name:
                assert column.type == "decimal(18,2)", f"{table}.{column.name}"
            if column.name.endswith("ubigeo") or column.name.endswith("_code"):
                assert column.type == "varchar", f"{table}.{column.name}"
            if column.name.endswith("_at"):
                assert column.type == "timestamp with time zone", f"{table}.{column.name}"
    mixed = {n: set(by.values()) for n, by in types.items() if len(set(by.values())) > 1}
    assert mixed == {}
