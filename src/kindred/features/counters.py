"""Sparse integer counters: one sorted column of (slot, amount) per record, added up for whole batches at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from kindred.core.errors import ConfigError, InvalidInput

ENTRY = np.dtype([("slot", "<u4"), ("amount", "<i8")])
BUCKET_BITS = 27
KINDS = 32
_MASK = (1 << BUCKET_BITS) - 1
_SLOT_BITS = 32
_LOW = (1 << _SLOT_BITS) - 1

Integers = NDArray[np.int64]


class Counter(NamedTuple):
    """What one kind of slot counts.

    `width`: ms that a bucket spans, so that bucket = time // width since 1970 UTC; 0 = the bucket is a code, or 0.
    `keep`: buckets kept, up to the newest of this kind in the record; 0 = all. A window of length L as of t counts the
    buckets from (t - L) // width to t // width, so it is exact to a whole bucket.
    """

    name: str
    kind: int
    width: int
    keep: int
    meaning: str

    @property
    def first(self) -> int:
        """Return the slot of bucket 0."""
        return self.kind << BUCKET_BITS

    def slots(self, buckets: NDArray[np.integer[Any]]) -> Integers:
        """Return the slots (n,) of buckets (n,)."""
        return buckets.astype(np.int64) + self.first

    def window(self, as_of: int, length: int) -> tuple[int, int]:
        """Return the first and the last bucket of the `length` ms before `as_of` (ms since 1970 UTC)."""
        return (as_of - length) // self.width, as_of // self.width


@dataclass(frozen=True, slots=True)
class CounterSet:
    """The counters of one kind of record; `keep (32,) int64` by kind, 0 = all."""

    counters: tuple[Counter, ...]
    keep: Integers

    @classmethod
    def of(cls, counters: Iterable[Counter]) -> "CounterSet":
        """Join counters; raise ConfigError when two share a kind or a name, or a kind does not fit."""
        chosen = tuple(counters)
        kinds = [counter.kind for counter in chosen]
        if len(set(kinds)) < len(kinds) or len({counter.name for counter in chosen}) < len(kinds):
            raise ConfigError("two counters of one record share a kind or a name")
        if kinds and not 0 <= min(kinds) <= max(kinds) < KINDS:
            raise ConfigError(f"a counter's kind is 0 to {KINDS - 1}")
        keep = np.zeros(KINDS, np.int64)
        for counter in chosen:
            keep[counter.kind] = counter.keep
        return cls(chosen, keep)

    def __getitem__(self, name: str) -> Counter:
        """Return a counter by name; raise KeyError when there is none."""
        for counter in self.counters:
            if counter.name == name:
                return counter
        raise KeyError(name)


class Amounts(NamedTuple):
    """What is to be added: `amounts (m,)` to `slots (m,)` of the records numbered `owners (m,)`, all int64."""

    owners: Integers
    slots: Integers
    amounts: Integers

    @classmethod
    def join(cls, parts: Sequence["Amounts"]) -> "Amounts":
        """Put several behind one another."""
        if not parts:
            return cls(*(np.empty(0, np.int64) for _ in range(3)))
        owners, slots, amounts = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return cls(owners, slots, amounts)


@lru_cache(maxsize=4096)
def name_bucket(name: str) -> int:
    """Return the 27-bit bucket of a name (xxh3)."""
    return xxhash.xxh3_64_intdigest(name.encode()) & _MASK


def check_name_buckets(names: Iterable[str]) -> None:
    """Raise ConfigError when two of the names would be counted in one bucket."""
    found: dict[int, str] = {}
    for name in dict.fromkeys(names):
        other = found.setdefault(name_bucket(name), name)
        if other != name:
            raise ConfigError(f"{name!r} and {other!r} cannot both be counted: rename one of them")


def add_up(records: Sequence[bytes], added: Amounts, keep: Integers) -> list[bytes]:
    """Add to the counters of `records`, and drop what is further back than `keep (32,)` buckets by kind.

    One sort of what is added for the whole batch. Sums and trims commute: any cut into batches, any order and any
    merge of parts give the same values. A slot whose sum became zero stays until it is trimmed: which buckets are too
    old must not depend on when something was taken back.
    """
    keys, sums, sizes = _keyed(records)
    new_keys, new_sums = _summed((added.owners << _SLOT_BITS) | added.slots, added.amounts)
    places = np.searchsorted(keys, new_keys)
    inside = places < len(keys)
    known = np.zeros(len(new_keys), np.bool_)
    known[inside] = keys[places[inside]] == new_keys[inside]
    sums[places[known]] += new_sums[known]
    if not known.all():
        missing = ~known
        keys = np.insert(keys, places[missing], new_keys[missing])
        sums = np.insert(sums, places[missing], new_sums[missing])
        keys, sums = _trimmed(keys, sums, keep)
        sizes = np.bincount(keys >> _SLOT_BITS, minlength=len(records))
    return _packed(keys, sums, sizes)


def merge(left: bytes, right: bytes, keep: Integers) -> bytes:
    """Return the sum of two records' counters."""
    if not left or not right:
        return left or right
    other = np.frombuffer(right, ENTRY)
    zeros = np.zeros(len(other), np.int64)
    return add_up([left], Amounts(zeros, other["slot"].astype(np.int64), other["amount"].astype(np.int64)), keep)[0]


def pack_entries(pairs: Iterable[tuple[int, int]]) -> bytes:
    """Write (slot, amount) pairs as entries; equal slots may repeat where the reader adds them up."""
    return np.array(list(pairs), ENTRY).tobytes()


def unpack_entries(data: Sequence[bytes], owners: Integers) -> Amounts:
    """Read entries of several records, each to be added to the record that `owners (n,)` says.

    Raises InvalidInput when bytes are no entries.
    """
    keys, sums, _ = _keyed(data)
    return Amounts(owners[keys >> _SLOT_BITS], keys & _LOW, sums)


def reduced(added: Amounts, keep: Integers) -> Amounts:
    """Return the same amounts with one entry for each slot of an owner, trimmed, ascending by owner and slot."""
    keys, sums = _trimmed(*_summed((added.owners << _SLOT_BITS) | added.slots, added.amounts), keep)
    return Amounts(keys >> _SLOT_BITS, keys & _LOW, sums)


def packed(added: Amounts, size: int) -> list[bytes]:
    """Return the bytes of `size` records from amounts that `reduced` made."""
    keys = (added.owners << _SLOT_BITS) | added.slots
    return _packed(keys, added.amounts, np.bincount(added.owners, minlength=size))


def _keyed(records: Sequence[bytes]) -> tuple[Integers, Integers, Integers]:
    """Return (owner and slot in one number, amounts) of all entries, and how many each record has."""
    sizes = np.fromiter(map(len, records), np.int64, len(records))
    if (sizes % ENTRY.itemsize).any():
        raise InvalidInput("a record's counters are cut short: rebuild the state")
    sizes //= ENTRY.itemsize
    entries = np.frombuffer(b"".join(records), ENTRY)
    keys = np.repeat(np.arange(len(records), dtype=np.int64) << _SLOT_BITS, sizes)
    keys += entries["slot"]
    return keys, entries["amount"].astype(np.int64), sizes


def _summed(keys: Integers, amounts: Integers) -> tuple[Integers, Integers]:
    """Return distinct keys, ascending, with the sum of each."""
    if not len(keys):
        return keys, amounts
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = _starts(keys)
    return keys[starts], np.add.reduceat(amounts[order], starts)


def _trimmed(keys: Integers, sums: Integers, keep: Integers) -> tuple[Integers, Integers]:
    """Drop buckets further back than `keep` from the newest of their owner and kind; `keys` ascend."""
    if not len(keys):
        return keys, sums
    groups = keys >> BUCKET_BITS
    starts = _starts(groups)
    ends = np.append(starts[1:], len(keys))
    spans = keep[groups[starts] & (KINDS - 1)]
    oldest = np.where(spans > 0, keys[ends - 1] - spans, -1)
    if bool((keys[starts] > oldest).all()):
        return keys, sums
    kept = keys > np.repeat(oldest, ends - starts)
    return keys[kept], sums[kept]


def _starts(values: Integers) -> NDArray[np.intp]:
    """Return where each run of equal values begins; `values` has at least one."""
    changes = np.empty(len(values), np.bool_)
    changes[0] = True
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return np.flatnonzero(changes)


def _packed(keys: Integers, sums: Integers, sizes: NDArray[np.integer[Any]]) -> list[bytes]:
    """Write each record's entries."""
    entries = np.empty(len(keys), ENTRY)
    entries["slot"] = keys & _LOW
    entries["amount"] = sums
    data = entries.tobytes()
    ends = (np.cumsum(sizes) * ENTRY.itemsize).tolist()
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
