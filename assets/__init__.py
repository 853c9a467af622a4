"""What exists: assets for sources, SQL models and the published file."""
