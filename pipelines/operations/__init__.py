"""What keeps the service in order: incidents, digest, housekeeping, backups."""
