"""Linkage of 50,000 records beside splink alone (scores and clusters, same settings), and as records grow.

Belongs here: scoring, settling and naming. Does not: the ground that records share (ground.py) or whole nights (nightly.py).
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.ground import exponent
from benchmarks.memory import peak_mib
from benchmarks.parts import run_part

RECORDS = 50_000

# copies of the sandbox's records, each in a country of its own: density and names stay as they are
_COPIES = """
copy (
    select
        r.record_key || '#' || n as record_key, r.source, r.registry, r.founds_initiative, r.source_record_id || '#' || n as source_record_id,
        r.name, list_append(r.name_words, 'pais' || n) as name_words, r.name_key || ' pais' || n as name_key, r.lead_key,
        r.ubigeo || '#' || n as ubigeo, r.department_ubigeo || '#' || n as department_ubigeo,
        list_transform(r.places, lambda p: p || '#' || n) as places, r.start_date, r.is_year_only,
        r.cui || '#' || n as cui, r.size_ha, r.x_m + n * 1e7 as x_m, r.y_m,
        list_transform(r.cells, lambda c: c || '#' || n) as cells,
        map(list_transform(map_keys(r.ground_shares), lambda k: k || '#' || n), map_values(r.ground_shares)) as ground_shares,
        list_transform(r.ground_pairs, lambda k: k || '#' || n) as ground_pairs
    from sandbox.core.linkage_records as r cross join range(100) as copies(n)
    order by n, record_key limit {count}
) to '{path}' (format parquet)
"""


def main() -> int:
    """One part, in a process of its own."""
    part, path = sys.argv[1], sys.argv[2]
    with duckdb.connect() as con:
        records = con.execute(f"from '{path}'").to_arrow_table()
    from restoration.linkage import identity, links
    from restoration.linkage.model import LinkageModel, linker_over, score

    model = LinkageModel.read()
    began = time.perf_counter()
    found: dict[str, float] = {}
    if part == "splink":
        with linker_over(records, model.settings) as (linker, _):
            pairs = linker.inference.predict(threshold_match_probability=0.02)
            clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
                pairs, threshold_match_probability=0.95
            )
            found = {"initiatives": clusters.as_duckdbpyrelation().shape[0]}
    else:
        import polars as pl

        reported = pl.DataFrame(
            records.select(["record_key", "registry", "source_record_id", "cui", "founds_initiative"])
        )
        settled = links.settle(reported, score(records, model), {}, links.Thresholds(0.95, 0.3))
        groups = identity.grouped(reported.with_columns(trust_order=pl.lit(1)), settled.filter(outcome="linked"))
        found = {"pairs": settled.height, "initiatives": len(groups)}
        named = time.perf_counter()
        identity.carried_on(groups, [], dt.date(2026, 1, 1))
        found["naming_seconds"] = time.perf_counter() - named
        began += found["naming_seconds"]  # splink assigns no ids; measured separately
    print(json.dumps(found | {"seconds": time.perf_counter() - began, "peak_mib": round(peak_mib())}))
    return 0


def measure(night: Path, count: int, sizes: int, tries: int) -> None:
    """Print ratio and growth."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with duckdb.connect() as con:
            con.execute(f"attach '{night}/warehouse/restauracion.duckdb' as sandbox (read_only)")
            seen = {}
            for size in (count // 4**step for step in reversed(range(sizes))):
                path = folder / f"{size}.parquet"
                con.execute(_COPIES.format(count=size, path=path))
                runs = [
                    (run_part("linkage", "splink", path), run_part("linkage", "ours", path)) for _ in range(tries)
                ]  # alternating: the machine is shared
                seen[size] = min(ours["seconds"] for _, ours in runs)
                bare, ours = min(b["seconds"] for b, _ in runs), runs[0][1]
                print(
                    f"linkage: {size:>6,} records, {ours['pairs']:,} pairs, {ours['initiatives']:,} initiatives: {seen[size]:.2f} s,"
                    f" splink alone {bare:.2f} s, ratio {seen[size] / bare:.2f}; naming {ours['naming_seconds']:.2f} s; {ours['peak_mib']:,} MiB"
                )
        print(f"  growth exponent {exponent(seen):.2f}")


if __name__ == "__main__":
    sys.exit(main())
