"""Items' records as they stood at any moment, made from the rows before it by the fold that serves."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.features.deeds import Deeds
from kindred.features.groups import FoldConfig
from kindred.features.item_blocks import BLOCK, HEAD, Blocks, add
from kindred.features.item_counters import item_amounts
from kindred.models.preference import Interactions

_MOST = 50_000


class ItemClock:
    """Folds an item's rows when it is first asked for, and what comes after as the clock goes on.

    Rows count as arrived when they happened. Memory: two orders of the rows, and 3.1 KB for each of at most 50,000
    items; going back in time, or asking for more, starts anew.
    """

    def __init__(self, rows: Interactions, config: FoldConfig) -> None:
        """Sort the rows by item, and by time."""
        known = rows.take(rows.items >= 0)
        self._rows = known.take(np.lexsort((known.timestamps, known.items)))
        self._by_time = np.argsort(self._rows.timestamps, kind="stable")
        self._times = self._rows.timestamps[self._by_time]
        self._place = np.full(int(known.items.max(initial=-1)) + 1, -1, np.int64)
        self._config = config
        self._now, self._held = -1, 0
        self._blocks: Blocks = np.zeros(0, BLOCK)

    def at(self, now: int) -> None:
        """Go to a moment (ms): rows up to it count, those without a time always do."""
        if now < self._now or self._held > _MOST:
            self._restart(now)
            return
        first, last = (int(np.searchsorted(self._times, one, side="right")) for one in (self._now, now))
        passed = self._by_time[first:last]
        owners = self._place[self._rows.items[passed]]
        self._add(passed[owners >= 0], owners[owners >= 0])
        self._now = now

    def heads(self, ordinals: NDArray[np.integer[Any]]) -> bytes:
        """Return the heads of items (n,), one behind the other; zeros for items without a row."""
        covered = ordinals < len(self._place)
        missing = np.unique(ordinals[covered][self._place[ordinals[covered]] < 0])
        if len(missing):
            self._begin(missing)
        found = np.zeros((len(ordinals), HEAD.itemsize), np.uint8)
        # A block begins with its head.
        cells = self._blocks.view(np.uint8).reshape(len(self._blocks), BLOCK.itemsize)
        found[covered] = cells[self._place[ordinals[covered]], : HEAD.itemsize]
        return found.tobytes()

    def _restart(self, now: int) -> None:
        self._now, self._held = now, 0
        self._place[:] = -1
        self._blocks = np.zeros(0, BLOCK)

    def _begin(self, items: NDArray[np.integer[Any]]) -> None:
        """Fold the rows so far of items that are asked for the first time."""
        if self._held + len(items) > len(self._blocks):
            grown = np.zeros(max(2 * len(self._blocks), self._held + len(items)), BLOCK)
            grown[: self._held] = self._blocks[: self._held]
            self._blocks = grown
        self._place[items] = np.arange(self._held, self._held + len(items))
        self._held += len(items)
        rows = self._rows
        first, last = (np.searchsorted(rows.items, items, side=side) for side in ("left", "right"))
        index = np.concatenate([np.arange(low, high) for low, high in zip(first.tolist(), last.tolist(), strict=True)])
        index = index[rows.timestamps[index] <= self._now]
        self._add(index, self._place[rows.items[index]])

    def _add(self, index: NDArray[np.intp], owners: NDArray[np.int64]) -> None:
        """Add rows to the blocks of their items."""
        if not len(index):
            return
        taken = self._rows.take(index)
        # A training row does not say how long somebody watched.
        watches = np.full(len(index), np.nan)
        deeds = Deeds(owners, taken.event_types.astype(np.int64), taken.timestamps, taken.values, watches, taken.names)
        exposed = deeds.of_types(self._config.impressions)
        add(self._blocks, item_amounts(deeds, exposed, self._config))
