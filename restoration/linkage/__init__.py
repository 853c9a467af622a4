"""Which records are one initiative: scored by a published method, decided by rules and people, with permanent ids."""
