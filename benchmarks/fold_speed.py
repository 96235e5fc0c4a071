"""How fast one consumer folds events into every feature: single-item events, and a mix with impressions of 20 items.

Every user begins with an imported history; events come one or two of a user to a batch, as a large site's do. The
events stand in the log before the clock runs: reading them, the history, items, trends and the commit are in the
figures. "Of one core" counts the processor time of all threads of this process, which is the consumer alone by then.
Beside it stand plain synced writes of the same state records, which no fold can be faster than. `--state URL` folds
into Redis, such as `redis://127.0.0.1:6379/0`, under prefixes that it leaves there; history, catalogue and log stay
embedded.

python -m benchmarks.fold_speed [--events N] [--history ROWS] [--state URL]
"""

import argparse
import asyncio
import random
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.servers import machine
from kindred.app.sections import SCHEMA, StoresConfig
from kindred.app.stores import Stores, open_port, open_stores
from kindred.cli.serving import calm_collector
from kindred.core.clock import DAY
from kindred.core.event import EventContext, Imported, Interaction
from kindred.core.ids import new_id
from kindred.features.groups import ITEM, USER
from kindred.ingest.consumer import Consumer, ConsumerConfig
from kindred.ingest.fold_columns import FOLD_FOLDER, FoldColumns, import_folder
from kindred.ingest.journal import Journal
from kindred.ports.interactions import InteractionColumns
from kindred.ports.state import StateKey, StateRecord, StateWrite
from kindred.settings.load import load_settings

NOW = 1_700_000_000_000
USERS, ITEMS, BATCH, SHOWN = 20_000, 5_000, 2_000, 20
HISTORY, HISTORY_DAYS = 30, 90


@dataclass(frozen=True)
class Measured:
    """One run: events folded a second (wall and processor), and the limit in records written a second."""

    name: str
    rate: float
    cpu_rate: float
    records: int
    limit: float


def events(kinds: Sequence[tuple[str, float]], count: int) -> list[Interaction]:
    """Make up events of the kinds by weight: users evenly, items by popularity, as they happen, told within 2 s."""
    dice = random.Random(1)
    chosen = dice.choices([kind for kind, _ in kinds], [weight for _, weight in kinds], k=count)
    return [event(number, kind, dice) for number, kind in enumerate(chosen)]


def event(number: int, kind: str, dice: random.Random) -> Interaction:
    """Make up one event of a kind, told within 2 s."""

    def item() -> str:
        return f"i{int(dice.paretovariate(0.8)) % ITEMS}"

    metadata: dict[str, object] = {}
    if kind == "view":
        metadata = {"watch_duration": 10, "total_duration": 30}
    elif kind == "rating":
        metadata = {"rating": 4}
    elif kind == "purchase":
        metadata = {"price": 9.5}
    elif kind == "impression":
        metadata = {"items": [item() for _ in range(SHOWN)]}
    return Interaction(
        event_id=f"evt_{number:08d}",
        timestamp=NOW + 10 * number - dice.randrange(2_000),
        ingested_at=NOW + 10 * number,
        user_id=f"u{dice.randrange(USERS)}",
        item_id="" if kind == "impression" else item(),
        event_type=kind,
        context=EventContext(device="web", session_id="s1", location="DE", placement="home"),
        metadata=metadata,
    )


MIXES: dict[str, Sequence[tuple[str, float]]] = {
    "single-item events": [("view", 0.65), ("click", 0.25), ("purchase", 0.05), ("rating", 0.05)],
    "mix with 15 % impressions of 20 items": [
        *(("view", 0.6), ("click", 0.2), ("purchase", 0.025), ("rating", 0.025), ("impression", 0.15)),
    ],
}


async def seed(stores: Stores, journal: Journal, rows: int) -> None:
    """Give every user a history of `rows` events by one import."""
    dice, size = np.random.default_rng(1), USERS * rows
    users, names = [f"u{number}" for number in range(USERS)], ("view", "click", "rating")
    ordinals = await stores.catalog.resolve([f"i{number}" for number in range(ITEMS)], NOW)
    items = np.array(ordinals, np.int32)[dice.pareto(0.8, size).astype(np.int64) % ITEMS]
    times = np.sort(NOW - dice.integers(DAY, HISTORY_DAYS * DAY, (USERS, rows)), axis=1).ravel()
    types = dice.choice(len(names), size, p=(0.7, 0.25, 0.05)).astype(np.uint8)
    values = np.choose(types, (0.5, np.nan, 4.0)).astype(np.float32)
    starts = np.arange(USERS + 1, dtype=np.int64) * rows
    folder = import_folder(stores.lake, "seed") / FOLD_FOLDER
    folder.mkdir(parents=True)
    FoldColumns(users, starts, items, times, types, values, names).save(folder / "part-00000.npz")
    await stores.interactions.add_columns(
        InteractionColumns(
            np.frombuffer(dice.bytes(16 * size), "S16"),
            [user for user in users for _ in range(rows)],
            items,
            [names[code] for code in types.tolist()],
            times,
            values.astype(np.float64),
        )
    )
    marker = Imported(event_id="seed", timestamp=NOW, ingested_at=NOW, import_id="seed", source="seed")
    await journal.record([marker])


async def measure(name: str, count: int, history: int, state: str | None) -> Measured:
    """Import, fold half of the events to warm the stores, then time the rest."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        stores = await open_stores(load_settings(SCHEMA, {}, home).section(StoresConfig), home)
        if state is not None:
            await stores.state.close()
            stores = replace(stores, state=await open_port("state", _apart(state), home))
        try:
            journal, made = Journal(stores.log), events(MIXES[name], count)
            if history:
                await seed(stores, journal, history)
            for start in range(0, count, BATCH):
                await journal.record(made[start : start + BATCH])
            consumer = Consumer(stores.ingest, stores.leases, ConsumerConfig())
            (end,) = await stores.log.ends()
            calm_collector()
            await consumer.drain_to(end._replace(offset=end.offset - count // 2))
            started, cpu = time.perf_counter(), time.process_time()
            await consumer.drain_to(end)
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
            records, limit = await _limit(stores)
            return Measured(name, count / 2 / wall, count / 2 / cpu, records, limit)
        finally:
            await stores.close()


def _apart(url: str) -> str:
    """Return the URL with a prefix of its own: what stands in a store already is not folded again."""
    return f"{url}{'&' if '?' in url else '?'}prefix={new_id('fold')}"


async def _limit(stores: Stores) -> tuple[int, float]:
    """Write the records that stand in the state again, under other keys, in batches of the same size."""
    records = []
    for group in (USER, ITEM):
        async for key, record in stores.state.scan(group):
            records.append(
                StateWrite(StateKey("limit@1", f"{group}/{key}"), StateRecord(record.position, record.value))
            )
    watermark = await stores.state.watermark()
    started = time.perf_counter()
    for start in range(0, len(records), BATCH):
        await stores.state.write(records[start : start + BATCH], watermark)
    return len(records), len(records) / (time.perf_counter() - started)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--history", type=int, default=HISTORY)
    parser.add_argument("--state", default=None)
    options, _ = parser.parse_known_args()
    table = Table(title=f"Folding all features on one consumer ({options.state or 'embedded'}); {machine()}")
    columns = ("events", "folded/s", "folded/s of one core", "records written/s (limit)", "ratio")
    for column in columns:
        table.add_column(column, justify="left" if column == "events" else "right")
    for name in MIXES:
        found = asyncio.run(measure(name, options.events, options.history, options.state))
        table.add_row(
            name,
            f"{found.rate:,.0f}",
            f"{found.cpu_rate:,.0f}",
            f"{found.limit:,.0f}",
            f"{found.rate / found.limit:.2f}",
        )
    Console().print(table)
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
