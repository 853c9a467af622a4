"""The protocols of the institutions' servers, on loopback."""
