"""Which records are one initiative: scored by a published method, settled by rules and people, named for ever."""
