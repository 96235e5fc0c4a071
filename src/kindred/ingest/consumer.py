"""The consumer: folds the events' log into users, and the items' log, where there is one, into items."""

import asyncio
import itertools
import os
import socket
from typing import NamedTuple

from kindred.core.clock import Clock, SystemClock
from kindred.core.position import Position
from kindred.features.groups import FoldConfig
from kindred.ingest.folding import GROUP, IngestStores, UserStage
from kindred.ingest.items import GROUP as ITEMS
from kindred.ingest.items import ItemStage
from kindred.ingest.membership import join
from kindred.ingest.trends import TrendBoard, TrendsConfig
from kindred.ingest.worker import PaceConfig, Role, Worker
from kindred.models.trending import TrendingConfig
from kindred.ports.log import all_ends
from kindred.ports.operations import Leases
from kindred.ports.telemetry import Meter, NoMeter

LEASE = GROUP
"""The lease that gives the one partition of an embedded log to one consumer."""

# Two consumers of one process are two owners.
_numbers = itertools.count(1)


class ConsumerConfig(PaceConfig, frozen=True, kw_only=True):
    """How the consumer works.

    `batch`: log records of one partition folded at once. `idle_poll`, `idle_most`: seconds between looks at an empty
    log, growing from the first to the second while it stays empty; what is recorded in the same process is seen at
    once. `standby_poll`: seconds between tries to own a partition. `retry_first`, `retry_most`: seconds to wait
    after a failed step, doubling.
    """

    fold: FoldConfig = FoldConfig()
    trends: TrendsConfig = TrendsConfig()


class ConsumerStatus(NamedTuple):
    """What the consumer is doing; `cause` says why it is stalled, `positions` where its fold of each partition stands.

    `position` is the lowest of them. `items` says the same of the items' log, by its partitions.
    """

    role: Role
    position: Position | None
    cause: str = ""
    positions: dict[int, Position] = {}
    items: dict[int, Position] = {}


class Consumer:
    """Folds the partitions that it owns; others stand by or own the rest.

    With an items' log it has a part in a second group, which folds that log.
    """

    def __init__(
        self,
        stores: IngestStores,
        leases: Leases,
        config: ConsumerConfig | None = None,
        trending: TrendingConfig | None = None,
        clock: Clock | None = None,
        meter: Meter | None = None,
    ) -> None:
        """Prepare; nothing is read before `run` or `drain_to`."""
        self._stores, self._leases = stores, leases
        self._config = config or ConsumerConfig()
        self._trending = trending
        self._clock = clock or SystemClock()
        self._meter = meter or NoMeter()
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{next(_numbers)}"
        self._items = self._item_worker()
        self._users = self._user_worker()

    @property
    def status(self) -> ConsumerStatus:
        """Return what the consumer is doing now; it is stalled where either of its parts is."""
        users = self._users.status
        items = self._items.status if self._items is not None else None
        worst = items if items is not None and items.role == "stalled" and users.role != "stalled" else users
        positions = dict(users.positions)
        return ConsumerStatus(
            worst.role,
            min(positions.values(), default=None),
            worst.cause,
            positions,
            dict(items.positions) if items is not None else {},
        )

    def wake(self) -> None:
        """Look at the log at once; to be called in the event loop that runs the consumer."""
        self._users.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Fold what is owned until `stop` is set, then give it back."""
        workers = [worker for worker in (self._users, self._items) if worker is not None]
        await asyncio.gather(*(worker.run(stop) for worker in workers))

    async def drain_to(self, *positions: Position, timeout: float = 600.0) -> None:
        """Return once everything up to `positions` is folded, here where nobody else owns the partition.

        With an items' log, what it holds by then is folded too. Raises what a store raises while folding here,
        TimeoutError after `timeout` seconds, InvalidInput for a position that the log lacks.
        """
        async with asyncio.timeout(timeout):
            await self._users.drain(positions)
            if self._items is not None and self._stores.item_log is not None:
                await self._items.drain(await all_ends(self._stores.item_log))

    def _user_worker(self) -> Worker:
        stage = UserStage(
            self._stores,
            self._config.fold,
            lambda: TrendBoard(self._config.trends, self._trending, self._stores.catalog),
            self._clock,
            self._meter,
            self._items.wake if self._items is not None else lambda: None,
        )
        log = self._stores.log
        return Worker(stage, lambda: join(log, self._leases, GROUP, self._owner), self._config, self._meter)

    def _item_worker(self) -> Worker | None:
        log = self._stores.item_log
        if log is None:
            return None
        stage = ItemStage(
            log,
            self._stores.state,
            self._stores.dead_letters,
            self._config.fold,
            self._item_board,
            self._clock,
            self._meter,
        )
        return Worker(stage, lambda: join(log, self._leases, ITEMS, self._owner), self._config, self._meter)

    async def _item_board(self, partition: int) -> TrendBoard:
        """Return the trends of the items of one partition."""
        log = self._stores.item_log
        if log is None:
            return TrendBoard(self._config.trends, self._trending, self._stores.catalog)
        partitions = len(await log.ends())
        return TrendBoard(
            self._config.trends,
            self._trending,
            self._stores.catalog,
            partition,
            partitions,
            lambda ordinal: log.partition_of(str(ordinal)) == partition,
        )
