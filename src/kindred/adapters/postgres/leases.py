"""Leases as advisory locks: freed by the server when their holder's connection ends, fenced by a number in a row."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg

from kindred.adapters.postgres.database import Connection, Database, connecting
from kindred.adapters.postgres.errors import translating
from kindred.adapters.postgres.store import PostgresStore
from kindred.core.errors import StoreUnavailable

_TAKE = """
INSERT INTO leases (name, fence, owner) VALUES ($1, 1, $2)
ON CONFLICT (name) DO UPDATE SET fence = leases.fence + 1, owner = excluded.owner
RETURNING fence
"""
_HOLDER = """
SELECT owner FROM leases WHERE name = $1 AND EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND ((classid::bigint << 32) | objid::bigint) = $2
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
"""


async def open_leases(location: str, home: Path) -> "PostgresLeases":
    """Open `postgresql://user:password@host:port/database?schema=kindred`."""
    return await PostgresLeases.opened(location, home)


class PostgresLeases(PostgresStore):
    """Leases of one process, all held by one connection of their own, made when the first is taken.

    The server frees them when that connection ends: at once when the process dies, within about 11 s when its machine
    is cut off. A process that only hangs keeps them, as one does an OS lock. Between Kindred and the server no pooler
    may share connections between clients.
    """

    def __init__(self, database: Database) -> None:
        """Hold nothing yet."""
        super().__init__(database)
        self._connection: Any = None
        self._held: dict[str, tuple[int, str]] = {}
        self._turn = asyncio.Lock()

    async def acquire(self, name: str, owner: str) -> int | None:
        """Take the lease, or return None; whoever holds it already through this object gets the same number."""
        async with self._holding(changing=True) as connection:
            if name in self._held:
                fence, held_by = self._held[name]
                return fence if held_by == owner else None
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._key(name)):
                return None
            number = int(await connection.fetchval(_TAKE, name, owner))
            self._held[name] = number, owner
            return number

    async def holds(self, name: str, fence: int) -> bool:
        """Say whether this object holds the lease under `fence`; the server is asked, and a lost connection says no."""
        if not self._holds(name, fence):
            return False
        with suppress(StoreUnavailable):
            async with self._holding() as connection:
                newest = await connection.fetchval("SELECT fence FROM leases WHERE name = $1", name)
                return self._holds(name, fence) and bool(newest == fence)
        return False

    async def holder(self, name: str) -> str | None:
        """Return who holds the lease, or None."""
        rows = await self._fetch(_HOLDER, name, self._key(name))
        return rows[0][0] if rows else None

    async def release(self, name: str, fence: int) -> None:
        """Give the lease back; nothing happens when it is held under another number, or was lost."""
        if not self._holds(name, fence):
            return
        with suppress(StoreUnavailable):
            async with self._holding(changing=True) as connection:
                if self._held.pop(name, None) is not None:
                    await connection.execute("SELECT pg_advisory_unlock($1)", self._key(name))

    async def close(self) -> None:
        """Give all leases back."""
        async with self._turn:
            self._held.clear()
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    # The server may take a moment to notice that a connection was closed.
                    await connection.execute("SELECT pg_advisory_unlock_all()")
                connection.terminate()
        await super().close()

    def _holds(self, name: str, fence: int) -> bool:
        """Say whether the lease was taken under `fence` by the connection that is open now."""
        if self._connection is None or self._connection.is_closed():
            self._held.clear()
        return self._held.get(name, (-1, ""))[0] == fence

    def _key(self, name: str) -> int:
        """Return the number of a lease's lock: advisory locks are known to the whole database by 64 bits."""
        named = f"kindred lease {self._database.address.schema} {name}"
        return int.from_bytes(hashlib.blake2b(named.encode(), digest_size=8).digest(), signed=True)

    @asynccontextmanager
    async def _holding(self, changing: bool = False) -> AsyncIterator[Connection]:
        """Give the connection that holds the leases, one user at a time; where it breaks they are gone, all of them.

        `changing`: locks are taken or given back, so that being cancelled leaves them in doubt.
        """
        address = self._open.address
        async with self._turn:
            with translating(address):
                if self._connection is None or self._connection.is_closed():
                    self._held.clear()
                    self._connection = await asyncpg.connect(**connecting(address))
                try:
                    yield self._connection
                except BaseException as error:
                    if changing or not isinstance(error, asyncio.CancelledError):
                        # Locks whose holder is in doubt are better given back by the server.
                        self._held.clear()
                        self._connection.terminate()
                    raise
