"""The spending suite on five million lines, beside one query written by hand and beside the same suite on pandas.

Belongs here: wall time and peak memory of the checks. Does not: files (files.py) or whole nights (nightly.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

from dbt_like_sql.seeds import read_seed

ROWS = 5_000_000
TABLE = "staging.stg_mef__spending"

# one line in a thousand or so breaks each rule
_LINES = """
create table staging.stg_mef__spending as
select
    lines.* replace (
        lines.line_key || '|' || lines.i as line_key,
        if(lines.chance % 1009 = 1, '144', lines.programme_code) as programme_code,
        if(lines.chance % 1013 = 2, null, lines.executing_unit_code) as executing_unit_code,
        if(lines.chance % 1019 = 3, null, lines.initial_pen) as initial_pen,
        if(lines.chance % 1021 = 4, lines.accrued_pen + 1, lines.accrued_pen) as accrued_pen,
        if(lines.chance % 1031 = 5, '77', lines.department_ubigeo) as department_ubigeo,
        if(lines.chance % 1033 = 6, '3000', lines.product_code) as product_code,
        if(lines.chance % 1039 = 7, 'X', lines.government_level) as government_level,
        if(lines.chance % 1049 = 8, '9', lines.activity_or_project) as activity_or_project,
        if(lines.chance % 1051 = 9, lines.file_year - 1, lines.fiscal_year) as fiscal_year,
        if(lines.chance % 1061 = 10, '[dato personal retirado]', lines.activity_name) as activity_name
    )
from (
    select sandbox_lines.*, copies.i, hash(sandbox_lines.line_key, copies.i) as chance
    from sandbox.staging.stg_mef__spending as sandbox_lines
    cross join range(?) as copies(i)
    limit ?
) as lines
"""

# written by hand, one pass for the conditions and one for the key; the names are the rules'
HAND = r"""
select
    count(*) = 0,
    count(*) filter (where programme_code is null
        or programme_code not in ('0068', '0072', '0089', '0121', '0130', '0144')),
    count(*) filter (where fiscal_year is distinct from file_year),
    count(*) filter (where initial_pen is null or modified_pen is null or certified_pen is null or committed_pen is null
        or accrued_pen is null or paid_pen is null),
    count(*) filter (where abs(accrued_pen - accrued_of_months_pen) > 0.01),
    count(*) filter (where is_exact_copy),
    count(*) filter (where department_ubigeo is not null and not regexp_full_match(department_ubigeo, '0[1-9]|1[0-9]|2[0-5]')),
    count(*) filter (where department_ubigeo is null),
    count(*) filter (where not coalesce(regexp_full_match(product_code, '\d{7}'), false)),
    (select coalesce(sum(n), 0) from (select count(*) as n from staging.stg_mef__spending group by line_key having n > 1)),
    count(*) filter (where coalesce(government_level, '') not in ('E', 'R', 'M')),
    count(*) filter (where executing_unit_code is null),
    count(*) filter (where coalesce(activity_or_project, '') not in ('2', '3')),
    count(*) filter (where contains(concat_ws(' ', government_level, activity_or_project, executing_unit_sequence, executing_unit_name,
        functional_sequence, programme_name, programme_code_by_name, product_name, activity_name, funding_source, funding_item, resource_type,
        expense_category, transaction_type), '[dato personal retirado]'))
from staging.stg_mef__spending
"""

_SUITE = """
import json, sys, time
from pathlib import Path
import great_expectations
from benchmarks.memory import peak_mib
from benchmarks.quality import TABLE, connected
from expectations.contracts import read_contract
from expectations.suites import run_suite
contract = read_contract("spending")
con = connected(Path(sys.argv[1]))
started = time.monotonic()
run = run_suite(con, TABLE, contract.key, contract.rules)
seconds = time.monotonic() - started
print(json.dumps([seconds, peak_mib(), {c.rule.rule_id: c.rows_failed for c in run.counted}]))
"""
_HAND = """
import json, sys, time
from pathlib import Path
from benchmarks.memory import peak_mib
from benchmarks.quality import HAND, connected
con = connected(Path(sys.argv[1]))
started = time.monotonic()
row = con.execute(HAND).fetchone()
print(json.dumps([time.monotonic() - started, peak_mib(), [int(n) for n in row]]))
"""
# what the SQL rules say becomes a column of booleans each: pandas has no SQL
_PANDAS = r"""
import json, sys, time
from pathlib import Path
import great_expectations as gx
import great_expectations.expectations as gxe
import logging
from benchmarks.memory import peak_mib
from benchmarks.quality import connected
from dbt_like_sql.seeds import read_seed
con = connected(Path(sys.argv[1]))
amounts = ["initial_pen", "modified_pen", "certified_pen", "committed_pen", "accrued_pen", "paid_pen"]
columns = ["line_key", "fiscal_year", "file_year", "government_level", "executing_unit_code", "programme_code",
           "activity_or_project", "product_code", "department_ubigeo", "is_exact_copy",
           *(f"{a}::double as {a}" for a in amounts), "accrued_of_months_pen::double as of_months", "activity_name"]
frame = con.execute(f"select {', '.join(columns)} from staging.stg_mef__spending").df()
con.close()
loaded = peak_mib()
started = time.monotonic()
six = read_seed("programmes").filter(read_seed("programmes")["is_restoration_programme"])["programme_code"].to_list()
known = {f"{n:02d}" for n in range(1, 26)}
frame["wrong_year"] = frame["fiscal_year"] != frame["file_year"]
frame["no_amount"] = frame[amounts].isna().any(axis=1)
frame["wrong_sum"] = (frame["accrued_pen"] - frame["of_months"]).abs() > 0.01
frame["wrong_department"] = frame["department_ubigeo"].notna() & ~frame["department_ubigeo"].isin(known)
frame["no_department"] = frame["department_ubigeo"].isna()
frame["person"] = frame["activity_name"].str.contains("[dato personal retirado]", regex=False)
frame["short_product"] = ~frame["product_code"].str.fullmatch(r"\d{7}").fillna(False).astype(bool)
context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
batch = (context.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
         .get_batch(batch_parameters={"dataframe": frame}))
suite = gx.ExpectationSuite(name="spending")
suite.add_expectation(gxe.ExpectTableRowCountToBeBetween(min_value=1))
suite.add_expectation(gxe.ExpectColumnValuesToBeInSet(column="programme_code", value_set=six))
for name in ("wrong_year", "no_amount", "wrong_sum", "is_exact_copy", "wrong_department", "no_department", "short_product"):
    suite.add_expectation(gxe.ExpectColumnValuesToBeInSet(column=name, value_set=[False]))
suite.add_expectation(gxe.ExpectColumnValuesToBeUnique(column="line_key"))
suite.add_expectation(gxe.ExpectColumnValuesToBeInSet(column="government_level", value_set=["E", "R", "M"]))
suite.add_expectation(gxe.ExpectColumnValuesToNotBeNull(column="executing_unit_code"))
suite.add_expectation(gxe.ExpectColumnValuesToBeInSet(column="activity_or_project", value_set=["2", "3"]))
suite.add_expectation(gxe.ExpectColumnValuesToBeInSet(column="person", value_set=[False]))
results = batch.validate(suite, result_format="SUMMARY").results
counts = [int((r.result or {}).get("unexpected_count") or 0) for r in results]
print(json.dumps([time.monotonic() - started, peak_mib(), counts, loaded]))
"""


def connected(path: Path) -> duckdb.DuckDBPyConnection:
    """The file of lines, with the seeds that rules compare with."""
    from resources.warehouse import connect

    con = connect(path)
    con.execute("attach ':memory:' as seeds")
    for seed in ("programmes", "districts_inei_2025"):
        con.register("frame", read_seed(seed).to_arrow())
        con.execute(f"create table seeds.{seed} as from frame")
        con.unregister("frame")
    return con


def make_lines(path: Path, rows: int, night: Path) -> None:
    """The sandbox's lines after one night, over and over, some of each broken."""
    with duckdb.connect(str(path), config={"storage_compatibility_version": "v1.5.0"}) as con:
        con.execute("create schema staging")
        con.execute(f"attach '{night / 'warehouse' / 'restauracion.duckdb'}' as sandbox (read_only)")
        there = con.execute("select count(*) from sandbox.staging.stg_mef__spending").fetchone() or (1,)
        con.execute(_LINES, [-(-rows // there[0]), rows])
        con.execute("alter table staging.stg_mef__spending drop column i")
        con.execute("alter table staging.stg_mef__spending drop column chance")
        con.execute("detach sandbox")


def _best(code: str, path: Path, runs: int) -> list:  # type: ignore[type-arg]
    command = [sys.executable, "-c", code, str(path)]
    received = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        for _ in range(runs)
    ]
    return min(received, key=lambda c: float(c[0]))


def measure(night: Path, rows: int, tries: int) -> None:
    """Print seconds, ratios and peak memory, after checking that all three count the same."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        path = Path(scratch) / "lines.duckdb"
        make_lines(path, rows, night)
        print(f"\nspending suite: {rows:,} lines, {path.stat().st_size / 1e6:.0f} MB")
        ours, hand = _best(_SUITE, path, tries), _best(_HAND, path, tries)
        theirs = _best(_PANDAS, path, 1)
        counts = list(ours[2].values())
        for (rule, mine), by_hand, pandas in zip(ours[2].items(), hand[2], theirs[2], strict=True):
            print(
                f"  {rule:75} {mine:>9,}"
                + ("" if mine == by_hand == pandas else f"   by hand {by_hand:,}, pandas {pandas:,}")
            )
        if counts != hand[2]:
            raise SystemExit("the suite and the query written by hand count differently")
        print(f"Great Expectations in DuckDB {ours[0]:7.2f} s   peak {ours[1]:,.0f} MiB   (best of {tries})")
        print(
            f"one query written by hand    {hand[0]:7.2f} s   peak {hand[1]:,.0f} MiB   ratio {ours[0] / hand[0]:.2f}"
        )
        print(
            f"the same suite on pandas     {theirs[0]:7.2f} s   peak {theirs[1]:,.0f} MiB   ratio {theirs[0] / ours[0]:.1f}"
            f"   (loading the frame, {theirs[3]:,.0f} MiB, not counted)"
        )
