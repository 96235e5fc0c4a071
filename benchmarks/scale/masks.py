"""What filters cost by the size of the catalogue: first use, known ones, and with something changed in between.

python -m benchmarks.scale.masks [--items 1000000 10000000] [--tables FOLDER] [--rounds 500]

Tables that lie in FOLDER under their number of items are opened as they are; others are made, and kept there.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.servers import machine
from kindred.core.candidates import Floats
from kindred.core.clock import DAY
from kindred.core.item import CatalogItem, Item
from kindred.core.query import Context, Filters, Query, UserFacts
from kindred.recommend.filters.rules import allowed
from kindred.recommend.item_table import ItemTable
from kindred.recommend.items.masks import KeptMask

NOW = 1_700_000_000_000
LIMIT = 0.3
SEEN = 500
PART = 50_000
DATED = 5
"""So many of a hundred items go within a year; those of one more in a hundred are for one country."""
LIMITED_STOCK = 70
"""More of a hundred items than so many are not counted."""


@dataclass
class Shelf:
    """What rules read of a world: the table, and ratings, here the catalogue's own."""

    table: ItemTable

    def rated(self, least: float) -> KeptMask:
        """Return which items are rated at least so."""
        return self.table.mask(
            ("min_rating", least),
            lambda rows: (self.table.rating if rows is None else self.table.rating[rows]) >= least,
        )


def items(count: int) -> Iterator[CatalogItem]:
    """Return made-up items in the feed's order: two categories of 400 and four tags of 5,000 each, by Zipf's law."""
    for first in range(0, count, PART):
        rng, size = np.random.default_rng((42, first)), min(PART, count - first)
        categories, tags = (np.minimum(rng.zipf(1.3, (size, each)), most) for each, most in ((2, 400), (4, 5_000)))
        facts = zip(
            [[f"Category {number}" for number in row] for row in categories.tolist()],
            [[f"tag-{number}" for number in row] for row in tags.tolist()],
            rng.uniform(1, 5, size).round(2).tolist(),
            (NOW - rng.exponential(400 * DAY, size)).astype(np.int64).tolist(),
            rng.integers(0, 365 * DAY, size).tolist(),
            rng.integers(0, 100, size).tolist(),
            strict=True,
        )
        for seq, (names, own, rating, created, lasts, chance) in enumerate(facts, start=first + 1):
            item = Item(
                item_id=str(seq),
                categories=names,
                tags=own,
                creator=f"creator-{seq % 99_991}",
                rating=rating,
                created=created,
                available_until=NOW + lasts if chance < DATED else None,
                stock=chance if chance > LIMITED_STOCK else None,
                regions=["US"] if chance == DATED else [],
            )
            yield CatalogItem(ordinal=seq - 1, seq=seq, listed=True, item=item, updated=NOW)


@contextmanager
def table_folder(count: int, kept: Path | None) -> Iterator[Path]:
    """Give a folder with a table of so many items, made where it is missing."""
    with tempfile.TemporaryDirectory(prefix="kindred-bench-") as scratch:
        folder = (kept or Path(scratch)) / str(count)
        if not folder.is_dir():
            ItemTable.of(items(count)).save(folder)
        yield folder


def asked(table: ItemTable, seen: np.ndarray, now: int, filters: Filters) -> float:
    """Return how long a request of a user who has seen items took to know what is allowed, in ms."""
    query = Query("u", "r", Context(time=now, location="DE"), filters=filters, facts=UserFacts(seen=seen))
    begun = time.perf_counter()
    allowed(Shelf(table), query)
    return (time.perf_counter() - begun) * 1_000


def filters_of(table: ItemTable) -> dict[str, Filters]:
    """Return filters, wide and narrow."""
    category, tag = table.category_names[0], table.tags.names[0]
    return {
        "none": Filters(),
        "category": Filters(categories=(category,)),
        "tag": Filters(tags=(tag,)),
        "rating ≥ 4": Filters(min_rating=4.0),
        "category, tag, rating": Filters(categories=(category,), tags=(tag,), min_rating=4.0),
    }


def measure(table: ItemTable, filters: Filters, rounds: int, between: Callable[[int], int]) -> Floats:
    """Return the times (rounds,) of requests in ms; `between` gives each its moment (ms), and may change something."""
    rng = np.random.default_rng(7)
    seen = [np.unique(rng.integers(0, table.size, SEEN)).astype(np.int32) for _ in range(rounds)]
    return np.array([asked(table, mine, between(number), filters) for number, mine in enumerate(seen)], np.float32)


def changing(table: ItemTable, rng: np.random.Generator) -> Callable[[int], int]:
    """Return what changes an item before each request."""

    def change(number: int) -> int:
        ordinal = int(rng.integers(0, table.size))
        item = Item(item_id=str(ordinal), categories=[table.category_names[0]], stock=number % 2)
        table.apply([CatalogItem(ordinal=ordinal, seq=table.seq + 1, listed=True, item=item, updated=NOW)])
        return NOW

    return change


def anonymous_mib() -> float:
    """Return how much memory of this process is no file's."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024


def rows(count: int, folder: Path, rounds: int) -> Iterator[list[str]]:
    """Measure a table; give the lines of the output."""
    before, begun = anonymous_mib(), time.perf_counter()
    table = ItemTable.open(folder)
    opened = time.perf_counter() - begun
    nothing = np.empty(0, np.int32)
    for number, (name, filters) in enumerate(filters_of(table).items()):
        first = asked(table, nothing, NOW, filters)
        known = measure(table, filters, rounds, lambda _: NOW)
        clock = measure(table, filters, rounds, lambda number: NOW + number * 60_000)
        changed = measure(table, filters, rounds, changing(table, np.random.default_rng(number)))
        p50, p99 = np.percentile(known, [50, 99])
        yield [
            f"{count:,}" if not number else "",
            f"{opened:.2f}" if not number else "",
            name,
            f"{first:.1f}",
            f"{p50:.3f}",
            f"{p99:.3f}",
            f"{p50 / LIMIT:.2f}",
            f"{np.median(clock):.3f}",
            f"{np.median(changed):.3f}",
            f"{anonymous_mib() - before:,.0f}",
        ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--rounds", type=int, default=500)
    options, _ = parser.parse_known_args()
    table = Table(title=f"What is allowed, for users who have seen {SEEN} items ({machine()})")
    heads = ("items", "open s", "filter", "first use ms", "known: p50 ms", "p99 ms", f"p50 / {LIMIT:g} ms")
    for head in (*heads, "clock moves: p50 ms", "an item changes: p50 ms", "anonymous MiB"):
        table.add_column(head, justify="left" if head == "filter" else "right")
    for count in options.items:
        with table_folder(count, options.tables) as folder:
            for row in rows(count, folder, options.rounds):
                table.add_row(*row)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
