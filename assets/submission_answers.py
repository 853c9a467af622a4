"""The answers to submissions as an asset.

Belongs here: when answers are written and what the UI shows of them. Does not: what they say (restoration/submissions/responses.py).
"""

import dagster as dg

from assets.keys import ANSWERS, OWNERS, PUBLISHED
from resources.data_folder import DataFolder
from resources.warehouse_resource import WarehouseResource
from restoration.submissions.responses import answer_all


@dg.asset(
    key=ANSWERS,
    deps=[PUBLISHED],
    group_name="publish",
    kinds={"excel"},
    owners=OWNERS,
    tags={"layer": "publish"},
    description="One workbook beside each file in the inbox: accepted rows, and rejected rows with what to correct, in Spanish. "
    "Written from the published file after each run; an answer that would say the same is not written again.",
)
def submission_answers(data_folder: DataFolder, warehouse: WarehouseResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Answer every submission."""
    with warehouse.get_connection() as con:
        received = answer_all(con, data_folder.inbox())
    table = "\n".join(f"| {name} | {n['accepted']} | {n['rejected']} |" for name, n in received.items())
    return dg.MaterializeResult(
        metadata={
            "submissions": len(received),
            "rows_accepted": sum(n["accepted"] for n in received.values()),
            "rows_rejected": sum(n["rejected"] for n in received.values()),
            "by_submission": dg.MetadataValue.md(f"| submission | accepted | rejected |\n|---|---|---|\n{table}"),
        }
    )
