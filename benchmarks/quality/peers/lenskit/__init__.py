"""The package lenskit, in an environment of its own."""
