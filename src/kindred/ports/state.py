"""Folded state: one record per (fold group, key), each with the position it is folded to."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from kindred.core.position import Position
from kindred.ports.resource import Resource


class StateKey(NamedTuple):
    """A fold group at a version (`user@1`) and a key in it; together at most 511 bytes."""

    group: str
    key: str


class StateRecord(NamedTuple):
    """A folded value and the position up to which it is folded."""

    position: Position
    value: bytes


class StateWrite(NamedTuple):
    """A record to store; an empty `value` removes what stood there and keeps the position as a tombstone."""

    key: StateKey
    record: StateRecord


class StateView(NamedTuple):
    """Records read in one go, with a watermark not newer than any of them."""

    watermark: Position
    records: list[StateRecord | None]


class StateStore(Resource, Protocol):
    """Keyed records that only move forward; serving reads them, the one consumer of a partition writes them."""

    async def read(self, keys: Sequence[StateKey], partition: int = 0) -> StateView:
        """Return one record or None per key, in order, and the partition's watermark read no later than the records."""
        ...

    async def heads(self, group: str, keys: Sequence[str], size: int) -> bytes:
        """Return the first `size` bytes of each record's value in a group, one behind the other, as one snapshot.

        Zeros stand for what a shorter value lacks and for a key without a record. So values of a fixed layout become
        columns without an object for each.
        """
        ...

    async def write(self, writes: Sequence[StateWrite], watermark: Position, standing: Position | None = None) -> int:
        """Store the records whose position moves forward, then the watermark; return how many moved.

        A record at or behind the stored position is left as it is, so a zombie cannot undo a newer owner.
        The watermark too only moves forward. Durable on return where the adapter says `durable`. `standing`: the
        watermark on which the records were built. Raises StateWentBack, storing none of the rest, where the one stored
        is lower: moving it on would leave out what a restored copy lost.
        """
        ...

    async def watermark(self, partition: int = 0) -> Position:
        """Return the position up to which the partition is folded (offset -1 when nothing is)."""
        ...

    def scan(self, group: str) -> AsyncIterator[tuple[str, StateRecord]]:
        """Go through a group's records by key, tombstones left out."""
        ...


@runtime_checkable
class Replaceable(Protocol):
    """A state store whose whole content can be exchanged in one step."""

    async def replace_with(self, other: StateStore) -> int:
        """Drop everything and take over all records, tombstones and watermarks of `other`; return how many there are.

        Readers see the old content or the new. Raises InvalidInput for a store of another kind.
        """
        ...
