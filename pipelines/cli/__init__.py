"""What people start from a shell: `python -m pipelines.cli.<name>`."""
