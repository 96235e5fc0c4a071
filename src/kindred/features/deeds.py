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
        return of_types(self.names, self.codes, types)

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
    """Events collected one by one, as (owner, event type, timestamp, value, watch)."""

    rows: list[tuple[int, str, int, float, float]] = field(default_factory=list)

    def add(self, owner: int, event_type: str, timestamp: int, value: float, watch: float) -> None:
        """Note one event."""
        self.rows.append((owner, event_type, timestamp, value, watch))

    def columns(self) -> Deeds:
        """Return the events as columns."""
        owners, types, timestamps, values, watches = zip(*self.rows, strict=True) if self.rows else ((),) * 5
        numbers: dict[str, int] = {}
        return Deeds(
            np.array(owners, np.int64),
            np.array([numbers.setdefault(name, len(numbers)) for name in types], np.int64),
            np.array(timestamps, np.int64),
            np.array(values, np.float32),
            np.array(watches, np.float64),
            tuple(numbers),
        )


def of_types(names: Sequence[str], codes: NDArray[np.integer[Any]], types: Iterable[str]) -> NDArray[np.bool_]:
    """Return which rows (n,), by their `codes` into `names`, are of one of the types."""
    wanted = frozenset(types)
    chosen: NDArray[np.bool_] = np.array([name in wanted for name in names] or [False], np.bool_)[codes]
    return chosen


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
