"""Reading all features of one user and 500 candidates, beside the bare read of the same bytes in the same run.

`--state URL` names the state store; without it, an embedded one in a folder of its own. The records are folded from
events: of each item in every five minutes of an hour, hour of a week and day of a month, of the user 1,000 rows and
256 exposures. They stand among those of 20,000 items.

python -m benchmarks.feature_read [--state redis://127.0.0.1:6379/0] [--rounds N]
"""

import argparse
import asyncio
import gc
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.servers import machine
from kindred.app.stores import open_port
from kindred.core.clock import DAY, HOUR, MINUTE
from kindred.core.item import Item
from kindred.core.position import START, Position
from kindred.core.query import Context
from kindred.features.changes import Act, ItemAct, Shown
from kindred.features.counters import pack_entries
from kindred.features.groups import ITEM, FoldConfig, item_key, user_key
from kindred.features.item_acts import Touched
from kindred.features.item_blocks import HEAD, read_heads
from kindred.features.item_counters import credit_entries
from kindred.features.items import ItemRecord, encode_item, fold_items
from kindred.features.user_fold import fold_user
from kindred.features.users import decode_user, encode_user
from kindred.features.values.attributes import ItemAttributes, attributes_of
from kindred.features.values.slate import all_values
from kindred.ports.state import StateRecord, StateStore, StateWrite

ITEMS, STORED, KINDS = 500, 20_000, 50
NOW = 1_700_000_000_000
_TYPES = ("view", "view", "impression", "impression", "click", "purchase", "rating")
_PARTS = ("bare read of the same bytes", "read", "user's record", "all columns", "whole")


@dataclass(frozen=True)
class Measured:
    """What was read: bytes of the user's record, of an item's, of its head; `spent (rounds, parts)` seconds."""

    user: int
    item: int
    spent: np.ndarray
    cpu: float


def popular_items(count: int) -> list[bytes]:
    """Return records of items, each with events of its own in every bucket that is kept."""
    dice = np.random.default_rng(7)
    times = [NOW - 5 * MINUTE * n for n in range(14)] + [NOW - HOUR * n for n in range(192)]
    times += [NOW - DAY * n for n in range(31)]
    touched = []
    for item in range(count):
        kinds = dice.integers(0, len(_TYPES), (len(times), len(_TYPES)))
        acts = [
            _item_act(item, number * len(_TYPES) + place, when, _TYPES[kind])
            for number, when in enumerate(times)
            for place, kind in enumerate(kinds[number].tolist())
        ]
        touched.append(Touched(ItemRecord(), acts))
    return [encode_item(record or ItemRecord()) for record in fold_items(touched, FoldConfig())]


def _item_act(item: int, number: int, when: int, kind: str) -> ItemAct:
    value = {"rating": 1.0 + number % 5, "view": 0.5, "purchase": 9.5}.get(kind, float("nan"))
    credit = pack_entries(credit_entries(when, 1, 0, 700)) if kind == "click" else b""
    return ItemAct(Position(0, 0, number), item, kind, when, value, exposed=kind == "impression", extra=credit)


def busy_user() -> bytes:
    """Return the record of a user with 1,000 rows of 500 items over 80 days, and all exposures that are kept."""
    kinds = [kind for kind in _TYPES if kind != "impression"]
    changes: list[Act | Shown] = []
    for number in range(1_000):
        at = NOW - (1_000 - number) * 115 * MINUTE
        position, item, kind = Position(0, 0, 2 * number), number % ITEMS, kinds[number % len(kinds)]
        changes.append(Act(position, number, at, item, kind, at, 4.0, 30.0, number, "web"))
        if number >= 980:
            shown = tuple((item + step) % ITEMS for step in range(20))
            changes.append(Shown(Position(0, 0, 2 * number + 1), 10_000 + number, at, at, shown, number, "home"))
    return encode_user(fold_user("u", None, START, changes, FoldConfig()).record)


def catalogue(count: int) -> ItemAttributes:
    """Return a catalogue of `count` items in 20 categories with 90 tags."""
    return attributes_of(
        [
            Item(
                item_id=str(n),
                categories=[f"c{n % 20}", f"d{n % 7}"],
                tags=[f"t{n % 90}", f"s{n % 50}"],
                created=NOW - n % 99 * DAY,
                price=1.0 + n % 40,
            )
            for n in range(count)
        ]
    )


async def fill(state: StateStore) -> tuple[int, int]:
    """Store the user and all items; return how many bytes their records have on average."""
    made, user, position = popular_items(KINDS), busy_user(), Position(0, 0, 10_000)
    writes = [StateWrite(user_key("u"), StateRecord(position, user))]
    writes += [StateWrite(item_key(n), StateRecord(position, made[n % KINDS])) for n in range(STORED)]
    for start in range(0, len(writes), 2_000):
        await state.write(writes[start : start + 2_000], position)
    return len(user), sum(map(len, made)) // KINDS


async def measure(state: StateStore, rounds: int) -> Measured:
    """Time the parts of reading everything of candidates that change from round to round."""
    user_bytes, item_bytes = await fill(state)
    items, dice = catalogue(STORED), np.random.default_rng(3)
    spent, cpu, user = [], 0.0, [user_key("u")]
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        ordinals = dice.choice(STORED, ITEMS, replace=False).astype(np.int32)
        keys = list(map(str, ordinals.tolist()))
        before = time.perf_counter()
        await state.read(user)
        await state.heads(ITEM, keys, HEAD.itemsize)
        begun, busy = time.perf_counter(), time.process_time()
        stored = (await state.read(user)).records[0]
        heads = read_heads(await state.heads(ITEM, list(map(str, ordinals.tolist())), HEAD.itemsize))
        read = time.perf_counter()
        record = decode_user(stored.value if stored else b"")
        decoded = time.perf_counter()
        all_values(record, ordinals, heads, items, Context(time=NOW))
        done = time.perf_counter()
        cpu += time.process_time() - busy
        spent.append((begun - before, read - begun, decoded - read, done - decoded, done - begun))
    return Measured(user_bytes, item_bytes, np.array(spent[rounds // 10 :]), cpu / rounds)


async def run(url: str, rounds: int) -> Measured:
    """Open the store and measure."""
    with tempfile.TemporaryDirectory() as folder:
        state = await open_port("state", url, Path(folder))
        try:
            return await measure(state, rounds)
        finally:
            await state.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", default="local:state")
    parser.add_argument("--rounds", type=int, default=1_000)
    options, _ = parser.parse_known_args()
    found = asyncio.run(run(options.state, options.rounds))
    title = f"All features of a user and {ITEMS} items, state in {options.state.partition(':')[0]}; {machine()}"
    table = Table("what", title=title)
    for name in ("p50 ms", "p99 ms"):
        table.add_column(name, justify="right")
    middle, high = np.percentile(found.spent * 1_000, [50, 99], axis=0)
    for name, *figures in zip(_PARTS, middle, high, strict=True):
        table.add_row(name, *(f"{figure:.2f}" for figure in figures))
    Console().print(table)
    print(f"whole / bare read: {middle[-1] / middle[0]:.2f}; processor time of the whole: {found.cpu * 1_000:.2f} ms")
    print(f"bytes: {found.user:,} of the user, {found.item:,} of an item, {HEAD.itemsize:,} of which are read here")


if __name__ == "__main__":
    main()
