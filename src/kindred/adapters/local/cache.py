"""A cache in LMDB that the processes of one machine share."""

import asyncio
import hashlib
import shutil
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import lmdb

from kindred.adapters.local import environment
from kindred.core.errors import StoreUnavailable
from kindred.core.files import boot_name
from kindred.ports.resource import Capabilities

MAX_BYTES = 256 << 20

_expiry = struct.Struct("<d")
_SWEPT = 8


class LocalCache:
    """Values with their expiry; not synced, so each start of the machine begins with an empty folder of its own.

    Each put also removes some expired entries that it walks past; a cache over `max_bytes` drops everything, as a cache
    may. `clock` tells seconds and is the same for all processes.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.time) -> None:
        """Open or create the cache; raise StoreUnavailable or StoreFull."""
        self._folder = folder / boot_name()
        for old in folder.glob("boot-*"):
            if old != self._folder:
                shutil.rmtree(old, ignore_errors=True)
        # Pages that a drop frees are used again by later transactions only: hence the double room.
        self._env: environment.Environment | None = environment.acquire(
            self._folder, map_size=2 * max_bytes, durable=False
        )
        self._max_bytes = max_bytes
        self._clock = clock
        self._hand = b""

    @property
    def capabilities(self) -> Capabilities:
        """Return shared, and that entries expire."""
        return Capabilities(shared=True, ttl=True)

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what is kept and not expired, of one snapshot."""
        now = self._clock()
        names = [_name(key) for key in keys]
        return self._environment().read(lambda transaction: [_value(transaction.get(name), now) for name in names])

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value for `ttl` seconds; one larger than a quarter of the cache is not kept."""
        if ttl <= 0 or 4 * len(value) > self._max_bytes:
            return await self.delete([key])
        now = self._clock()
        await asyncio.to_thread(self._put, _name(key), _expiry.pack(now + ttl) + value, now)

    async def delete(self, keys: Sequence[str]) -> None:
        """Drop keys."""
        names = [_name(key) for key in keys]

        def work(transaction: lmdb.Transaction) -> None:
            for name in names:
                transaction.delete(name)

        await asyncio.to_thread(self._environment().write, work)

    async def check(self) -> None:
        """Read once; raise StoreUnavailable when that cannot be done."""
        await self.get([""])

    async def close(self) -> None:
        """Let go of the file."""
        if self._env is not None:
            environment.release(self._env)
            self._env = None

    def _put(self, name: bytes, row: bytes, now: float) -> None:
        env = self._environment()

        def work(transaction: lmdb.Transaction) -> None:
            if _used(transaction) + len(row) > self._max_bytes:
                transaction.drop(env.main, delete=False)
            self._hand = _sweep(transaction, self._hand, now)
            transaction.put(name, row)

        env.write(work)

    def _environment(self) -> environment.Environment:
        if self._env is None:
            raise StoreUnavailable(f"{self._folder}: the cache is closed")
        return self._env


def _name(key: str) -> bytes:
    """Return the key's bytes, or their hash where LMDB does not take as many (or none)."""
    name = b"k" + key.encode()
    return name if len(name) <= 511 else b"h" + hashlib.blake2b(name).digest()


def _value(row: bytes | memoryview | None, now: float) -> bytes | None:
    if row is None or _expiry.unpack_from(row)[0] <= now:
        return None
    return bytes(row[_expiry.size :])


def _used(transaction: lmdb.Transaction) -> int:
    """Return the bytes of all pages that hold entries."""
    stat = transaction.stat()
    return int(stat["psize"] * (stat["leaf_pages"] + stat["branch_pages"] + stat["overflow_pages"]))


def _sweep(transaction: lmdb.Transaction, hand: bytes, now: float) -> bytes:
    """Look at a few entries from key `hand` on, drop the expired, and return where to look next."""
    with transaction.cursor() as cursor:
        more = cursor.set_range(hand) if hand else cursor.first()
        for _ in range(_SWEPT):
            if not more:
                return b""
            expired = _expiry.unpack_from(cursor.value())[0] <= now
            more = cursor.delete() and bool(cursor.key()) if expired else cursor.next()
        return bytes(cursor.key()) if more else b""


async def open_cache(location: str, home: Path) -> LocalCache:
    """Open the cache in folder `location` of `home` (`cache` where empty)."""
    return LocalCache(home / (location or "cache"))
