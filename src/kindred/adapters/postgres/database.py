"""The one pool of connections per URL and process, which all stores of the URL share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg

from kindred.adapters.postgres.address import Address
from kindred.adapters.postgres.errors import translating
from kindred.adapters.postgres.migration import prepare
from kindred.core.errors import StoreUnavailable

T = TypeVar("T")
Connection = Any
Work = Callable[[Connection], Awaitable[T]]

# What is rolled back whole, so that the same transaction may simply be run again.
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_ATTEMPTS = 4
# After these a connection is of no use: the answer of a statement that was given up may still come.
_SPOILT = (TimeoutError, asyncio.CancelledError, asyncpg.InternalClientError)
_databases: dict[tuple[Address, asyncio.AbstractEventLoop], "Database"] = {}


def connecting(address: Address) -> dict[str, Any]:
    """Return the driver's arguments; the server ends a statement before the client gives up on it.

    Both sides find a dead peer in seconds, and a process that hangs within a transaction loses it, and its locks.
    """
    milliseconds = f"{round(address.timeout * 1_000)}"
    return {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": address.password or None,
        "database": address.database,
        "ssl": address.sslmode,
        "timeout": address.timeout,
        "command_timeout": address.timeout * 1.2 + 0.1,
        "server_settings": {
            "application_name": "kindred",
            "search_path": address.schema,
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            "client_min_messages": "warning",
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "3",
        },
    }


async def open_database(address: Address) -> "Database":
    """Return the database that this process shares, its tables made; raise ConfigError or StoreUnavailable.

    Every call needs a `leave` of its own.
    """
    key = (address, asyncio.get_running_loop())
    database = _databases.setdefault(key, Database(address))
    database.users += 1
    try:
        await database.enter()
    except BaseException:
        await database.leave()
        raise
    return database


class Database:
    """A pool that opens connections as they are needed and replaces those that broke."""

    def __init__(self, address: Address) -> None:
        """Open nothing yet."""
        self.address = address
        self.users = 0
        self.durable = False
        self._pool: Any = None
        self._entering = asyncio.Lock()

    async def enter(self) -> None:
        """See that the server answers and that the tables are those of this release, once."""
        async with self._entering:
            if self._pool is not None:
                return
            with translating(self.address, opening=True):
                pool = asyncpg.create_pool(
                    min_size=0, max_size=self.address.pool, reset=_nothing, **connecting(self.address)
                )
                try:
                    await pool
                    async with self._borrowed(pool) as connection:
                        self.durable = await prepare(connection, self.address)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool

    async def leave(self) -> None:
        """Close the pool when its last user leaves."""
        self.users -= 1
        if self.users == 0:
            _databases.pop((self.address, asyncio.get_running_loop()), None)
            pool, self._pool = self._pool, None
            if pool is not None:
                # One that cannot end its connections in time has cut them off.
                with suppress(TimeoutError):
                    await asyncio.wait_for(pool.close(), self.address.timeout)

    async def run(self, work: Work[T]) -> T:
        """Run `work`, each statement of which is a transaction of its own, on a free connection."""
        return await self._again(work, self._once)

    async def transact(self, work: Work[T], seconds: float | None = None) -> T:
        """Run `work` in one transaction.

        `seconds`: how long the server lets each statement take, instead of the URL's `timeout`.
        """

        async def attempt(work: Work[T]) -> T:
            async with self._borrowed(self._pool) as connection, connection.transaction():
                if seconds is not None:
                    await connection.execute(f"SET LOCAL statement_timeout = {round(seconds * 1_000)}")
                return await work(connection)

        return await self._again(work, attempt)

    async def _once(self, work: Work[T]) -> T:
        async with self._borrowed(self._pool) as connection:
            return await work(connection)

    async def _again(self, work: Work[T], attempt: Callable[[Work[T]], Awaitable[T]]) -> T:
        """Run an attempt, and again where the server undid it for a deadlock; translate what else it raises."""
        with translating(self.address):
            for _ in range(_ATTEMPTS - 1):
                with suppress(*_AGAIN):
                    return await attempt(work)
            return await attempt(work)

    @asynccontextmanager
    async def _borrowed(self, pool: Any) -> AsyncIterator[Connection]:
        if pool is None:
            raise StoreUnavailable(f"{self.address}: this store was closed")
        connection = await pool.acquire(timeout=self.address.timeout)
        try:
            yield connection
        except _SPOILT:
            connection.terminate()
            raise
        except asyncpg.ReadOnlySQLTransactionError:
            # A server that takes no writes any more may have a successor under the same name.
            await pool.expire_connections()
            raise
        finally:
            await pool.release(connection)


async def _nothing(connection: Connection) -> None:
    """Leave a returned connection as it is: nothing here changes a session, and the driver's reset is a round trip."""
