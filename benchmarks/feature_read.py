"""Reading all features of one user and 500 candidates, beside the bare read of their records.

KINDRED_BENCHMARK_STATE names the state store by its URL; without it, an embedded one in a folder of its own. Every
record is as full as a popular item's gets: each bucket of each window is filled.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from kindred.app.stores import open_port
from kindred.core.clock import HOUR
from kindred.core.item import Item
from kindred.core.position import START, Position
from kindred.core.query import Context
from kindred.features.changes import Act, ItemAct
from kindred.features.groups import FoldConfig, item_key, user_key
from kindred.features.items import ItemRecord, Touched, decode_item, encode_item, fold_items
from kindred.features.user_fold import fold_user
from kindred.features.users import decode_user, encode_user
from kindred.features.values.attributes import attributes_of
from kindred.features.values.slate import all_values
from kindred.ports.state import StateRecord, StateStore, StateWrite

ITEMS, ROUNDS = 500, 400
NOW = 1_700_000_000_000
_TYPES = ("view", "view", "click", "purchase", "rating")


def popular_items(count: int) -> list[bytes]:
    """Return records of items with events in each five minutes of an hour, hour of a week, day of a month."""
    draw = np.random.default_rng(7)
    times = [NOW - 300_000 * n for n in range(14)] + [NOW - HOUR * n for n in range(192)]
    times += [NOW - 24 * HOUR * n for n in range(31)]
    touched = []
    for item in range(count):
        acts = []
        for number, when in enumerate(times):
            for place, kind in enumerate(_TYPES):
                source = Position(0, 0, number * len(_TYPES) + place)
                value = float(draw.integers(1, 6)) if kind == "rating" else 0.5
                acts.append(ItemAct(source, item, kind, when, value, exposed=kind == "view"))
        touched.append(Touched(ItemRecord(), acts))
    return [encode_item(record or ItemRecord()) for record in fold_items(touched, FoldConfig())]


def busy_user() -> bytes:
    """Return the record of a user with 1,000 rows on 500 items."""
    acts = [
        Act(Position(0, 0, n), n, NOW, n % ITEMS, _TYPES[n % 5], NOW - (1_000 - n) * 60_000, 4.0) for n in range(1_000)
    ]
    return encode_user(fold_user("u", None, START, acts, FoldConfig()).record)


async def measure(state: StateStore) -> list[tuple[str, float, float]]:
    """Return (what, p50 ms, p99 ms) of reading, decoding and computing, and of all three."""
    items = popular_items(ITEMS)
    position = Position(0, 0, 2_000)
    keys = [user_key("u"), *(item_key(n) for n in range(ITEMS))]
    values = [busy_user(), *items]
    writes = [StateWrite(key, StateRecord(position, value)) for key, value in zip(keys, values, strict=True)]
    await state.write(writes, position)
    catalogue = attributes_of(
        [
            Item(item_id=str(n), categories=[f"c{n % 20}", f"d{n % 7}"], tags=[f"t{n % 90}", f"s{n % 50}"], created=NOW)
            for n in range(ITEMS)
        ]
    )
    ordinals = np.arange(ITEMS, dtype=np.int32)
    spent = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        records = (await state.read(keys)).records
        read = time.perf_counter()
        user = decode_user(records[0].value if records[0] else b"")
        decoded = [decode_item(each.value if each else b"") for each in records[1:]]
        done = time.perf_counter()
        all_values(user, ordinals, decoded, catalogue, Context(time=NOW))
        spent.append((read - begun, done - read, time.perf_counter() - done, time.perf_counter() - begun))
    columns = np.array(spent[ROUNDS // 10 :]).T * 1_000
    names = (f"state.read of {sum(map(len, values)) / 1e6:.1f} MB", "decode", "all columns", "whole")
    return [(name, *np.percentile(each, [50, 99]).tolist()) for name, each in zip(names, columns, strict=True)]


async def run() -> None:
    """Open the store, measure, print."""
    url = os.environ.get("KINDRED_BENCHMARK_STATE", "local:state")
    with tempfile.TemporaryDirectory() as folder:
        state = await open_port("state", url, Path(folder))
        try:
            found = await measure(state)
        finally:
            await state.close()
    scheme = url.partition(":")[0]
    table = Table("what", "p50 ms", "p99 ms", title=f"Features of one user and {ITEMS} items, state in {scheme}")
    for name, median, high in found:
        table.add_row(name, f"{median:.2f}", f"{high:.2f}")
    Console().print(table)


def main() -> None:
    """Print the table."""
    asyncio.run(run())


if __name__ == "__main__":
    main()
