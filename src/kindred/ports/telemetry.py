"""Measurements as the inner rooms see them."""

from typing import Protocol


class Meter(Protocol):
    """Counts and timings, with a small closed set of labels."""

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter."""
        ...

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Record one value of a distribution: seconds or a size."""
        ...

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set the present value of a level."""
        ...


class NoMeter:
    """A meter that measures nothing."""

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Do nothing."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Do nothing."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Do nothing."""
