"""The consumer: the one process that folds the log into state, its standbys, and its patience with broken stores."""

import asyncio
import itertools
import logging
import os
import socket
from collections.abc import Awaitable, Sequence
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from kindred.core.clock import Clock, SystemClock
from kindred.core.config import Config
from kindred.core.errors import InvalidInput, LeaseHeld
from kindred.core.position import Position
from kindred.features.groups import FoldConfig
from kindred.ingest.folding import Folder, IngestStores
from kindred.ingest.trends import TrendBoard, TrendsConfig
from kindred.models.trending import TrendingConfig
from kindred.ports.log import LogRecord
from kindred.ports.operations import Leases
from kindred.ports.telemetry import Meter, NoMeter

LEASE = "consumer"
GROUP = "consumer"

# What the contents of a record can raise; a broken store raises something else and is waited for.
_UNFOLDABLE = (InvalidInput, ValueError, TypeError, LookupError, ArithmeticError, RecursionError)

# Two consumers of one process are two owners.
_numbers = itertools.count(1)

_logger = logging.getLogger(__name__)


# Without a pause a loop would leave nothing of the processor to the rest.
_Seconds = Annotated[float, Meta(ge=0.001)]


class ConsumerConfig(Config, frozen=True, kw_only=True):
    """How the consumer works.

    `batch`: log records folded at once. `idle_poll`: seconds between looks at an empty log. `standby_poll`: seconds
    between tries for the lease. `retry_first`, `retry_most`: seconds to wait after a failed step, doubling.
    """

    batch: Annotated[int, Meta(ge=1, le=100_000)] = 2_000
    idle_poll: _Seconds = 0.02
    standby_poll: _Seconds = 0.5
    retry_first: _Seconds = 0.05
    retry_most: _Seconds = 5.0
    fold: FoldConfig = FoldConfig()
    trends: TrendsConfig = TrendsConfig()


class ConsumerStatus(NamedTuple):
    """What the consumer is doing; `cause` says why it is stalled, `position` is where its fold stands."""

    role: Literal["stopped", "standby", "owner", "stalled"]
    position: Position | None
    cause: str = ""


class Consumer:
    """Folds one partition of the log, as long as it holds the lease.

    A second consumer waits as a standby and takes over. A store that fails stops the fold until it is back: nothing is
    skipped. Only records that can never be folded are set apart as dead letters.
    """

    def __init__(
        self,
        stores: IngestStores,
        leases: Leases,
        config: ConsumerConfig | None = None,
        trending: TrendingConfig | None = None,
        clock: Clock | None = None,
        meter: Meter | None = None,
        partition: int = 0,
    ) -> None:
        """Prepare; nothing is read before `run` or `drain_to`."""
        self._stores, self._leases = stores, leases
        self._config = config or ConsumerConfig()
        self._trending = trending
        self._clock = clock or SystemClock()
        self._meter = meter or NoMeter()
        self._partition = partition
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{next(_numbers)}"
        self._wake = asyncio.Event()
        self._folder: Folder | None = None
        self._position: Position | None = None
        self._status: Literal["stopped", "standby", "owner", "stalled"] = "stopped"
        self._cause = ""

    @property
    def status(self) -> ConsumerStatus:
        """Return what the consumer is doing now."""
        return ConsumerStatus(self._status, self._position, self._cause)

    def wake(self) -> None:
        """Look at the log at once; to be called in the event loop that runs the consumer."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for the lease, fold while holding it, and give it back when `stop` is set."""
        delay = self._config.retry_first
        while not stop.is_set():
            try:
                fence = await self._leases.acquire(LEASE, self._owner)
                if fence is None:
                    self._say("standby")
                    await _pause(stop.wait(), self._config.standby_poll)
                    continue
                try:
                    await self._own(fence, stop)
                finally:
                    await self._leases.release(LEASE, fence)
                delay = self._config.retry_first
            except Exception as error:
                self._stalled(error)
                await _pause(stop.wait(), delay)
                delay = min(2 * delay, self._config.retry_most)
        self._say("stopped")

    async def drain_to(self, position: Position, timeout: float = 600.0) -> None:
        """Return once everything up to `position` is folded, by whoever holds the lease; fold here where nobody does.

        Raises what a store raises while folding here, TimeoutError after `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            while await self._stores.state.watermark(self._partition) < position:
                fence = await self._leases.acquire(LEASE, self._owner)
                if fence is None:
                    await asyncio.sleep(self._config.idle_poll)
                    continue
                try:
                    await self._start()
                    while self._position is not None and self._position < position:
                        if not await self._step(fence):
                            raise InvalidInput(f"the log ends before {position}: it is not a position of this log")
                finally:
                    await self._leases.release(LEASE, fence)
                    self._say("stopped")

    async def _own(self, fence: int, stop: asyncio.Event) -> None:
        """Fold until `stop` is set or the lease is lost; a failing step is tried again, from where the state stands."""
        delay = self._config.retry_first
        while not stop.is_set():
            try:
                if self._status != "owner":
                    await self._start()
                if not await self._step(fence):
                    await self._idle()
                delay = self._config.retry_first
            except LeaseHeld:
                self._say("standby")
                return
            except Exception as error:
                self._stalled(error)
                await _pause(stop.wait(), delay)
                delay = min(2 * delay, self._config.retry_most)

    async def _start(self) -> None:
        """Find out where the fold stands, and load what is kept in memory."""
        board = TrendBoard(self._config.trends, self._trending)
        await board.load(self._stores.state)
        watermark = await self._stores.state.watermark(self._partition)
        committed = await self._stores.log.committed(GROUP)
        self._position = min([watermark, *(place for place in committed if place.partition == self._partition)])
        self._folder = Folder(self._stores, self._config.fold, board, self._clock, self._meter, GROUP)
        self._say("owner")

    async def _step(self, fence: int) -> bool:
        """Fold one batch; return whether there was one. Raises LeaseHeld when the lease is another's."""
        if self._folder is None or self._position is None:
            return False
        if not await self._leases.holds(LEASE, fence):
            raise LeaseHeld("the consumer's lease went to another process")
        records = await self._stores.log.read(self._position, self._config.batch)
        if not records:
            return False
        self._position = await self._fold(self._folder, records)
        return True

    async def _fold(self, folder: Folder, records: Sequence[LogRecord]) -> Position:
        """Fold records; what breaks the fold is narrowed down by halves until one record stands alone, and buried."""
        try:
            return await folder.fold(records)
        except _UNFOLDABLE as error:
            if len(records) > 1:
                return await self._fold(folder, records[: len(records) // 2])
            _logger.warning("record %s cannot be folded", records[0].position, exc_info=error)
            return await folder.bury(records[0], error)

    async def _idle(self) -> None:
        """Write trending lists that are due, then wait for a wake-up or the next look."""
        if self._folder is not None and self._position is not None:
            await self._folder.write_trends(self._position)
        await _pause(self._wake.wait(), self._config.idle_poll)
        self._wake.clear()

    def _say(self, role: Literal["stopped", "standby", "owner"]) -> None:
        """Change roles, and log it once."""
        if role != self._status:
            _logger.info("consumer is %s", role)
        self._status, self._cause = role, ""

    def _stalled(self, error: Exception) -> None:
        """Remember why nothing moves; the next step starts from what the state holds."""
        cause = f"{type(error).__name__}: {error}"
        if cause != self._cause:
            _logger.warning("consumer waits: %s", cause, exc_info=error)
        self._status, self._cause = "stalled", cause
        self._meter.count("consumer_stalls")


async def _pause(awaitable: Awaitable[object], seconds: float) -> None:
    """Wait for something, at most `seconds`."""
    try:
        await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        return
