"""The package implicit, in an environment of its own."""
