"""Our own models."""
