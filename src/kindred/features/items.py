"""An item's record and its fold: commutative integers only, so that users may interleave in any way."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.features.changes import ItemAct
from kindred.features.counters import Amounts, add_up, merge, name_bucket, unpack_entries
from kindred.features.deeds import DeedList, Deeds
from kindred.features.groups import FoldConfig
from kindred.features.item_counters import (
    ACTIVE_D,
    ACTIVE_H,
    ITEM_COUNTERS,
    RATING_COUNT,
    RATING_SUM,
    SUMS,
    TYPES,
    country_amounts,
    item_amounts,
)
from kindred.features.reading import Tallies, entries_of

Sources = dict[int, tuple[int, int]]
_SHOWN = "impression"


class ItemRecord(msgspec.Struct, frozen=True, array_like=True):
    """What the state holds of an item.

    `counters`: entries of `ITEM_COUNTERS`, ascending. `sources`: by partition of the users' log, the (epoch, offset) of
    the last event that is counted.
    """

    counters: bytes = b""
    sources: Sources = {}

    def count(self, event_type: str) -> int:
        """Return how many events of a type there were."""
        return int(Tallies.of([self.counters]).at(TYPES, name_bucket(event_type))[0])

    @property
    def interactions(self) -> int:
        """Return how many interactions there were, impressions left out."""
        return int(Tallies.of([self.counters]).total(TYPES)[0]) - self.count(_SHOWN)

    @property
    def rating_sum(self) -> int:
        """Return the sum of ratings in thousandths."""
        return int(Tallies.of([self.counters]).at(SUMS, RATING_SUM)[0])

    @property
    def rating_count(self) -> int:
        """Return the number of ratings."""
        return int(Tallies.of([self.counters]).at(SUMS, RATING_COUNT)[0])

    def hourly(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return activity as (hours since 1970 UTC, counts), ascending."""
        return bucket_column(self.counters, ACTIVE_H.kind)

    def daily(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return activity as (days since 1970 UTC, counts), ascending."""
        return bucket_column(self.counters, ACTIVE_D.kind)


class Touched(NamedTuple):
    """An item's record and what happened to the item, from any users."""

    record: ItemRecord
    acts: Sequence[ItemAct]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ItemRecord)
_by_source = attrgetter("source")


def encode_item(record: ItemRecord) -> bytes:
    """Write a record."""
    return _encoder.encode(record)


def decode_item(data: bytes) -> ItemRecord:
    """Read a record; no bytes are an empty one. Raise InvalidInput when the bytes are no record."""
    if not data:
        return ItemRecord()
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not an item record: {error}") from error


def fold_items(touched: Sequence[Touched], config: FoldConfig) -> list[ItemRecord | None]:
    """Add acts to the records of their items; None where all of them are counted already.

    Of each partition of the users' log, acts must come in order of their source from one call to the next: a record
    keeps the highest source it holds, so a repeat changes nothing. The counters of all items are folded as columns.
    """
    return _fold(touched, lambda deeds, exposed: item_amounts(deeds, exposed, config), extra=True)


def fold_item_countries(touched: Sequence[Touched], config: FoldConfig) -> list[ItemRecord | None]:
    """Add acts of one country each to the records of their items in that country, as `fold_items` does."""
    return _fold(touched, lambda deeds, _: country_amounts(deeds, config), extra=False)


def fold_item(record: ItemRecord, acts: Sequence[ItemAct], config: FoldConfig) -> ItemRecord | None:
    """Fold acts into the record of one item."""
    return fold_items([Touched(record, acts)], config)[0]


def _fold(
    touched: Sequence[Touched], amounts: Callable[[Deeds, NDArray[np.bool_]], Amounts], extra: bool
) -> list[ItemRecord | None]:
    """Leave out what records hold already, count the rest as columns."""
    taken = DeedList()
    exposed: list[bool] = []
    changed: list[tuple[int, ItemRecord, Sources]] = []
    entries: list[bytes] = []
    entry_owners: list[int] = []
    for place, (record, acts) in enumerate(touched):
        fresh, sources = _fresh(record.sources, acts)
        if not fresh:
            continue
        owner = len(changed)
        changed.append((place, record, sources))
        for act in fresh:
            if act.event_type or act.exposed:
                taken.add(owner, act.event_type, act.timestamp, act.value, act.watch)
                exposed.append(act.exposed)
            if act.extra and extra:
                entries.append(act.extra)
                entry_owners.append(owner)
    result: list[ItemRecord | None] = [None] * len(touched)
    if not changed:
        return result
    added = amounts(taken.columns(), np.array(exposed, np.bool_))
    if entries:
        added = Amounts.join([added, unpack_entries(entries, np.array(entry_owners, np.int64))])
    counters = add_up([record.counters for _, record, _ in changed], added, ITEM_COUNTERS.keep)
    for (place, _, sources), data in zip(changed, counters, strict=True):
        result[place] = ItemRecord(data, sources)
    return result


def _fresh(sources: Sources, acts: Sequence[ItemAct]) -> tuple[Sequence[ItemAct], Sources]:
    """Return the acts that are not counted yet, and the sources with them."""
    ordered = acts if len(acts) == 1 else sorted(acts, key=_by_source)
    found, known = [], dict(sources)
    for act in ordered:
        epoch, partition, offset = act.source
        last = known.get(partition)
        if last is None or (epoch, offset) > last:
            known[partition] = (epoch, offset)
            found.append(act)
    return found, known


def merge_items(left: ItemRecord, right: ItemRecord) -> ItemRecord:
    """Add two records up; commutative and associative. Of each partition's sources the higher stays."""
    sources = dict(left.sources)
    for partition, reached in right.sources.items():
        sources[partition] = max(reached, sources.get(partition, reached))
    return ItemRecord(merge(left.counters, right.counters, ITEM_COUNTERS.keep), sources)


def highest(acts: Sequence[ItemAct]) -> Position:
    """Return the highest source of acts."""
    return max(act.source for act in acts)


def bucket_column(counters: bytes, kind: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the (buckets, amounts) of one kind of a record's counters, ascending."""
    entries = entries_of([counters])
    chosen = entries.kind == kind
    return entries.bucket[chosen], entries.amount[chosen]
