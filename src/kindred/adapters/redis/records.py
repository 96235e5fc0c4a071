"""How state stands in Redis: names of keys, and a position of 24 bytes before each value.

::

    <prefix>:s:<group> NUL <key>   position, value            a record
    <prefix>:t:<hash>              position                   a tombstone: what was removed, by a hash of its name
    <prefix>:i:<group>             sorted set, all scores 0   the keys of a group that have a record, in order of UTF-8
    <prefix>:w:<partition>         position                   a watermark
"""

import hashlib
import struct
from collections.abc import Sequence

from kindred.adapters.redis.address import Address
from kindred.core.errors import InvalidInput
from kindred.core.position import START, Position
from kindred.ports.state import StateKey, StateRecord

MAX_KEY = 511

# Epoch, partition and offset + 1, so that the order of bytes is the order of positions.
_position = struct.Struct(">3Q")
POSITION_SIZE = _position.size


class Names:
    """The names of one store's keys."""

    def __init__(self, address: Address) -> None:
        """Build the prefixes once: a read names hundreds of records."""
        self._records = address.name("s")
        self._tombstones = address.name("t")
        self._indexes = address.name("i")
        self._watermarks = address.name("w")

    def record(self, key: StateKey) -> bytes:
        """Return the name of a record; raise InvalidInput for a group or length that no store takes."""
        group, inner = key
        name = f"{group}\0{inner}".encode()
        if not group or "\0" in group:
            raise InvalidInput.at("/group", "must have characters, and no NUL")
        _check_length(len(name))
        return self._records + name

    def records(self, group: str, keys: Sequence[str]) -> list[bytes]:
        """Return the names of many records of one group, as `record` does."""
        front = self.record(StateKey(group, ""))
        names = [front + key.encode() for key in keys]
        _check_length(max(map(len, names), default=0) - len(self._records))
        return names

    def tombstone(self, record: bytes) -> bytes:
        """Return where the position of a removed record is kept."""
        return self._tombstones + hashlib.blake2b(record[len(self._records) :], digest_size=16).digest()

    def index(self, group: str) -> bytes:
        """Return the name of a group's index."""
        return self._indexes + group.encode()

    def group_length(self, group: str) -> int:
        """Return how many bytes of a record's name stand before its key."""
        return len(self._records) + len(group.encode()) + 1

    def member(self, group: str, member: bytes) -> bytes:
        """Return the name of the record that an index's member stands for."""
        return self._records + group.encode() + b"\0" + member

    def watermark(self, partition: int) -> bytes:
        """Return the name of a partition's watermark."""
        return self._watermarks + str(partition).encode()


def pack(position: Position) -> bytes:
    """Write a position as 24 bytes whose order is that of positions; raise InvalidInput for a negative one."""
    epoch, partition, offset = position
    try:
        return _position.pack(epoch, partition, offset + 1)
    except struct.error as error:
        raise InvalidInput.at("/position", f"has whole numbers from 0, is {position}") from error


def _check_length(size: int) -> None:
    if size > MAX_KEY:
        raise InvalidInput.at("/key", f"group and key have at most {MAX_KEY - 1} bytes as UTF-8, not {size - 1}")


def heads_of(values: Sequence[bytes | None], size: int) -> bytes:
    """Return the first `size` bytes of each record's value, one behind the other, zeros for what there is not."""
    blank, end = bytes(size), POSITION_SIZE + size
    return b"".join([blank if value is None else value[POSITION_SIZE:end].ljust(size, b"\0") for value in values])


def record_of(value: bytes | None) -> StateRecord | None:
    """Return what a record's bytes say, or None where there are none."""
    if value is None:
        return None
    epoch, partition, offset = _position.unpack_from(value)
    return StateRecord(Position(epoch, partition, offset - 1), value[POSITION_SIZE:])


def watermark_of(value: bytes | None, partition: int) -> Position:
    """Return a partition's watermark; it starts at offset -1."""
    if value is None:
        return START._replace(partition=partition)
    epoch, written, offset = _position.unpack(value)
    return Position(epoch, written, offset - 1)
