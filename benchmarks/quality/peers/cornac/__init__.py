"""The package cornac, in an environment of its own."""
