"""Whether a consumer's memory stays flat while millions of events of a bounded population go through it.

Log and consumer run in one process, as in `kindred serve`. The private part of memory (`Pss_Anon`) is what a leak would
raise; the rest of PSS is mapped files, such as the state, whose pages the system takes back. Events happen 350 ms apart
and the consumer's clock goes with them: 10 million are 40 days, so that every window fills and then moves on. The page
cache of the history, up to 64 MiB, fills within the first million. The slope is that of the private part over the
second half of the run.

python -m benchmarks.consumer_memory [--events N] [--every N]
"""

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.fold_speed import BATCH, ITEMS, MIXES, NOW, USERS, event
from benchmarks.servers import machine, memory_mib
from kindred.app.sections import SCHEMA, StoresConfig
from kindred.app.stores import open_stores
from kindred.core.event import Interaction
from kindred.ingest.consumer import Consumer, ConsumerConfig
from kindred.ingest.journal import Journal
from kindred.settings.load import load_settings

_AHEAD = 20_000
_STRIDE = 35


class EventClock:
    """The time of the newest event."""

    def __init__(self) -> None:
        """Start where the events start."""
        self.time = NOW

    def now(self) -> int:
        """Return milliseconds since 1970 UTC."""
        return self.time


def batches(count: int) -> Iterator[list[Interaction]]:
    """Make up the events of the mix a batch at a time, so that they take no memory here."""
    dice = random.Random(1)
    kinds, weights = zip(*MIXES["single-item events"], strict=True)
    for start in range(0, count, BATCH):
        chosen = dice.choices(kinds, weights, k=min(BATCH, count - start))
        yield [event(_STRIDE * number, kind, dice) for number, kind in enumerate(chosen, start)]


async def measure(count: int, every: int) -> list[tuple[int, float, float, float]]:
    """Return (events folded, seconds, PSS MiB, private MiB) at every so many events."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="kindred-bench-") as folder:
        home, stop, clock = Path(folder), asyncio.Event(), EventClock()
        stores = await open_stores(load_settings(SCHEMA, {}, home).section(StoresConfig), home)
        consumer = Consumer(stores.ingest, stores.leases, ConsumerConfig(), clock=clock)
        journal, folding = Journal(stores.log, consumer.wake), asyncio.create_task(consumer.run(stop))
        started = time.perf_counter()
        try:
            fed = 0
            for batch in batches(count):
                clock.time = batch[-1].ingested_at
                positions = await journal.record(batch)
                fed += len(batch)
                due = fed % every < BATCH
                target = positions[-1]._replace(offset=positions[-1].offset - (0 if due else _AHEAD))
                while await stores.state.watermark() < target:
                    await asyncio.sleep(0.01)
                if due:
                    rows.append((fed, time.perf_counter() - started, *memory_mib(os.getpid())))
        finally:
            stop.set()
            consumer.wake()
            await folding
            await stores.close()
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--every", type=int, default=1_000_000)
    options, _ = parser.parse_known_args()
    rows = asyncio.run(measure(options.events, options.every))
    table = Table(title=f"Memory of a consumer, {USERS:,} users and {ITEMS:,} items; {machine()}")
    for column in ("events folded", "events/s", "PSS MiB", "private MiB"):
        table.add_column(column, justify="right")
    for events, seconds, pss, private in rows:
        table.add_row(f"{events:,}", f"{events / seconds:,.0f}", f"{pss:.0f}", f"{private:.1f}")
    Console().print(table)
    late = rows[len(rows) // 2 :]
    if len(late) > 1:
        slope = np.polyfit([events / 1e6 for events, *_ in late], [private for *_, private in late], 1)[0]
        print(f"slope of the private part over the second half: {slope:+.2f} MiB per million events")


if __name__ == "__main__":
    main()
