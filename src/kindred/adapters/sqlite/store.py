"""What the stores of this folder share: one file, one writing thread, one scanning thread, reads in the event loop."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from kindred.adapters.sqlite.connection import (
    Synchronous,
    copy_database,
    exclusive,
    open_connection,
    transaction,
    translating,
)
from kindred.core import files
from kindred.core.errors import ConfigError, StoreUnavailable
from kindred.ports.resource import Capabilities

T = TypeVar("T")
Row = tuple[Any, ...]

SCHEMA_VERSION = 1
INLINE_ROWS = 200
POINT_CACHE_KIB = 32 * 1024
"""Most pages that point reads keep; SQLite's own 2 MB do not hold the inner nodes of a table of a million rows."""
_KEYS_PER_STATEMENT = 500


def database_path(location: str, home: Path) -> Path:
    """Return the file that a store's URL names, taken from `home` unless absolute; raise ConfigError without a name."""
    if not location:
        raise ConfigError("a store URL `sqlite:` needs a file name behind the colon, such as `sqlite:catalog.sqlite`")
    return home / location


def batches(values: Iterable[T], size: int = _KEYS_PER_STATEMENT) -> Iterator[list[T]]:
    """Cut values into lists of at most `size`."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def select_in(connection: sqlite3.Connection, statement: str, keys: Iterable[object]) -> list[Row]:
    """Run a SELECT whose `{}` stands for a list of keys, in as many statements as their number needs."""
    found: list[Row] = []
    for batch in batches(keys):
        found += connection.execute(statement.format(",".join("?" * len(batch))), batch).fetchall()
    return found


class SqliteStore:
    """A store in one SQLite file, safe for any number of processes.

    Writes queue on one thread and, between processes, on an OS lock beside the file (`<file>.lock`), never on SQLite's
    busy handler; they are durable on return unless `synchronous` is NORMAL. Reads see the last commit: small ones run
    in the event loop (tens of microseconds), large ones on a thread of their own.
    """

    def __init__(self, path: Path, schema: str, *, synchronous: Synchronous = "FULL", private: bool = False) -> None:
        """Open or create the file, for its owner alone if `private`; raise StoreUnavailable, StoreFull, ConfigError."""
        self._path = path
        self._lock = path.with_name(path.name + ".lock")
        if private:
            _create_private(path)
        self._connections = [open_connection(path, synchronous=synchronous, schema=schema)]
        try:
            with translating(str(path)):
                self._check_version(self._connections[0])
                self._connections += [self._read_only(), self._read_only()]
                self._connections[1].execute(f"PRAGMA cache_size = -{POINT_CACHE_KIB}")
                self._identity = _identity(path)
        except BaseException:
            self._close_connections()
            raise
        self._writer, self._reader, self._scanner = self._connections
        self._writing = ThreadPoolExecutor(1, f"{path.stem}-write")
        self._scanning = ThreadPoolExecutor(1, f"{path.stem}-scan")
        self._closed = False
        self._capabilities = Capabilities(durable=synchronous == "FULL", shared=True)

    @property
    def capabilities(self) -> Capabilities:
        """Return what this adapter promises."""
        return self._capabilities

    @property
    def place(self) -> Path:
        """Return the file."""
        return self._path

    async def copy_to(self, place: Path) -> None:
        """Write a consistent copy to a new file; readers and writers go on."""
        await asyncio.to_thread(copy_database, self._path, place)

    async def check(self) -> None:
        """Return when the file answers; raise StoreUnavailable when it was removed, replaced or cannot be read."""
        with translating(str(self._path)):
            if _identity(self._path) != self._identity:
                raise StoreUnavailable(f"{self._path}: replaced while it was open; restart this process")
            self._reader.execute("SELECT count(*) FROM sqlite_master").fetchone()

    async def close(self) -> None:
        """Finish writes that were begun, then release the file; a second call does nothing."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._writing.shutdown()
        self._scanning.shutdown()
        self._close_connections()

    def _close_connections(self) -> None:
        with translating(str(self._path)):
            for connection in self._connections:
                connection.close()

    def _check_version(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise ConfigError(
                f"{self._path}: has schema {version} and this release reads schema {SCHEMA_VERSION}; "
                "use the release that wrote it, or move the file away"
            )

    def _read_only(self) -> sqlite3.Connection:
        connection = open_connection(self._path)
        connection.execute("PRAGMA query_only = ON")
        return connection

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one write transaction on the writing thread."""
        return await self._run(self._writing, lambda: self._transact(work))

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with translating(str(self._path)), exclusive(self._lock), transaction(self._writer) as connection:
            return work(connection)

    async def _scan(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a large read on the scanning thread."""
        return await self._run(self._scanning, lambda: self._translated(work, self._scanner))

    async def _read(self, work: Callable[[sqlite3.Connection], T], rows: int) -> T:
        """Run a read of about `rows` rows: here and now when small, else on the scanning thread."""
        return await self._scan(work) if rows > INLINE_ROWS else self._translated(work, self._reader)

    def _translated(self, work: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        with translating(str(self._path)):
            return work(connection)

    async def _run(self, executor: Executor, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailable(f"{self._path}: this store was closed")
        return await asyncio.get_running_loop().run_in_executor(executor, work)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _create_private(path: Path) -> None:
    with translating(str(path)):
        files.make_folder(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
