"""A consumer as a process of its own on embedded stores, for the tests that kill it."""

import asyncio
import sys
from pathlib import Path

from kindred.adapters.local.leases import open_leases
from kindred.adapters.local.state import open_state
from kindred.adapters.sqlite.catalog import open_catalog
from kindred.adapters.sqlite.dead_letters import open_dead_letters
from kindred.adapters.sqlite.event_log import open_event_log
from kindred.adapters.sqlite.interactions import open_interactions
from kindred.adapters.sqlite.profiles import open_profiles
from kindred.ingest.consumer import Consumer, ConsumerConfig
from kindred.ingest.folding import IngestStores


async def open_stores(home: Path) -> IngestStores:
    """Open the embedded stores of a data folder."""
    return IngestStores(
        await open_event_log("log", home),
        await open_state("state", home),
        await open_interactions("history.sqlite", home),
        await open_catalog("catalog.sqlite", home),
        await open_profiles("profiles.sqlite", home),
        home / "lake",
        await open_dead_letters("dead_letters.sqlite", home),
    )


async def consume(home: Path) -> None:
    """Run a consumer until the process is killed, saying its role when it changes."""
    consumer = Consumer(
        await open_stores(home), await open_leases("leases", home), ConsumerConfig(standby_poll=0.02, batch=50)
    )
    task = asyncio.create_task(consumer.run(asyncio.Event()))
    role = ""
    while not task.done():
        if consumer.status.role != role:
            role = consumer.status.role
            print(role, consumer.status.cause, flush=True)
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(consume(Path(sys.argv[1])))
