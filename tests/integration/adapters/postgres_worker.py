"""A process of its own that works on the stores in PostgreSQL and prints what was acknowledged, line by line."""

import asyncio
import sys
from itertools import count
from pathlib import Path

from kindred.adapters.postgres.catalog import open_catalog
from kindred.adapters.postgres.leases import open_leases
from kindred.core.item import Item

HOME = Path()


def say(*words: object) -> None:
    """Print a line in one write."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def upsert(location: str, writer: str, turns: str) -> None:
    """Upsert items that every writer writes alike, and some of its own; print each id with its ordinal."""
    store = await open_catalog(location, HOME)
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    for turn in range(int(turns)):
        items = [Item(item_id=f"shared-{turn}-{n}") for n in range(5)] + [Item(item_id=f"own-{writer}-{turn}")]
        for item, ordinal in zip(items, await store.upsert(items, 1), strict=True):
            say(item.item_id, ordinal)
    await store.close()


async def hold_lease(location: str, owner: str) -> None:
    """Wait for the lease, print its number, and hold it."""
    leases = await open_leases(location, HOME)
    for _ in count():
        if (fence := await leases.acquire("consumer", owner)) is not None:
            break
        await asyncio.sleep(0.01)
    say(fence)
    await asyncio.sleep(3_600)


COMMANDS = {"upsert": upsert, "hold-lease": hold_lease}

if __name__ == "__main__":
    asyncio.run(COMMANDS[sys.argv[1]](*sys.argv[2:]))
