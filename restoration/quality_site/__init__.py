"""The quality site: a page for directors and one a table."""
