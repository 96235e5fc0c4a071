"""Kindred: a self-hosted recommendation platform, live, explained and measured."""

__version__ = "0.1.0"
