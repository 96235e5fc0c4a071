"""Answers that cost less, for the moments in which a server cannot give full ones to all who ask."""

import time
from collections.abc import Callable

import msgspec

from kindred.core.query import Query

PRESSURE = "pressure"
"""What `degraded` says of an answer that was made so."""
EASED = ("features", "ranker")
"""Stages that an eased answer goes without: they change the order, never what may be shown."""
_HOLD = 1.0


class Pressure:
    """Whether a process is pressed: from a rise on for a second, so that answers do not change with every call."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        """Start at ease; `ticks`: seconds that never run backwards."""
        self._ticks = ticks
        self._until = float("-inf")

    @property
    def high(self) -> bool:
        """Say whether answers should be eased now."""
        return self._ticks() < self._until

    def rise(self) -> None:
        """Have answers eased for a second from now."""
        self._until = self._ticks() + _HOLD

    def ease(self, query: Query) -> None:
        """While pressure is high, have a query's answer cost less and say so; one whose trace is wanted stays whole."""
        if self.high and not query.want_trace:
            query.params = msgspec.structs.replace(query.params, disabled=(*query.params.disabled, *EASED))
            query.failures.append(PRESSURE)
