"""One Redis server: a pool of connections, a bound on every call, and the driver's errors in our words."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from kindred.adapters.redis.address import Address
from kindred.core.errors import StoreFull, StoreUnavailable

CONNECTIONS = 32
_LOADING_POLL = 0.05
# Bytes taken from the socket's buffer at a time; an answer of many records has more than a million.
_READ_SIZE = 1 << 20


class Script:
    """A Lua script and the digest that a server knows it by."""

    def __init__(self, source: str) -> None:
        """Keep the source with its SHA-1, as EVALSHA asks for."""
        self.source = source
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class Server:
    """Calls to one server, over at most `CONNECTIONS` connections that are opened when they are needed.

    A call takes at most the address's timeout, waiting for a connection and for a server that loads its data included.
    A connection that broke is replaced by the next call. `failures` counts the calls that did not get an answer.
    """

    def __init__(self, address: Address, *, connections: int = CONNECTIONS) -> None:
        """Remember where the server is; nothing is opened yet."""
        self.address = address
        self.failures = 0
        self._closed = False
        pool = BlockingConnectionPool(
            max_connections=connections,
            timeout=None,
            connection_class=_SecureConnection if address.tls else _Connection,
            socket_read_size=_READ_SIZE,
            # Every call is bounded as a whole; bounds of single reads would only add up.
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
            **address.connection(),
        )
        self.client: Any = Redis(connection_pool=pool)

    async def call(self, *words: Any) -> Any:
        """Send one command and return its answer; raise StoreUnavailable or StoreFull."""
        if self._closed:
            raise StoreUnavailable(f"{self.address}: the store is closed")
        loading = False
        try:
            async with asyncio.timeout(self.address.timeout):
                while True:
                    try:
                        return await self.client.execute_command(*words)
                    except BusyLoadingError:
                        loading = True
                        await asyncio.sleep(_LOADING_POLL)
        except NoScriptError as error:
            raise _Forgotten(str(self.address)) from error
        except (RedisError, OSError) as error:
            self.failures += 1
            raise translated(error, self.address, loading) from error

    async def run(self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes | int | str]) -> Any:
        """Run a script in one round trip, in two where the server has forgotten it."""
        try:
            return await self.call("EVALSHA", script.digest, len(keys), *keys, *arguments)
        except _Forgotten:
            return await self.call("EVAL", script.source, len(keys), *keys, *arguments)

    async def close(self) -> None:
        """Close all connections; a second call does nothing."""
        if not self._closed:
            self._closed = True
            await self.client.aclose(close_connection_pool=True)


class _Packed:
    """Commands written by the driver's C library: its asynchronous connections spend a microsecond a word on that."""

    def pack_command(self, *words: Any) -> list[bytes]:
        """Return a command in the protocol's form."""
        return [pack_command(words)]


class _Connection(_Packed, Connection):
    """A plain connection."""


class _SecureConnection(_Packed, SSLConnection):
    """A connection by TLS."""


class _Forgotten(StoreUnavailable):
    """The server does not have a script, as after each of its starts."""


def translated(error: Exception, address: Address, loading: bool = False) -> StoreUnavailable:
    """Return our error for one of the driver's, saying what to do and no credentials."""
    said = str(error).strip()[:300] or type(error).__name__
    if address.password:
        said = said.replace(address.password, "***")
    if isinstance(error, OutOfMemoryError) or "No space left" in said:
        return StoreFull(f"{address} is full: raise `maxmemory` or free space ({said})")
    if isinstance(error, AuthenticationError | NoPermissionError):
        return StoreUnavailable(f"{address} refuses the user or password of the URL, or a command to them ({said})")
    if isinstance(error, ReadOnlyError):
        return StoreUnavailable(f"{address} is a read-only replica: the URL must name the primary")
    if loading:
        return StoreUnavailable(f"{address} is still loading its data after {address.timeout:g} s")
    if isinstance(error, TimeoutError | RedisTimeout):
        return StoreUnavailable(f"{address} did not answer within {address.timeout:g} s")
    if isinstance(error, ConnectionError | OSError):
        return StoreUnavailable(f"{address} cannot be reached ({said})")
    return StoreUnavailable(f"{address} refuses: {said}")
