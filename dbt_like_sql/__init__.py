"""SQL models, their descriptions, the seeds, and the runner that turns them into one DuckDB file."""
