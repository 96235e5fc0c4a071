"""A whole consumer on memory stores, with stores that break on demand."""

from dataclasses import dataclass, field
from pathlib import Path

from tests.unit.features.acts import meaning

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.dead_letters import MemoryDeadLetters
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.interactions import MemoryInteractions
from kindred.adapters.memory.leases import MemoryLeases
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.adapters.memory.state import MemoryStateStore
from kindred.core.clock import FixedClock
from kindred.core.errors import StoreUnavailable
from kindred.core.event import Interaction
from kindred.features.groups import item_key, user_key
from kindred.features.items import decode_item
from kindred.features.users import decode_user
from kindred.ingest.consumer import Consumer, ConsumerConfig
from kindred.ingest.folding import IngestStores
from kindred.ingest.journal import Journal

NOW = 1_700_000_000_000
QUICK = ConsumerConfig(retry_first=0.001, retry_most=0.002, standby_poll=0.005)


class Breaking:
    """A store whose named methods fail as often as told."""

    def __init__(self, store) -> None:
        self._store = store
        self.failures: dict[str, int] = {}
        self.failed = 0

    def __getattr__(self, name):
        method = getattr(self._store, name)
        if self.failures.get(name, 0) <= 0:
            return method

        async def fail(*args, **kwargs):
            self.failures[name] -= 1
            self.failed += 1
            raise StoreUnavailable(f"{name} is down")

        return fail


@dataclass
class World:
    """Stores, a journal into them, and consumers over them."""

    lake: Path
    config: ConsumerConfig = QUICK
    log: Breaking = field(default_factory=lambda: Breaking(MemoryEventLog()))
    state: Breaking = field(default_factory=lambda: Breaking(MemoryStateStore()))
    interactions: Breaking = field(default_factory=lambda: Breaking(MemoryInteractions()))
    catalog: Breaking = field(default_factory=lambda: Breaking(MemoryCatalog()))
    profiles: Breaking = field(default_factory=lambda: Breaking(MemoryProfiles()))
    letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    leases: MemoryLeases = field(default_factory=MemoryLeases)
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))

    def consumer(self, **config) -> Consumer:
        """Return a new consumer over the stores."""
        stores = IngestStores(
            self.log, self.state, self.interactions, self.catalog, self.profiles, self.lake, self.letters
        )
        chosen = ConsumerConfig(**{name: getattr(self.config, name) for name in self.config.__struct_fields__} | config)
        return Consumer(stores, self.leases, chosen, clock=self.clock)

    async def record(self, *events):
        """Append events, return their positions."""
        return await Journal(self.log).record(events)

    async def drain(self, **config) -> None:
        """Fold everything that the log holds."""
        (end,) = await self.log.ends()
        await self.consumer(**config).drain_to(end, timeout=20)

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
        counts = {item: await self.item(item) for item in items}
        history = {user: sorted(map(str, await self.interactions.by_user(user, 10_000))) for user in users}
        return {user: meaning(await self.user(user)) for user in users}, counts, history


def happened(number, user, item, kind="view", event_id=None, at=None, **metadata):
    """Build an interaction; `number` makes id and time."""
    at = NOW - 3_600_000 + number * 1000 if at is None else at
    return Interaction(
        event_id=event_id or f"evt_{number}",
        timestamp=at,
        ingested_at=NOW,
        user_id=user,
        item_id=item,
        event_type=kind,
        metadata=metadata,
    )
