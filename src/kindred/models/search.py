"""What tuning may choose a setting from; each model's `SEARCH` stands beside its settings."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias


class Range(NamedTuple):
    """A number from `low` to `high`, both included; `log`: drawn evenly on a logarithmic scale."""

    low: float
    high: float
    log: bool = False


class Whole(NamedTuple):
    """A whole number from `low` to `high`, both included; `log`: drawn evenly on a logarithmic scale."""

    low: int
    high: int
    log: bool = False


class Choice(NamedTuple):
    """One of `values`."""

    values: tuple[str | int | float | bool, ...]


Dimension: TypeAlias = Range | Whole | Choice
Space: TypeAlias = Mapping[str, Dimension]
"""By name of a setting."""
