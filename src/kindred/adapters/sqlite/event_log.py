"""The event log in one SQLite file: a row per group commit, dense offsets, writers of all processes in one queue."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path

import msgspec

from kindred.adapters.sqlite.connection import (
    FileLock,
    copy_database,
    exclusive,
    open_connection,
    transaction,
    translating,
)
from kindred.adapters.sqlite.event_log_writer import GroupWriter
from kindred.adapters.sqlite.log_epochs import PARTITION, Epochs
from kindred.core.errors import StoreUnavailable
from kindred.core.position import Position
from kindred.ports.log import LogRecord
from kindred.ports.resource import Capabilities

_SCHEMA = """
CREATE TABLE IF NOT EXISTS chunk (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS committed (consumer TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epoch (number INTEGER PRIMARY KEY, first INTEGER NOT NULL);
INSERT OR IGNORE INTO epoch VALUES (0, 0);
"""
_END = "SELECT first + count FROM chunk ORDER BY first DESC LIMIT 1"
# One statement is one transaction, and hands the interpreter over to other threads less often than several.
_APPEND = """
INSERT INTO chunk SELECT coalesce((SELECT first + count FROM chunk ORDER BY first DESC LIMIT 1), 0), ?, ?
RETURNING (SELECT max(number) FROM epoch WHERE epoch.first <= chunk.first), first
"""
_EPOCHS = "SELECT first FROM epoch ORDER BY number"
# The last chunk stays: what follows it is numbered by it.
_OLD = """
SELECT first, count FROM chunk WHERE first + count <= ? AND first < (SELECT max(first) FROM chunk)
ORDER BY first LIMIT 200
"""
_READ = """
SELECT first, data FROM chunk
WHERE first >= coalesce((SELECT max(first) FROM chunk WHERE first <= ?1), ?1) ORDER BY first
"""
_COMMIT = """
INSERT INTO committed VALUES (?, ?)
ON CONFLICT (consumer) DO UPDATE SET last = max(last, excluded.last)
"""
_READ_BYTES = 16 << 20
# The WAL is folded back into the file after this much, once the writers were told, so that no append waits for it.
# A commit of one small record still writes about three pages.
_CHECKPOINT_BYTES = 4 << 20
_COMMIT_BYTES = 12 << 10

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[bytes])


class SqliteEventLog:
    """An event log of one partition; an append returns after the sync of the WAL that covers it.

    Writers queue on `append.lock` beside the file and not on SQLite's busy handler, whose sleeps starve some of them.
    They give the lock on before they sync, so that the syncs of several processes overlap: the sync of
    SQLite's `synchronous=FULL`, moved behind the lock; a reader syncs what it is not sure of before it gives it out.
    Two connections write: one appends, the other keeps committed positions and trims; a third one reads. Offsets go on
    through all epochs: an epoch is a range of them.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the log at `path`; raise StoreUnavailable or StoreFull."""
        self._path = path
        self._lock = path.with_name("append.lock")
        self._reading, self._marking = threading.Lock(), threading.Lock()
        self._unfolded = _wal_size(path)
        self._closed = self._doubtful = False
        self._durable = -1
        self._tail = open_connection(path, synchronous="NORMAL", schema=_SCHEMA)
        self._marks = open_connection(path, synchronous="NORMAL")
        self._reader = open_connection(path)
        for connection in (self._tail, self._marks):
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        with self._translating():
            self._turn = FileLock(self._lock)
            self._wal = os.open(_wal(path), os.O_RDWR | os.O_CLOEXEC)
        self._writer = GroupWriter(self._write_group, self._fold_wal)

    @property
    def capabilities(self) -> Capabilities:
        """Return durable and shared: any number of processes append and read."""
        return Capabilities(durable=True, shared=True)

    async def append(self, records: Sequence[tuple[str, bytes]]) -> list[Position]:
        """Append durably, all or none; the key is not used, since there is one partition."""
        if not records:
            return []
        epoch, first = await self._writer.append([data for _, data in records])
        return [Position(epoch, PARTITION, offset) for offset in range(first, first + len(records))]

    async def read(self, after: Position, limit: int) -> list[LogRecord]:
        """Return up to `limit` records behind `after`, fewer where they are large (16 MiB at once)."""
        with self._translating(), self._reading:
            epochs = _epochs(self._reader)
            start = epochs.behind(after)
            if start is None or limit < 1:
                return []
            # An unfinished statement would hold the snapshot and keep the WAL from being folded: hence `closing`.
            with closing(self._reader.execute(_READ, (start,))) as rows:
                found = list(_unpack(rows, start, limit, epochs))
        if found:
            await self._believe(found[-1].position.offset)
        return found

    async def ends(self, epoch: int | None = None) -> list[Position]:
        """Return the last record's position, in the whole log or in one epoch."""
        with self._translating(), self._reading:
            epochs, last = _epochs(self._reader), _next_offset(self._reader) - 1
        end = epochs.position(last) if epoch is None else epochs.end(epoch, last)
        await self._believe(end.offset)
        return [end]

    async def partitions(self) -> Mapping[int, int]:
        """Return that each epoch has one partition."""
        return dict.fromkeys(range(len((await self._known_epochs()).firsts)), 1)

    async def commit(self, group: str, position: Position) -> None:
        """Remember how far `group` is; a machine's end may forget the newest commits, never make them up."""
        offset = (await self._known_epochs()).offset_of(position)
        await asyncio.to_thread(self._mark, _COMMIT, (group, offset))

    async def committed(self, group: str) -> list[Position]:
        """Return how far `group` is."""
        with self._translating(), self._reading:
            row = self._reader.execute("SELECT last FROM committed WHERE consumer = ?", (group,)).fetchone()
            return [_epochs(self._reader).position(row[0] if row else -1)]

    def partition_of(self, key: str, epoch: int | None = None) -> int:
        """Return the one partition."""
        return PARTITION

    async def trim(self, before: Position) -> int:
        """Delete the group commits whose records all stand before `before`; return how many records went."""
        start = (await self._known_epochs()).behind(before)
        return 0 if start is None else await asyncio.to_thread(self._trim, start - 1)

    async def begin_epoch(self) -> int:
        """Number what is appended from now on by a new epoch, after a restore; return its number."""
        return await asyncio.to_thread(self._begin_epoch)

    @property
    def place(self) -> Path:
        """Return the file."""
        return self._path

    async def copy_to(self, place: Path) -> None:
        """Write a consistent copy to a new file; appends go on."""
        await asyncio.to_thread(copy_database, self._path, place)

    async def check(self) -> None:
        """Read the end of the log; raise StoreUnavailable when that cannot be done."""
        await self.ends()

    async def close(self) -> None:
        """Write what waits, then close the file."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._writer.close)
            for connection in (self._tail, self._marks, self._reader):
                connection.close()
            self._turn.close()
            os.close(self._wal)

    def _translating(self) -> AbstractContextManager[None]:
        return translating(str(self._path))

    async def _known_epochs(self) -> Epochs:
        with self._translating(), self._reading:
            return _epochs(self._reader)

    def _write_group(self, records: list[bytes]) -> tuple[int, int]:
        """Store a group; return its epoch and first offset."""
        data = _encoder.encode(records)
        with self._translating():
            with self._turn:
                self._settle_doubt()
                ((epoch, first),) = self._tail.execute(_APPEND, (len(records), data)).fetchall()
            self._sync(first + len(records) - 1)
        self._unfolded += len(data) + _COMMIT_BYTES
        return epoch, first

    def _sync(self, offset: int) -> None:
        """Make durable what stands in the WAL up to `offset`, whoever wrote it; raise OSError."""
        try:
            os.fdatasync(self._wal)
        except OSError:
            # The kernel tells of lost pages once: another sync would succeed without them.
            self._doubtful = True
            raise
        self._durable = max(self._durable, offset)

    async def _believe(self, offset: int) -> None:
        """Return once a record that was read is known to be durable: its writer may not have synced it yet."""
        if offset > self._durable:
            with self._translating():
                await asyncio.to_thread(self._sync_read, offset)

    def _sync_read(self, offset: int) -> None:
        if self._doubtful:
            with exclusive(self._lock):
                self._settle_doubt()
        self._sync(offset)

    def _settle_doubt(self) -> None:
        """After a sync that failed, fold the WAL and begin it anew: what the disk lacks of it would hide the rest."""
        if self._doubtful:
            busy, _, _ = self._tail.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            if busy:
                raise StoreUnavailable(f"{self._path}: the disk failed, and readers keep the log from recovering", 1)
            self._doubtful = False

    def _trim(self, before: int) -> int:
        """Delete chunks that end at or before an offset, some at a time so that appends get their turn."""
        gone = 0
        while True:
            with self._translating(), self._marking, exclusive(self._lock), transaction(self._marks):
                old = self._marks.execute(_OLD, (before,)).fetchall()
                self._marks.executemany("DELETE FROM chunk WHERE first = ?", [(first,) for first, _ in old])
            if not old:
                return gone
            gone += sum(count for _, count in old)
            self._unfolded += _CHECKPOINT_BYTES

    def _begin_epoch(self) -> int:
        with self._translating():
            with exclusive(self._lock), transaction(self._tail):
                number = len(_epochs(self._tail).firsts)
                self._tail.execute("INSERT INTO epoch VALUES (?, ?)", (number, _next_offset(self._tail)))
            os.fdatasync(self._wal)
        return number

    def _fold_wal(self) -> None:
        """Copy the WAL into the file now and then; under the lock nobody appends, so all of it can be copied."""
        if self._unfolded < _CHECKPOINT_BYTES:
            return
        self._unfolded = 0
        # Appends are safe in the WAL: a disk too full to fold it is reported by the append that finds no room.
        with suppress(StoreUnavailable), self._translating(), exclusive(self._lock):
            self._tail.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _mark(self, statement: str, row: tuple[object, ...]) -> None:
        with self._translating(), self._marking, exclusive(self._lock), transaction(self._marks):
            self._marks.execute(statement, row)


def _epochs(connection: sqlite3.Connection) -> Epochs:
    return Epochs([first for (first,) in connection.execute(_EPOCHS)])


def _next_offset(connection: sqlite3.Connection) -> int:
    row = connection.execute(_END).fetchone()
    return int(row[0]) if row else 0


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _wal_size(path: Path) -> int:
    try:
        return _wal(path).stat().st_size
    except FileNotFoundError:
        return 0


def _unpack(rows: Iterator[tuple[int, bytes]], start: int, limit: int, epochs: Epochs) -> Iterator[LogRecord]:
    """Yield the records of chunks from offset `start` on, until `limit` records or _READ_BYTES bytes."""
    size = 0
    for first, chunk in rows:
        skipped = max(start - first, 0)
        # An epoch begins behind a whole chunk, never inside of one.
        epoch = epochs.of(first)
        for offset, data in enumerate(_decoder.decode(chunk)[skipped:], first + skipped):
            yield LogRecord(Position(epoch, PARTITION, offset), data)
            limit -= 1
            size += len(data)
            if limit == 0 or size >= _READ_BYTES:
                return


async def open_event_log(location: str, home: Path) -> SqliteEventLog:
    """Open the log in folder `location` of `home` (`log` where empty), or in the file it names by `.sqlite`."""
    place = home / (location or "log")
    return SqliteEventLog(place if place.suffix == ".sqlite" else place / "events.sqlite")
