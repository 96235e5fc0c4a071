"""A whole consumer on memory stores, with stores that break on demand."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.dead_letters import MemoryDeadLetters
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.interactions import MemoryInteractions
from kindred.adapters.memory.leases import MemoryLeases
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.adapters.memory.state import MemoryStateStore
from kindred.core.clock import FixedClock
from kindred.core.errors import StoreUnavailable
from kindred.core.event import EventContext, Interaction
from kindred.features.groups import ERASED, ITEM, ITEM_COUNTRY, PLACEMENT, USER, item_key, user_key
from kindred.features.item_countries import decode_country
from kindred.features.items import decode_item
from kindred.features.users import decode_user
from kindred.ingest.consumer import Consumer, ConsumerConfig
from kindred.ingest.exposures import EXPOSURE
from kindred.ingest.folding import IngestStores
from kindred.ingest.journal import Journal
from kindred.ingest.replay import ReplayedLog
from kindred.ports.log import all_ends

NOW = 1_700_000_000_000
QUICK = ConsumerConfig(retry_first=0.001, retry_most=0.002, standby_poll=0.005)


class Breaking:
    """A store whose named methods fail as often as told, after so many calls, having done their work or not."""

    def __init__(self, store) -> None:
        self._store = store
        self.failures: dict[str, int] = {}
        self.skipped: dict[str, int] = {}
        self.carried_out = False
        self.failed = 0

    def __getattr__(self, name):
        method = getattr(self._store, name)
        if self.failures.get(name, 0) <= 0:
            return method

        async def fail(*args, **kwargs):
            if self.skipped.get(name, 0) > 0:
                self.skipped[name] -= 1
                return await method(*args, **kwargs)
            self.failures[name] -= 1
            self.failed += 1
            if self.carried_out:
                await method(*args, **kwargs)
            raise StoreUnavailable(f"{name} is down")

        return fail


class Ordered(MemoryEventLog):
    """A log that remembers in which order records of all partitions came."""

    def __init__(self, partitions) -> None:
        super().__init__(partitions)
        self.order = []

    async def append(self, records):
        placed = await super().append(records)
        self.order += placed
        return placed


@dataclass
class World:
    """Stores, a journal into them, and consumers; with several partitions the items have a log of their own."""

    lake: Path
    config: ConsumerConfig = QUICK
    partitions: int = 1
    log: Breaking = None
    item_log: Breaking | None = None
    state: Breaking = field(default_factory=lambda: Breaking(MemoryStateStore()))
    interactions: Breaking = field(default_factory=lambda: Breaking(MemoryInteractions()))
    catalog: Breaking = field(default_factory=lambda: Breaking(MemoryCatalog()))
    profiles: Breaking = field(default_factory=lambda: Breaking(MemoryProfiles()))
    letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    leases: MemoryLeases = field(default_factory=MemoryLeases)
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))

    def __post_init__(self):
        """Make the logs."""
        self.log = self.log or Breaking(Ordered(self.partitions))
        if self.item_log is None and self.log.capabilities.partitioned:
            self.item_log = Breaking(MemoryEventLog(3))

    @property
    def stores(self) -> IngestStores:
        """Return what a consumer works on."""
        return IngestStores(
            self.log,
            self.state,
            self.interactions,
            self.catalog,
            self.profiles,
            self.lake,
            self.letters,
            self.item_log,
        )

    def consumer(self, **config) -> Consumer:
        """Return a new consumer over the stores."""
        chosen = ConsumerConfig(**{name: getattr(self.config, name) for name in self.config.__struct_fields__} | config)
        return Consumer(self.stores, self.leases, chosen, clock=self.clock)

    async def record(self, *events):
        """Append events, return their positions."""
        return await Journal(self.log).record(events)

    async def drain(self, **config) -> None:
        """Fold everything that the log holds, and what that adds to it."""
        ends = None
        while ends != (ends := await all_ends(self.log)):
            await self.consumer(**config).drain_to(*ends, timeout=60)

    async def again(self) -> "World":
        """Return what a calm fold of the same log makes, record by record as they came, in stores of its own."""
        calm = World(self.lake, self.config, log=ReplayedLog(self.log), catalog=self.catalog, clock=self.clock)
        consumer = calm.consumer(batch=1, idle_poll=0.001)
        for position in self.log._store.order:
            await consumer.drain_to(position)
        return calm

    async def user(self, user_id):
        """Return a user's record."""
        stored = (await self.state.read([user_key(user_id)])).records[0]
        return decode_user(stored.value) if stored else None

    async def item(self, item_id):
        """Return an item's record."""
        found = (await self.catalog.get([item_id]))[0]
        stored = (await self.state.read([item_key(found.ordinal)])).records[0] if found else None
        return decode_item(stored.value) if stored else None

    async def picture(self, users, items):
        """Return everything that folding should have made, comparable."""
        counts = {item: getattr(await self.item(item), "counters", None) for item in items}
        history = {user: sorted(map(str, await self.interactions.by_user(user, 10_000))) for user in users}
        return {user: meaning(await self.user(user)) for user in users}, counts, history

    async def everything(self):
        """Return every folded value of every group but the lists of what trends, the whole history, all profiles."""
        groups = [USER, ITEM, ITEM_COUNTRY, PLACEMENT, ERASED, EXPOSURE]
        read = {USER: lambda value: meaning(decode_user(value)), ITEM: decode_item, ITEM_COUNTRY: decode_country}
        found = {
            group: {key: read.get(group, bytes)(record.value) async for key, record in self.state.scan(group)}
            for group in groups
        }
        users = {row.user_id for rows in self.interactions._users.values() for row in rows.values()}
        history = {user: sorted(map(str, await self.interactions.by_user(user, 10_000))) for user in sorted(users)}
        return found, history, await self.profiles.page("", 10_000)


def meaning(record):
    """Return all that a user's record says, whatever numbers it gives to event types."""
    return record and (msgspec.structs.replace(record, types=[], codes=b""), list(record.rows().event_types()))


def happened(number, user, item, kind="view", event_id=None, at=None, location=None, **metadata):
    """Build an interaction; `number` makes id and time."""
    at = NOW - 3_600_000 + number * 1000 if at is None else at
    return Interaction(
        event_id=event_id or f"evt_{number}",
        timestamp=at,
        ingested_at=NOW,
        user_id=user,
        item_id=item,
        event_type=kind,
        context=EventContext(location=location),
        metadata=metadata,
    )
