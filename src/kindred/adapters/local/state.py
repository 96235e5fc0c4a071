"""Folded state in LMDB: many processes read, the consumer writes, records only move forward."""

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache
from pathlib import Path

import lmdb

from kindred.adapters.local import environment
from kindred.core.errors import InvalidInput, StateWentBack, StoreUnavailable
from kindred.core.position import START, Position
from kindred.ports.resource import Capabilities
from kindred.ports.state import StateKey, StateRecord, StateStore, StateView, StateWrite

MAX_KEY = 511
MAP_SIZE = 1 << 30
SCAN_ROWS = 500

# A value is the position it is folded to, then its bytes; a watermark is a position alone.
_position = struct.Struct("<3q")
_POSITION_BYTES = _position.size
_WATERMARK = b"\0watermark\0"
_TOMBSTONE = b"\0tombstone\0"


class LocalStateStore:
    """Records under group, NUL, key; one synced transaction per write, one snapshot per read (tens of microseconds).

    The position of a removed record is kept under a hash of its name, so that a forgotten key stands nowhere.
    """

    def __init__(self, folder: Path, *, map_size: int = MAP_SIZE) -> None:
        """Open or create the store; raise StoreUnavailable or StoreFull."""
        self._env: environment.Environment | None = environment.acquire(folder, map_size=map_size)
        self._folder = folder

    @property
    def capabilities(self) -> Capabilities:
        """Return durable, shared, and that the watermark is stored with the records or not at all."""
        return Capabilities(durable=True, shared=True, atomic_offset=True)

    async def read(self, keys: Sequence[StateKey], partition: int = 0) -> StateView:
        """Return the watermark and the records of one snapshot."""
        names = [_name(key) for key in keys]

        def work(transaction: lmdb.Transaction) -> StateView:
            return StateView(_watermark(transaction, partition), [_record(transaction.get(name)) for name in names])

        return self._environment().read(work)

    async def heads(self, group: str, keys: Sequence[str], size: int) -> bytes:
        """Return the first `size` bytes of each value of one snapshot, copied once."""
        front = _prefix(group)
        names = [front + key.encode() for key in keys]
        _check_length(max(map(len, names), default=0))
        blank, start, end = bytes(size), _POSITION_BYTES, _POSITION_BYTES + size

        def work(transaction: lmdb.Transaction) -> bytes:
            values = [blank if value is None else value[start:end] for value in map(transaction.get, names)]
            found = b"".join(values)
            if len(found) < size * len(names):
                return b"".join([bytes(value).ljust(size, b"\0") for value in values])
            return found

        return self._environment().read(work)

    async def write(self, writes: Sequence[StateWrite], watermark: Position, standing: Position | None = None) -> int:
        """Store what moves forward and the watermark in one durable transaction; raise StateWentBack, storing nothing.

        That is where the watermark is lower than `standing`.
        """
        rows = [(_name(key), record) for key, record in writes]

        def work(transaction: lmdb.Transaction) -> int:
            stored = _watermark(transaction, watermark.partition)
            if standing is not None and stored < standing:
                raise StateWentBack(f"the state stands at {stored}, and this write was built on {standing}")
            moved = sum(_move(transaction, name, record) for name, record in rows)
            if watermark > stored:
                transaction.put(_watermark_name(watermark.partition), _position.pack(*watermark))
            return moved

        return await asyncio.to_thread(self._environment().write, work)

    async def watermark(self, partition: int = 0) -> Position:
        """Return how far the partition is folded."""
        return self._environment().read(lambda transaction: _watermark(transaction, partition))

    async def scan(self, group: str) -> AsyncIterator[tuple[str, StateRecord]]:
        """Go through a group by key, a few hundred records to a snapshot, so that no old pages are held."""
        prefix = start = group.encode() + b"\0"
        while True:
            rows, next_start = await asyncio.to_thread(
                self._environment().read, lambda transaction, start=start: _page(transaction, prefix, start)
            )
            for key, record in rows:
                yield key, record
            if next_start is None:
                return
            start = next_start

    async def replace_with(self, other: StateStore) -> int:
        """Take over everything that another store of this kind holds, in one transaction."""
        if not isinstance(other, LocalStateStore) or other._environment() is self._environment():
            raise InvalidInput(f"{self._folder}: takes over only what another local state holds")
        source = other._environment()

        def work(transaction: lmdb.Transaction) -> int:
            return source.read(lambda reading: _copy(reading, transaction, self._environment().main))

        return await asyncio.to_thread(self._environment().write, work)

    async def copy_to(self, place: Path) -> None:
        """Write a consistent copy, opened by another home as the same store, into an empty folder."""
        await asyncio.to_thread(self._environment().copy, place)

    @property
    def place(self) -> Path:
        """Return the folder that holds everything."""
        return self._folder

    async def check(self) -> None:
        """Read the watermark; raise StoreUnavailable when that cannot be done."""
        await self.watermark()

    async def close(self) -> None:
        """Let go of the file."""
        if self._env is not None:
            environment.release(self._env)
            self._env = None

    def _environment(self) -> environment.Environment:
        if self._env is None:
            raise StoreUnavailable(f"{self._folder}: the store is closed")
        return self._env


def _name(key: StateKey) -> bytes:
    group, inner = key
    name = _prefix(group) + inner.encode()
    _check_length(len(name))
    return name


@lru_cache(maxsize=256)
def _prefix(group: str) -> bytes:
    if not group or "\0" in group:
        raise InvalidInput.at("/group", "must have characters, and no NUL")
    return group.encode() + b"\0"


def _check_length(size: int) -> None:
    if size > MAX_KEY:
        raise InvalidInput.at("/key", f"group and key have at most {MAX_KEY - 1} bytes as UTF-8, not {size - 1}")


def _watermark_name(partition: int) -> bytes:
    return _WATERMARK + str(partition).encode()


def _watermark(transaction: lmdb.Transaction, partition: int) -> Position:
    found = transaction.get(_watermark_name(partition))
    return START._replace(partition=partition) if found is None else Position(*_position.unpack(found))


def _tombstone_name(name: bytes) -> bytes:
    return _TOMBSTONE + hashlib.blake2b(name, digest_size=16).digest()


def _record(value: bytes | memoryview | None) -> StateRecord | None:
    if value is None or len(value) == _POSITION_BYTES:
        return None
    return StateRecord(Position._make(_position.unpack_from(value)), bytes(value[_POSITION_BYTES:]))


def _move(transaction: lmdb.Transaction, name: bytes, record: StateRecord) -> bool:
    """Store a record when it moves the stored position forward; say whether it did."""
    position, live = tuple(record.position), transaction.get(name)
    stored = live if live is not None else transaction.get(_tombstone_name(name))
    if stored is not None and position <= _position.unpack_from(stored):
        return False
    if not record.value:
        transaction.delete(name)
        return bool(transaction.put(_tombstone_name(name), _position.pack(*position)))
    if live is None:
        transaction.delete(_tombstone_name(name))
    return bool(transaction.put(name, _position.pack(*position) + record.value))


def _copy(source: lmdb.Transaction, target: lmdb.Transaction, database: lmdb._Database) -> int:
    """Put everything of one snapshot in place of what a database holds; return how many entries there are."""
    target.drop(database, delete=False)
    count = 0
    with source.cursor() as cursor:
        for key, value in cursor:
            target.put(key, value, append=True)
            count += 1
    return count


def _page(
    transaction: lmdb.Transaction, prefix: bytes, start: bytes
) -> tuple[list[tuple[str, StateRecord]], bytes | None]:
    """Return up to SCAN_ROWS records from `start` on, and where the next page starts."""
    rows: list[tuple[str, StateRecord]] = []
    with transaction.cursor() as cursor:
        more = cursor.set_range(start)
        while more and bytes(cursor.key()[: len(prefix)]) == prefix:
            if len(rows) == SCAN_ROWS:
                return rows, bytes(cursor.key())
            record = _record(cursor.value())
            if record is not None:
                rows.append((bytes(cursor.key()[len(prefix) :]).decode(), record))
            more = cursor.next()
    return rows, None


async def open_state(location: str, home: Path) -> LocalStateStore:
    """Open the store in folder `location` of `home` (`state` where empty)."""
    return LocalStateStore(home / (location or "state"))
