"""Leases in Redis that run out by themselves, fenced by a number that only grows."""

import asyncio
import logging
import re
import threading
from pathlib import Path
from secrets import token_hex

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from kindred.adapters.redis.address import Address, parse
from kindred.adapters.redis.scripts import ACQUIRE, RELEASE, RENEW
from kindred.adapters.redis.server import Server
from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.ports.resource import Capabilities

TTL = 10.0
OPTIONS = {"ttl": "seconds after which the lease of a dead process is free"}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

_logger = logging.getLogger(__name__)


class RedisLeases:
    """`<prefix>:lease:<name>` says who holds it and runs out after `ttl` seconds; `<prefix>:fence:<name>` stays.

    `holds` renews; between calls a thread does, as long as the process runs, however busy its event loop is. A process
    that is stopped, or cut off from the server, for `ttl` seconds may lose its leases to another: `holds` then says
    False and the other's number is greater. Between a server's failure and its replica's start, or on a server that
    evicts, two may believe that they hold a lease until the next `holds`; whoever writes under one must also be
    refused by what is written (state only moves forward). Numbers are at least the server's clock in milliseconds, so
    they grow also when the server has forgotten them, unless its clock was set back as well.
    """

    def __init__(self, address: Address) -> None:
        """Remember where the server is; raise ConfigError for a time to live that is none."""
        self._server = Server(address, connections=4)
        self._address = address
        self._milliseconds = int(1000 * address.number("ttl", TTL, 0.1, 3600))
        self._token = token_hex(8)
        self._held: dict[str, tuple[int, str]] = {}
        self._stop = threading.Event()
        self._renewer: threading.Thread | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Return shared; a lease may end early when its server fails."""
        return Capabilities(shared=True, ttl=True)

    async def acquire(self, name: str, owner: str) -> int | None:
        """Take the lease, or return None; whoever holds it already through this object gets the same number."""
        answer = await self._server.run(ACQUIRE, self._keys(name), [self._token, owner, self._milliseconds])
        if answer is None:
            return None
        self._held[name] = int(answer), owner
        self._start_renewing()
        return int(answer)

    async def holds(self, name: str, fence: int) -> bool:
        """Say whether this object holds the lease under `fence`, and renew it; raise StoreUnavailable."""
        held, owner = self._held.get(name, (-1, ""))
        if held != fence:
            return False
        if await self._server.run(RENEW, self._keys(name), [self._token, fence, owner, self._milliseconds]):
            return True
        if self._held.get(name) == (held, owner):
            del self._held[name]
        return False

    async def holder(self, name: str) -> str | None:
        """Return who holds the lease, or None."""
        owner: bytes | None = await self._server.call("HGET", self._keys(name)[0], "owner")
        return None if owner is None else owner.decode()

    async def release(self, name: str, fence: int) -> None:
        """Give the lease back; nothing happens when it is held under another number, and it runs out by itself."""
        if self._held.get(name, (-1, ""))[0] != fence:
            return
        del self._held[name]
        try:
            await self._server.run(RELEASE, self._keys(name)[:1], [self._token, fence])
        except StoreUnavailable as error:
            _logger.warning("lease %s was not given back and runs out by itself: %s", name, error)

    async def check(self) -> None:
        """Return when the server answers; raise StoreUnavailable."""
        await self._server.call("PING")

    async def close(self) -> None:
        """Give all leases back and end the renewing."""
        self._stop.set()
        for name, (fence, _) in list(self._held.items()):
            await self.release(name, fence)
        await self._server.close()
        if self._renewer is not None:
            await asyncio.to_thread(self._renewer.join)
            self._renewer = None

    def _keys(self, name: str) -> list[bytes]:
        if not _NAME.fullmatch(name):
            raise InvalidInput.at("/name", f"may have letters, digits, `_`, `.` and `-`, is {name[:40]!r}")
        return [self._address.name("lease", name), self._address.name("fence", name)]

    def _start_renewing(self) -> None:
        if self._renewer is None:
            self._renewer = threading.Thread(target=self._renew, name="kindred-leases", daemon=True)
            self._renewer.start()

    def _renew(self) -> None:
        """Renew what is held three times in a life; what is lost is found out by `holds`."""
        with Redis(
            **self._address.connection(),
            ssl=self._address.tls,
            socket_timeout=self._address.timeout,
            socket_connect_timeout=self._address.timeout,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            renew = client.register_script(RENEW.source)
            while not self._stop.wait(self._milliseconds / 3000):
                for name, (fence, owner) in list(self._held.items()):
                    keys = self._keys(name)
                    try:
                        renew(keys, [self._token, fence, owner, self._milliseconds])
                    except (RedisError, OSError) as error:
                        _logger.debug("lease %s was not renewed: %s", name, type(error).__name__)


async def open_leases(location: str, home: Path) -> RedisLeases:
    """Open `redis://[user:password@]host[:port][/db][?prefix=kindred&ttl=10&timeout=2&tls=no]`; raise ConfigError."""
    return RedisLeases(parse(location, OPTIONS))
