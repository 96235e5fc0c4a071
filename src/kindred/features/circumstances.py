"""Where and how imported interactions happened, as columns beside their rows."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from kindred.features.counters import Integers


class Labels(NamedTuple):
    """Texts of n rows: `codes (n,) int32` into `names`, of which the first is empty: not known."""

    codes: NDArray[np.int32]
    names: tuple[str, ...] = ("",)

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> "Labels":
        """Number texts; None is not known."""
        known = {"": 0}
        codes = [known.setdefault(text or "", len(known)) for text in texts]
        return cls(np.array(codes, np.int32), tuple(known))

    def fits(self, size: int) -> bool:
        """Say whether there are n codes, each of a name."""
        return len(self.codes) == size and (
            not size or 0 <= int(self.codes.min()) <= int(self.codes.max()) < len(self.names)
        )

    def take(self, index: Any) -> "Labels":
        """Return the rows that a slice, an index array or a mask selects."""
        return Labels(self.codes[index], self.names)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What n interactions tell besides who did what, when.

    `requests (n,) uint64`: `request_hash` of the slate that caused them, 0 = not known; `slots (n,) int32` in it, from
    0; `watches (n,) float64` seconds watched, NaN = not known. `countries` have two letters.
    """

    requests: NDArray[np.uint64]
    slots: NDArray[np.int32]
    watches: NDArray[np.float64]
    placements: Labels
    devices: Labels
    countries: Labels

    @classmethod
    def unknown(cls, size: int) -> Self:
        """Return that nothing is known of n interactions."""
        none = Labels(np.zeros(size, np.int32))
        return cls(np.zeros(size, np.uint64), none.codes, np.full(size, np.nan), none, none, none)

    def __len__(self) -> int:
        """Return n."""
        return len(self.requests)

    def take(self, index: Any) -> Self:
        """Return the rows that a slice, an index array or a mask selects, in its order."""
        return type(self)(
            self.requests[index],
            self.slots[index],
            self.watches[index],
            self.placements.take(index),
            self.devices.take(index),
            self.countries.take(index),
        )

    def fits(self, size: int) -> bool:
        """Say whether all columns are of n rows."""
        fits = len(self.requests) == len(self.slots) == len(self.watches) == size
        return fits and all(labels.fits(size) for labels in (self.placements, self.devices, self.countries))

    def in_countries(self, owners: Integers, homes: Iterable[str]) -> Self:
        """Take the country of the owner's home where a row tells none; `owners (n,)` number `homes`."""
        home = Labels.of([*self.countries.names, *homes])
        said = len(self.countries.names)
        own = np.where(self.countries.codes > 0, home.codes[self.countries.codes], home.codes[said + owners])
        return replace(self, countries=Labels(own.astype(np.int32), home.names))

    def device_buckets(self, buckets: Iterable[int]) -> Integers:
        """Return each row's bucket (n,) of `buckets`, one for each name of a device."""
        return np.fromiter(buckets, np.int64)[self.devices.codes]
