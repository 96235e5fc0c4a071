"""Building the state anew from the log or the lake, beside the live one and by the same folds."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from kindred.core.clock import Clock, SystemClock
from kindred.core.errors import ConfigError, InvalidInput, LeaseHeld
from kindred.core.ids import new_id
from kindred.core.position import Position
from kindred.features.groups import FoldConfig
from kindred.ingest.consumer import LEASE
from kindred.ingest.folding import IngestStores, UserStage
from kindred.ingest.replay import ReplayedLog
from kindred.ingest.trends import TrendBoard
from kindred.ingest.worker import fold_or_bury
from kindred.jobs.counted_items import counted_items
from kindred.jobs.lake_records import LakeLog
from kindred.jobs.unchanged import unchanged
from kindred.ports.catalog import CatalogStore, ProfileStore
from kindred.ports.interactions import InteractionStore
from kindred.ports.log import DeadLetters, EventLog, LogRecord, all_partitions
from kindred.ports.operations import Leases
from kindred.ports.state import Replaceable, StateStore
from kindred.ports.telemetry import NoMeter

Source = Literal["log", "lake"]
_BATCH = 2_000


class _Stage(UserStage):
    """The users' fold without what serving needs of it: nothing trends in a state that is being built."""

    async def start(self, partition: int) -> None:
        """Load nothing."""


class LiveStores(Protocol):
    """What the live fold works on."""

    @property
    def log(self) -> EventLog:
        """Return the event log."""
        ...

    @property
    def state(self) -> StateStore:
        """Return the live state."""
        ...

    @property
    def interactions(self) -> InteractionStore:
        """Return the history."""
        ...

    @property
    def catalog(self) -> CatalogStore:
        """Return the catalogue."""
        ...

    @property
    def profiles(self) -> ProfileStore:
        """Return the users' profiles."""
        ...

    @property
    def dead_letters(self) -> DeadLetters:
        """Return the records set apart."""
        ...

    @property
    def lake(self) -> Path:
        """Return the lake's folder."""
        ...


class Rebuild:
    """Folds everything anew into `fresh`, up to any position that the live fold has reached; nothing else changes.

    Items are folded together with users, whatever the live fold does. One that was cut off may be gone on with.
    """

    def __init__(
        self,
        live: LiveStores,
        fresh: StateStore,
        config: FoldConfig | None = None,
        source: Source = "log",
        clock: Clock | None = None,
        tell: Callable[[int], None] = lambda records: None,
    ) -> None:
        """Prepare; nothing is read before `fold_to`. `tell` hears how many records were folded."""
        self.fresh, self.records = fresh, 0
        self._log, self._tell = live.log, tell
        self._source: ReplayedLog = LakeLog(live.log, live.lake) if source == "lake" else ReplayedLog(live.log)
        stores = IngestStores(
            log=self._source,
            state=counted_items(fresh) if live.log.capabilities.partitioned else fresh,
            interactions=unchanged(live.interactions, add=0, add_columns=0, by_user=[], by_item=[], remove=0, forget=0),
            catalog=unchanged(live.catalog, upsert=[], delete=0),
            profiles=unchanged(live.profiles, upsert=None, delete=0),
            lake=live.lake,
            dead_letters=unchanged(live.dead_letters, bury=None, discard=0),
        )
        self._stage = _Stage(stores, config or FoldConfig(), TrendBoard, clock or SystemClock(), NoMeter())
        self._places: dict[int, Position] = {}

    @property
    def partitions(self) -> list[int]:
        """Return the partitions that are folded, once prepared."""
        return sorted(self._places)

    async def prepare(self) -> None:
        """Find out where the fresh state stands. Raise InvalidInput when the source lacks its beginning."""
        partitions = set(await all_partitions(self._log))
        if isinstance(self._source, LakeLog):
            partitions.update(self._source.in_lake())
            await self.fresh.write(self._source.forgotten(), Position(0, 0, -1))
        for partition in sorted(partitions):
            place = await self.fresh.watermark(partition)
            if place.offset < 0:
                await self._check_front(partition)
            self._places[partition] = place

    async def fold_to(self, bounds: Mapping[int, Position]) -> None:
        """Fold each partition up to its bound, epoch by epoch; partitions without a bound are folded to their end."""
        if not self._places:
            await self.prepare()
        while True:
            # Users may have moved to other partitions from one epoch to the next: an epoch ends before the next one.
            heads = {partition: await self._head(partition, bounds) for partition in self._places}
            epochs = [head.epoch for head in heads.values() if head is not None]
            if not epochs:
                return
            for partition, head in heads.items():
                if head is not None and head.epoch == min(epochs):
                    await self._fold_epoch(partition, head.epoch, bounds)

    async def _head(self, partition: int, bounds: Mapping[int, Position]) -> Position | None:
        """Return the position of a partition's next record within its bound."""
        records = await self._read(partition, 1, bounds)
        return records[0].position if records else None

    async def _fold_epoch(self, partition: int, epoch: int, bounds: Mapping[int, Position]) -> None:
        """Fold a partition to its bound, or to the end of an epoch."""
        while records := await self._read(partition, _BATCH, bounds):
            records = [record for record in records if record.position.epoch == epoch]
            if not records:
                return
            place = await fold_or_bury(self._stage, records, self._places[partition])
            self._places[partition] = place
            self.records += sum(record.position <= place for record in records)
            self._tell(self.records)

    async def _read(self, partition: int, limit: int, bounds: Mapping[int, Position]) -> Sequence[LogRecord]:
        """Read on, up to the bound."""
        bound, place = bounds.get(partition), self._places[partition]
        if bound is not None and place >= bound:
            return []
        records = await self._source.read(place, limit)
        return [record for record in records if bound is None or record.position <= bound]

    async def _check_front(self, partition: int) -> None:
        """Raise InvalidInput where the first records of a partition are gone."""
        if await _begins(self._source, partition):
            return
        records = await self._source.read(Position(0, partition, -1), 1)
        first = f"at {records[0].position}" if records else f"behind partition {partition}"
        if not isinstance(self._source, LakeLog):
            raise InvalidInput(f"the log begins {first}, what stood before it was trimmed: rebuild with --from lake")
        if self._source.lacks_some(partition):
            raise InvalidInput(f"the lake begins {first}: it never held all that stood before that")


async def whole_source(log: EventLog) -> Source:
    """Return `log` where it still has its first records, else `lake`."""
    whole = [await _begins(log, partition) for partition in await all_partitions(log)]
    return "log" if all(whole) else "lake"


async def _begins(log: EventLog, partition: int) -> bool:
    """Say whether the first record that a partition ever had is still there, or it never had any."""
    partitions = await log.partitions()
    for epoch in range(max(partitions) + 1):
        # The epoch of a topic that is gone may have had records.
        end = (await log.ends(epoch))[partition:][:1] if epoch in partitions else [Position(epoch, partition, 0)]
        if end and end[0].offset >= 0:
            first = await log.read(Position(0, partition, -1), 1)
            return bool(first) and first[0].position == Position(epoch, partition, 0)
    return True


async def take_over(rebuild: Rebuild, live: StateStore, leases: Leases, log: EventLog, patience: float = 60.0) -> int:
    """Put the rebuilt state in place of the live one, once no consumer folds; return how many records it holds.

    Waits up to `patience` seconds for the consumer's lease; the consumer that comes next goes on from there. Raises
    LeaseHeld when a consumer goes on, ConfigError when the live state cannot be exchanged in one step.
    """
    if not isinstance(live, Replaceable) or log.capabilities.groups:
        raise ConfigError(
            "this state cannot be exchanged in place: build into another one (--into URL), then set stores.state to it"
        )
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    owner = new_id("rebuild")
    while (fence := await leases.acquire(LEASE, owner)) is None:
        if loop.time() >= until:
            holder = await leases.holder(LEASE)
            raise LeaseHeld(f"a consumer folds ({holder or 'unknown'}): stop it, and servers without --no-consume")
        await rebuild.fold_to({partition: await live.watermark(partition) for partition in rebuild.partitions})
        await asyncio.sleep(0.1)
    try:
        # Never further than the live fold stood: what it had not come to yet it has to do to other stores too.
        await rebuild.fold_to({partition: await live.watermark(partition) for partition in rebuild.partitions})
        return await live.replace_with(rebuild.fresh)
    finally:
        await leases.release(LEASE, fence)
