"""What must be true: the data protocol as Open Data Contracts, and the suites that enforce it inside DuckDB."""
