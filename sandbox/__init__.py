"""A miniature Peru: made data with a known truth, and servers that speak the institutions' protocols."""
