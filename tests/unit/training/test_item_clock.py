"""Items' records at any moment are what the fold that serves makes of the rows before it."""

import numpy as np
import pytest

from kindred.features.bulk import ItemTally
from kindred.features.counters import Amounts, unpack_entries
from kindred.features.groups import FoldConfig
from kindred.features.history import HistoryRows
from kindred.features.item_blocks import BLOCK, HEAD, add
from kindred.models.preference import Interactions
from kindred.training.item_clock import ItemClock

HOUR = 3_600_000
START = 1_700_000_000_000
N_ITEMS = 12


def rows(count: int = 600, seed: int = 4) -> Interactions:
    rng = np.random.default_rng(seed)
    times = START + rng.integers(0, 60 * 24 * HOUR, count)
    times[rng.random(count) < 0.05] = -1
    return Interactions(
        rng.integers(0, 30, count).astype(np.int32),
        rng.integers(0, N_ITEMS - 1, count).astype(np.int32),
        times.astype(np.int64),
        rng.integers(0, 3, count).astype(np.int16),
        rng.choice([3.0, 4.5, np.nan], count).astype(np.float32),
        ("purchase", "rating", "view"),
    )


def folded(columns: Interactions, now: int) -> bytes:
    """Return the heads that the fold of an import makes of the rows up to a moment."""
    past = columns.take(columns.timestamps <= now)
    tally = ItemTally(FoldConfig())
    tally.add(HistoryRows(past.items, past.timestamps, past.event_types.astype(np.uint8), past.values, past.names))
    blocks = np.zeros(N_ITEMS, BLOCK)
    for ordinal, entries in tally.counters():
        found = unpack_entries([entries], np.array([ordinal], np.int64))
        add(blocks, Amounts(found.owners, found.slots, found.amounts))
    return b"".join(one.tobytes()[: HEAD.itemsize] for one in blocks)


@pytest.mark.parametrize("hours", [(0, 5, 300, 1_439), (700, 30, 900), (1_439,)])
def test_forth_and_back_in_time_the_records_are_those_of_the_rows_before(hours):
    columns = rows()
    clock = ItemClock(columns, FoldConfig())
    for hour in hours:
        now = START + hour * HOUR
        clock.at(now)
        wanted = np.arange(N_ITEMS, dtype=np.int32)
        # Some are asked about first, so that others begin later.
        clock.heads(wanted[::3])
        assert clock.heads(wanted) == folded(columns, now)


def test_items_without_rows_and_beyond_the_last_have_nothing():
    clock = ItemClock(rows(), FoldConfig())
    clock.at(START + 10 * HOUR)
    assert clock.heads(np.array([N_ITEMS - 1, 5_000], np.int32)) == bytes(2 * HEAD.itemsize)


def test_no_rows_at_all():
    clock = ItemClock(rows(0), FoldConfig())
    clock.at(START)
    assert clock.heads(np.array([0, 1], np.int32)) == bytes(2 * HEAD.itemsize)
