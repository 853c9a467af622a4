"""Time in the sandbox: what happens in the miniature Peru from one day to the next."""
