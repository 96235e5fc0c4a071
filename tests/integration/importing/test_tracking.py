"""Importing rows leaves users, items and history as tracking the same rows one by one does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.dead_letters import MemoryDeadLetters
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.interactions import MemoryInteractions
from kindred.adapters.memory.leases import MemoryLeases
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.adapters.memory.state import MemoryStateStore
from kindred.core.clock import FixedClock, parse_time
from kindred.core.event import Interaction
from kindred.core.position import Position
from kindred.features.groups import item_key, user_key
from kindred.features.items import ItemRecord, decode_item
from kindred.features.users import UserRecord, decode_user
from kindred.ingest.consumer import Consumer
from kindred.ingest.folding import IngestStores
from kindred.ingest.importing import ImportOptions, ImportStores, parse_mapping, run_import
from kindred.ingest.journal import Journal

NOW = 1_750_000_000_000
ROWS = [
    ("ann", "x", "view", "2024-01-01T10:00:00Z", None),
    ("ann", "y", "rating", "2024-01-01T11:00:00Z", 4.5),
    ("ann", "x", "purchase", "2024-01-03T10:00:00Z", 9.5),
    ("ann", "x", "view", "2024-01-01T10:00:00Z", None),
    ("bob", "y", "view", "2024-01-02T10:00:00Z", None),
    ("bob", "z", "rating", "2024-01-02T10:30:00Z", 1.0),
]
VALUE = {"rating": "rating", "purchase": "price"}


@dataclass
class World:
    """One set of stores."""

    stores: IngestStores
    leases: MemoryLeases

    async def drain(self, position: Position) -> None:
        await Consumer(self.stores, self.leases, clock=FixedClock(NOW)).drain_to(position)

    async def user(self, user: str) -> tuple[Any, ...]:
        (record,) = (await self.stores.state.read([user_key(user)])).records
        folded = decode_user(record.value) if record else UserRecord()
        history = [row[1:] for row in await self.stores.interactions.by_user(user, 100)]
        names = [folded.types[code] for code in folded.codes]
        columns = (folded.items, folded.timestamps, names, folded.values, folded.seen, folded.interactions)
        return (*columns, sorted(map(repr, history)))

    async def item(self, item: str) -> ItemRecord | None:
        (ordinal,) = await self.stores.catalog.resolve([item], NOW)
        (record,) = (await self.stores.state.read([item_key(ordinal)])).records
        return decode_item(record.value) if record else None


def world(folder: Path) -> World:
    log, state, history = MemoryEventLog(), MemoryStateStore(), MemoryInteractions()
    return World(
        IngestStores(log, state, history, MemoryCatalog(), MemoryProfiles(), folder / "lake", MemoryDeadLetters()),
        MemoryLeases(),
    )


async def imported(folder: Path) -> World:
    made = world(folder)
    lines = [",".join("" if field is None else str(field) for field in row) for row in ROWS]
    (folder / "a.csv").write_text("\n".join(["u,i,e,t,v", *lines]) + "\n")
    columns = {"user_id": "u", "item_id": "i", "event_type": "e", "timestamp": "t", "value": "v"}
    mapping = parse_mapping({"source": "s", "interactions": {"path": "a.csv", "columns": columns}}, folder)
    s = made.stores
    stores = ImportStores(s.catalog, s.profiles, s.interactions, s.log, made.leases, s.lake)
    report = await run_import(mapping, stores, ImportOptions(clock=FixedClock(NOW)))
    assert report.position is not None
    await made.drain(report.position)
    return made


async def tracked(folder: Path) -> World:
    made = world(folder)
    journal = Journal(made.stores.log)
    position = Position(0, 0, -1)
    for number, (user, item, kind, when, value) in enumerate(ROWS):
        time = parse_time(when, "/timestamp")
        metadata = {VALUE[kind]: value} if value is not None else {}
        event = Interaction(
            event_id=f"e{number}",
            timestamp=time,
            ingested_at=time,
            user_id=user,
            item_id=item,
            event_type=kind,
            metadata=metadata,
        )
        (position,) = await journal.record([event])
    await made.drain(position)
    return made


async def test_an_import_is_as_good_as_tracking(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    bulk, live = await imported(one), await tracked(other)
    for user in ("ann", "bob"):
        assert await bulk.user(user) == await live.user(user)
    for item in ("x", "y", "z"):
        imported_item, tracked_item = await bulk.item(item), await live.item(item)
        assert imported_item is not None
        assert tracked_item is not None
        assert (imported_item.cells, imported_item.types) == (tracked_item.cells, tracked_item.types)
