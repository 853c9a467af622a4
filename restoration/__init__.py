"""The domain in plain Python: what an initiative, its ground and its money are. Nothing here imports Dagster."""
