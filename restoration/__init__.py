"""The domain in plain Python: initiatives, their areas and their spending. Nothing here imports Dagster."""
