"""Epochs of a log whose offsets never start again: ranges of offsets, each of which names its records."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.core.position import Position

PARTITION = 0


class Epochs(NamedTuple):
    """The first offset of each epoch, ascending; epoch 0 begins at offset 0."""

    firsts: Sequence[int]

    def of(self, offset: int) -> int:
        """Return the epoch that an offset stands in."""
        return max(bisect_right(self.firsts, offset) - 1, 0)

    def position(self, offset: int) -> Position:
        """Return the position of an offset."""
        return Position(self.of(offset), PARTITION, offset)

    def end(self, epoch: int, last: int) -> Position:
        """Return the last position of an epoch of a log whose last offset is `last`; offset -1 where it has no record.

        Raises StoreUnavailable for an epoch that the log does not know.
        """
        if not 0 <= epoch < len(self.firsts):
            raise StoreUnavailable(f"this log has {len(self.firsts)} epochs and not epoch {epoch}")
        newer = epoch + 1
        offset = min(last, self.firsts[newer] - 1) if newer < len(self.firsts) else last
        return Position(epoch, PARTITION, offset if offset >= self.firsts[epoch] else -1)

    def behind(self, after: Position) -> int | None:
        """Return the first offset behind a position, or None when nothing of this log can stand there.

        A position of an older epoch may lie beyond that epoch's end, where the log was restored to an earlier state:
        what follows it is the next epoch.
        """
        if after.partition != PARTITION or after.epoch >= len(self.firsts):
            return None
        start = max(after.offset + 1, 0)
        newer = after.epoch + 1
        return min(start, self.firsts[newer]) if newer < len(self.firsts) else start

    def offset_of(self, position: Position) -> int:
        """Return the offset of a position of this log; raise InvalidInput for one of another log."""
        start = self.behind(position)
        if start is None:
            known = f"epochs up to {len(self.firsts) - 1} and partition {PARTITION}"
            raise InvalidInput.at("/position", f"this log has {known}, not {position}")
        return start - 1
