"""Exports: files written from the published file, each with the release it is of."""
