"""Tests of the house itself: sizes, documentation, imports, names."""
