"""The HTTP layer: it authenticates, decodes, asks an actor and encodes."""
