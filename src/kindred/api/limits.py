"""How many calls a token may make."""

import math
import time
from collections.abc import Callable

from kindred.api.dues import Dues, ProcessDues
from kindred.core.config import Config
from kindred.core.errors import Overloaded


class HttpConfig(Config, frozen=True, kw_only=True):
    """The HTTP interface.

    `rate`: calls per second that one token may make, 0 = no limit; each event of a batch is one.
    `burst`: seconds of unused rate that a token may spend at once. `queue_target`: milliseconds that a question may
    wait for its turn while others wait without a break, 0 = for ever. `origins`: web pages that may send events.
    """

    rate: float = 0.0
    burst: float = 10.0
    queue_target: float = 100.0
    origins: tuple[str, ...] = ()


class RateLimited(Overloaded):
    """The token made more calls than its rate allows; nothing was claimed."""

    status = 429
    code = "rate_limited"
    title = "Too many calls"


class RateLimit:
    """Lets each token call at a steady rate with bursts, by the generic cell rate algorithm (ITU-T I.371, 1996)."""

    def __init__(
        self, config: HttpConfig, ticks: Callable[[], float] = time.monotonic, dues: Dues | None = None
    ) -> None:
        """Start with every token unused; `ticks`: seconds that never run backwards, `dues`: of others too if shared."""
        self._interval = 1 / config.rate if config.rate > 0 else 0.0
        self._tolerance = max(config.burst - self._interval, 0.0)
        self._ticks = ticks
        self._dues = dues or ProcessDues()

    def spend(self, token_id: str, calls: int = 1) -> None:
        """Count calls; raise RateLimited with the seconds to wait when already the first is one too many.

        What goes beyond the allowance, such as most of a large batch, is paid back before the next call.
        """
        if not self._interval:
            return
        wait = self._dues.spend(token_id, calls * self._interval, self._tolerance, self._ticks())
        if wait > 0:
            raise RateLimited(f"one token may make {1 / self._interval:g} calls a second", math.ceil(wait))

    def charge(self, token_id: str, calls: int) -> None:
        """Count calls that were let in already."""
        if self._interval and calls > 0:
            self._dues.spend(token_id, calls * self._interval, math.inf, self._ticks())
