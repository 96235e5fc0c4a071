"""Values that attributes of items are compared with."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from kindred.core.clock import parse_time
from kindred.core.errors import InvalidInput

ATTRIBUTES = "attributes"
"""First part of the name of everything that a catalogue's owner keeps beside the fields that Kindred knows."""

Parts: TypeAlias = tuple[str, ...]
"""The name of an attribute by its parts."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d(T|$)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A date or time: milliseconds since 1970 UTC."""

    milliseconds: int


Value: TypeAlias = str | float | bool | Moment


@lru_cache(maxsize=100_000)
def read_moment(text: str) -> Moment | None:
    """Read an ISO-8601 date, or a time with a zone; None where it is neither. A date means its first moment, UTC."""
    if not _DATE.match(text):
        return None
    try:
        return Moment(parse_time(text.upper() if len(text) > 10 else f"{text}T00:00:00Z", ""))
    except InvalidInput:
        return None
