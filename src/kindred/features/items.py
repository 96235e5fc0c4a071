"""An item's record and its fold: commutative integers only, so that users may interleave in any way."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.errors import InvalidInput
from kindred.core.position import Position
from kindred.features.buckets import DAYS, HOURS, days_of, hours_of, merge_buckets, pack, unpack
from kindred.features.groups import Act, FoldConfig

RATING_UNIT = 1_000


class ItemRecord(msgspec.Struct, frozen=True, array_like=True):
    """What the state holds of an item.

    `counts` by event type; `rating_sum` in thousandths over `rating_count` ratings; `hours` and `days` int32 bucket
    indexes since 1970 UTC, ascending, with `hour_counts` and `day_counts` int32: activity of the 192 hours and 32 days
    up to the newest.
    """

    counts: dict[str, int] = {}
    rating_sum: int = 0
    rating_count: int = 0
    hours: bytes = b""
    hour_counts: bytes = b""
    days: bytes = b""
    day_counts: bytes = b""

    @property
    def interactions(self) -> int:
        """Return how many interactions there were, impressions left out."""
        return sum(self.counts.values()) - self.counts.get("impression", 0)

    def hourly(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return (hours since 1970 UTC, counts), ascending."""
        return unpack(self.hours), unpack(self.hour_counts)

    def daily(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return (days since 1970 UTC, counts), ascending."""
        return unpack(self.days), unpack(self.day_counts)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ItemRecord)


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


def fold_item(record: ItemRecord, folded: Position, acts: Sequence[Act], config: FoldConfig) -> ItemRecord | None:
    """Add acts to an item's record that stands at `folded`; None when all of them stand at or before it."""
    fresh = [act for act in acts if act.position > folded]
    if not fresh:
        return None
    counts: dict[str, int] = {}
    rating_sum = rating_count = 0
    for act in fresh:
        counts[act.event_type] = counts.get(act.event_type, 0) + 1
        if act.event_type == "rating" and act.value == act.value:
            # Through float32, the precision of bulk columns, so that both folds round alike.
            rating_sum += round(float(np.float32(act.value)) * RATING_UNIT)
            rating_count += 1
    times = np.array(
        [act.timestamp for act in fresh if act.timestamp >= 0 and act.event_type not in config.quiet], np.int64
    )
    return merge_items(record, _tallied(counts, rating_sum, rating_count, times))


def _tallied(counts: dict[str, int], rating_sum: int, rating_count: int, times: NDArray[np.int64]) -> ItemRecord:
    """Build a record of counts, ratings and the times (ms) of activity."""
    if not len(times):
        return ItemRecord(counts, rating_sum, rating_count)
    once = np.ones(len(times), np.int64)
    hours, hour_counts = merge_buckets(hours_of(times), once, HOURS)
    days, day_counts = merge_buckets(days_of(times), once, DAYS)
    return ItemRecord(counts, rating_sum, rating_count, pack(hours), pack(hour_counts), pack(days), pack(day_counts))


def merge_items(left: ItemRecord, right: ItemRecord) -> ItemRecord:
    """Add two records up; commutative and associative."""
    counts = dict(left.counts)
    for name, count in right.counts.items():
        counts[name] = counts.get(name, 0) + count
    hours, hour_counts = _merged(left.hours, left.hour_counts, right.hours, right.hour_counts, HOURS)
    days, day_counts = _merged(left.days, left.day_counts, right.days, right.day_counts, DAYS)
    return ItemRecord(
        counts,
        left.rating_sum + right.rating_sum,
        left.rating_count + right.rating_count,
        hours,
        hour_counts,
        days,
        day_counts,
    )


def _merged(left: bytes, left_counts: bytes, right: bytes, right_counts: bytes, span: int) -> tuple[bytes, bytes]:
    """Add up two packed columns of buckets."""
    if not left or not right:
        return (left, left_counts) if left else (right, right_counts)
    if left == right:
        return left, pack(unpack(left_counts).astype(np.int64) + unpack(right_counts))
    indexes = np.concatenate([unpack(left), unpack(right)])
    counts = np.concatenate([unpack(left_counts), unpack(right_counts)])
    kept, sums = merge_buckets(indexes, counts, span)
    return pack(kept), pack(sums)
