"""SQL models, their descriptions, the seeds, and the runner that builds one DuckDB file from them."""
