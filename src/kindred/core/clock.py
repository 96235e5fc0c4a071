"""Clocks; every age is computed against one of these, so that tests and replays can hold time still."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from kindred.core.errors import InvalidInput

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LATEST = 253_402_300_799_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Something that knows what time it is."""

    def now(self) -> int:
        """Return the time: milliseconds since 1970 UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Return the time: milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000


class FixedClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, time_ms: int) -> None:
        """Start at `time_ms`: milliseconds since 1970 UTC."""
        self.time_ms = time_ms

    def now(self) -> int:
        """Return the time it was set to: milliseconds since 1970 UTC."""
        return self.time_ms


def parse_time(text: str, pointer: str) -> int:
    """Read ISO-8601 with a zone into milliseconds since 1970 UTC; raise InvalidInput naming `pointer`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput.at(pointer, f"must be ISO-8601 with a zone, is {text[:40]!r}") from error
    if moment.tzinfo is None:
        raise InvalidInput.at(pointer, f"needs a zone, such as {moment.isoformat()}Z")
    try:
        # In whole numbers: a float of seconds loses milliseconds in far years.
        return (moment.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
    except (OverflowError, ValueError) as error:
        raise InvalidInput.at(pointer, "is outside the years 1 to 9999") from error


def format_time(time_ms: int) -> str:
    """Write milliseconds since 1970 UTC as ISO-8601 with `Z`; raise OverflowError outside the years 1 to 9999."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
