"""The package rectools, in an environment of its own."""
