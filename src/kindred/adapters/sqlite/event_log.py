"""The event log in one SQLite file: a row per group commit, dense offsets, writers of all processes in one queue."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path

import msgspec

from kindred.adapters.sqlite.connection import exclusive, open_connection, transaction, translating
from kindred.adapters.sqlite.event_log_writer import GroupWriter
from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.core.position import Position
from kindred.ports.log import DeadLetter, LogRecord
from kindred.ports.resource import Capabilities

EPOCH = PARTITION = 0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS chunk (first INTEGER PRIMARY KEY, count INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS committed (consumer TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letter (place INTEGER PRIMARY KEY, reason TEXT NOT NULL, data BLOB NOT NULL);
"""
_END = "SELECT first + count FROM chunk ORDER BY first DESC LIMIT 1"
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
    """An event log of one partition; an append returns after the sync that covers it (WAL, `synchronous=FULL`).

    Writers queue on `append.lock` beside the file and not on SQLite's busy handler, whose sleeps starve some of them.
    Two connections write: one appends, the other keeps committed positions and dead letters; a third one reads.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the log at `path`; raise StoreUnavailable or StoreFull."""
        self._path = path
        self._lock = path.with_name("append.lock")
        self._reading, self._marking = threading.Lock(), threading.Lock()
        self._unfolded = _wal_size(path)
        self._closed = False
        self._tail = open_connection(path, schema=_SCHEMA)
        self._marks = open_connection(path, synchronous="NORMAL")
        self._reader = open_connection(path)
        for connection in (self._tail, self._marks):
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        self._writer = GroupWriter(self._write_group, self._fold_wal)

    @property
    def capabilities(self) -> Capabilities:
        """Return durable and shared: any number of processes append and read."""
        return Capabilities(durable=True, shared=True)

    async def append(self, records: Sequence[tuple[str, bytes]]) -> list[Position]:
        """Append durably, all or none; the key is not used, since there is one partition."""
        if not records:
            return []
        first = await self._writer.append([data for _, data in records])
        return [_position(offset) for offset in range(first, first + len(records))]

    async def read(self, after: Position, limit: int) -> list[LogRecord]:
        """Return up to `limit` records behind `after`, fewer where they are large (16 MiB at once)."""
        start = _behind(after)
        if start is None or limit < 1:
            return []
        # An unfinished statement would hold the snapshot and keep the WAL from being folded: hence `closing`.
        with self._translating(), self._reading, closing(self._reader.execute(_READ, (start,))) as rows:
            return list(_unpack(rows, start, limit))

    async def ends(self) -> list[Position]:
        """Return the one partition's last position."""
        with self._translating(), self._reading:
            return [_position(_next_offset(self._reader) - 1)]

    async def commit(self, group: str, position: Position) -> None:
        """Remember how far `group` is; a machine's end may forget the newest commits, never make them up."""
        await asyncio.to_thread(self._mark, _COMMIT, [(group, _own_offset(position))])

    async def committed(self, group: str) -> list[Position]:
        """Return how far `group` is."""
        with self._translating(), self._reading:
            row = self._reader.execute("SELECT last FROM committed WHERE consumer = ?", (group,)).fetchone()
        return [_position(row[0] if row else -1)]

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep records that cannot be folded, durably; the first burial of a position counts."""
        rows = [(_own_offset(letter.position), letter.reason, letter.data) for letter in letters]
        if rows:
            await asyncio.to_thread(self._mark, "INSERT OR IGNORE INTO dead_letter VALUES (?, ?, ?)", rows, True)

    async def dead_letters(self, after: Position, limit: int) -> list[DeadLetter]:
        """Return up to `limit` dead letters behind `after`."""
        start = _behind(after)
        if start is None or limit < 1:
            return []
        with self._translating(), self._reading:
            rows = self._reader.execute(
                "SELECT place, reason, data FROM dead_letter WHERE place >= ? ORDER BY place LIMIT ?", (start, limit)
            ).fetchall()
        return [DeadLetter(_position(place), reason, data) for place, reason, data in rows]

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

    def _translating(self) -> AbstractContextManager[None]:
        return translating(str(self._path))

    def _write_group(self, records: list[bytes]) -> int:
        data = _encoder.encode(records)
        with self._translating(), exclusive(self._lock), transaction(self._tail):
            first = _next_offset(self._tail)
            self._tail.execute("INSERT INTO chunk VALUES (?, ?, ?)", (first, len(records), data))
        self._unfolded += len(data) + _COMMIT_BYTES
        return first

    def _fold_wal(self) -> None:
        """Copy the WAL into the file now and then; under the lock nobody appends, so all of it can be copied."""
        if self._unfolded < _CHECKPOINT_BYTES:
            return
        self._unfolded = 0
        # Appends are safe in the WAL: a disk too full to fold it is reported by the append that finds no room.
        with suppress(StoreUnavailable), self._translating(), exclusive(self._lock):
            self._tail.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _mark(self, statement: str, rows: Sequence[tuple[object, ...]], durable: bool = False) -> None:
        with self._translating(), self._marking, exclusive(self._lock):
            if durable:
                self._marks.execute("PRAGMA synchronous = FULL")
            try:
                with transaction(self._marks):
                    self._marks.executemany(statement, rows)
            finally:
                self._marks.execute("PRAGMA synchronous = NORMAL")


def _position(offset: int) -> Position:
    return Position(EPOCH, PARTITION, offset)


def _own_offset(position: Position) -> int:
    """Return the offset of a position of this log; raise InvalidInput for one of another log."""
    if (position.epoch, position.partition) != (EPOCH, PARTITION):
        raise InvalidInput.at("/position", f"this log has epoch {EPOCH} and partition {PARTITION}, not {position}")
    return position.offset


def _behind(after: Position) -> int | None:
    """Return the first offset behind a position, or None when nothing of this log can stand there."""
    if after.partition != PARTITION or after.epoch > EPOCH:
        return None
    return max(after.offset + 1, 0) if after.epoch == EPOCH else 0


def _next_offset(connection: sqlite3.Connection) -> int:
    row = connection.execute(_END).fetchone()
    return int(row[0]) if row else 0


def _wal_size(path: Path) -> int:
    try:
        return path.with_name(path.name + "-wal").stat().st_size
    except FileNotFoundError:
        return 0


def _unpack(rows: Iterator[tuple[int, bytes]], start: int, limit: int) -> Iterator[LogRecord]:
    """Yield the records of chunks from offset `start` on, until `limit` records or _READ_BYTES bytes."""
    size = 0
    for first, chunk in rows:
        skipped = max(start - first, 0)
        for offset, data in enumerate(_decoder.decode(chunk)[skipped:], first + skipped):
            yield LogRecord(_position(offset), data)
            limit -= 1
            size += len(data)
            if limit == 0 or size >= _READ_BYTES:
                return


async def open_event_log(location: str, home: Path) -> SqliteEventLog:
    """Open the log in folder `location` of `home` (`log` where empty), or in the file it names by `.sqlite`."""
    place = home / (location or "log")
    return SqliteEventLog(place if place.suffix == ".sqlite" else place / "events.sqlite")
