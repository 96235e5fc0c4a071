"""Events of many records as columns, and what they add to counters."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.features.counters import Amounts, Counter, Integers

RATING_UNIT = 1_000
SHARE_UNIT = 1_000
PRICE_UNIT = 100
MS = 1_000
# Below this it costs more to look for what a trim would drop than to let it be dropped.
_MANY = 20_000


@dataclass(frozen=True, slots=True)
class Deeds:
    """n events; `owners` number the records they change, all columns (n,).

    `codes` index `names` (event types), `timestamps` ms or -1 for unknown, `values` float32 and `watches` float64
    seconds with NaN for none.
    """

    owners: Integers
    codes: NDArray[np.int64]
    timestamps: Integers
    values: NDArray[np.float32]
    watches: NDArray[np.float64]
    names: tuple[str, ...]

    def of_types(self, types: Iterable[str]) -> NDArray[np.bool_]:
        """Return which events (n,) are of one of the types."""
        wanted = frozenset(types)
        return np.array([name in wanted for name in self.names] or [False], np.bool_)[self.codes]

    def timed(self, chosen: NDArray[np.bool_], counters: Sequence[Counter]) -> list[Amounts]:
        """Count the chosen events (n,) once in the bucket of their time, in each of the counters."""
        places = np.flatnonzero(chosen & (self.timestamps >= 0))
        if not len(places):
            return []
        owners, timestamps = self.owners[places], self.timestamps[places]
        return [_timed(owners, timestamps, counter) for counter in counters]

    def coded(
        self, chosen: NDArray[np.bool_], counter: Counter, code: Callable[[Integers], NDArray[np.int64]]
    ) -> list[Amounts]:
        """Count the chosen events (n,) once under the code that `code` makes of their times (ms)."""
        places = np.flatnonzero(chosen & (self.timestamps >= 0))
        if not len(places):
            return []
        slots = counter.slots(code(self.timestamps[places]))
        return [Amounts(self.owners[places], slots, np.ones(len(places), np.int64))]

    def summed(self, chosen: NDArray[np.bool_], total: int, count: int | None, unit: int) -> list[Amounts]:
        """Add the values of chosen events, in whole parts of `unit`, to slot `total`, and their number to `count`."""
        return _summed(self.owners, self.values, chosen, unit, (total, count))

    def watched(self, chosen: NDArray[np.bool_], total: int) -> list[Amounts]:
        """Add the time watched, in ms, to slot `total`."""
        return _summed(self.owners, self.watches, chosen, MS, (total, None))


@dataclass(slots=True)
class DeedList:
    """Events collected one by one."""

    owners: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    watches: list[float] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)

    def add(self, owner: int, event_type: str, timestamp: int, value: float, watch: float) -> None:
        """Note one event."""
        self.owners.append(owner)
        code = self.names.get(event_type)
        self.codes.append(self.names.setdefault(event_type, len(self.names)) if code is None else code)
        self.timestamps.append(timestamp)
        self.values.append(value)
        self.watches.append(watch)

    def columns(self) -> Deeds:
        """Return the events as columns; those of owner -1 were taken back."""
        owners = np.array(self.owners, np.int64)
        left: Any = slice(None) if min(self.owners, default=0) >= 0 else owners >= 0
        return Deeds(
            owners[left],
            np.array(self.codes, np.int64)[left],
            np.array(self.timestamps, np.int64)[left],
            np.array(self.values, np.float32)[left],
            np.array(self.watches, np.float64)[left],
            tuple(self.names),
        )


def _timed(owners: Integers, timestamps: Integers, counter: Counter) -> Amounts:
    """Count events in buckets of their time, leaving out early what a trim would drop."""
    buckets = timestamps // counter.width
    if counter.keep and len(owners) > _MANY:
        newest = np.zeros(int(owners.max()) + 1, np.int64)
        np.maximum.at(newest, owners, buckets)
        kept = buckets > newest[owners] - counter.keep
        owners, buckets = owners[kept], buckets[kept]
    return Amounts(owners, counter.slots(buckets), np.ones(len(owners), np.int64))


def _summed(
    owners: Integers,
    numbers: NDArray[np.float32] | NDArray[np.float64],
    chosen: NDArray[np.bool_],
    unit: int,
    slots: tuple[int, int | None],
) -> list[Amounts]:
    """Add fixed-point numbers where there are any; both folds round the same float32 or float64."""
    places = np.flatnonzero(chosen & ~np.isnan(numbers))
    if not len(places):
        return []
    amounts = np.rint(numbers[places].astype(np.float64) * unit).astype(np.int64)
    found = [Amounts(owners[places], np.full(len(places), slots[0], np.int64), amounts)]
    if slots[1] is not None:
        found.append(Amounts(owners[places], np.full(len(places), slots[1], np.int64), np.ones(len(places), np.int64)))
    return found
