"""A miniature Peru: synthetic data with known true values, and servers that speak the institutions' protocols."""
