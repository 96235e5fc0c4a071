"""Stores, events and a log of several partitions for tests of the jobs."""

from dataclasses import dataclass
from pathlib import Path

from kindred.adapters.local.leases import LocalLeases
from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.event_log import MemoryEventLog
from kindred.adapters.memory.profiles import MemoryProfiles
from kindred.core.event import Event, EventContext, Interaction, encode_event, partition_key
from kindred.core.item import Item
from kindred.ports.log import EventLog

NOW = 1_700_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


@dataclass(frozen=True)
class Stores:
    """What the lake and training touch."""

    log: EventLog
    catalog: MemoryCatalog
    profiles: MemoryProfiles
    leases: LocalLeases
    lake: Path


def in_memory(folder: Path, partitions: int = 1) -> Stores:
    """Return empty stores, the lake and the leases below `folder`."""
    log = MemoryEventLog(partitions) if partitions > 1 else MemoryEventLog()
    return Stores(log, MemoryCatalog(), MemoryProfiles(), LocalLeases(folder / "leases"), folder / "lake")


def bought(user: str, item: str, number: int, arrived: int = NOW, kind: str = "purchase") -> Interaction:
    """Return an interaction."""
    return Interaction(
        event_id=f"e{number}",
        timestamp=arrived,
        ingested_at=arrived,
        user_id=user,
        item_id=item,
        event_type=kind,
        context=EventContext(device="tv", location="de-be", position=3, placement="home", request_id="rec_1"),
        metadata={"price": float(number)} if kind == "purchase" else {},
    )


async def logged(log: EventLog, *events: Event) -> None:
    """Append events."""
    await log.append([(partition_key(event), encode_event(event)) for event in events])


async def listed(catalog: MemoryCatalog, count: int = 20) -> None:
    """List items i0, i1, …"""
    await catalog.upsert([Item(item_id=f"i{n}", title=f"thing {n}") for n in range(count)], NOW)
