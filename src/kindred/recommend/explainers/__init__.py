"""Why each item is there."""
