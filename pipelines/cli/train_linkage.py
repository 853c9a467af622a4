"""`make train-linkage`: train the linkage model again from the records of the published file.

Belongs here: the command. Does not: training (restoration/linkage/model.py).
"""

from __future__ import annotations

import argparse

import duckdb
from rich.console import Console

from pipelines.settings import Settings
from restoration.linkage.model import CHART_FILE, MODEL_FILE, train, weights_chart


def main() -> None:
    """Write restoration/linkage/model.json; look at the difference before you commit it."""
    parser = argparse.ArgumentParser(description="Train the linkage model on the published file.")
    parser.add_argument("--named", required=True, help="what the records are, as 'sandbox 2030' or 'live 2026-11'")
    arguments = parser.parse_args()
    published = Settings.from_env().warehouse.published
    with duckdb.connect(str(published), read_only=True) as con:
        records = con.execute("from core.linkage_records order by record_key").to_arrow_table()
    model = train(records, arguments.named)
    model.save()
    CHART_FILE.write_bytes(weights_chart(records, model))
    Console().print(
        f"Model {model.version} from {model.record_count} records and {model.known_pair_count} pairs that share a CUI: {MODEL_FILE}"
    )


if __name__ == "__main__":
    main()
