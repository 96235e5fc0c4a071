"""Folded state in Redis: many processes read, the consumers write, records only move forward."""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from redis.exceptions import AuthenticationError, NoPermissionError

from kindred.adapters.redis.address import Address, parse
from kindred.adapters.redis.records import POSITION_SIZE, Names, heads_of, pack, record_of, watermark_of
from kindred.adapters.redis.scripts import MOVE
from kindred.adapters.redis.server import Server
from kindred.core.errors import ConfigError, StateWentBack, StoreUnavailable
from kindred.core.position import Position
from kindred.ports.resource import Capabilities
from kindred.ports.state import StateKey, StateRecord, StateView, StateWrite

READ_KEYS = 5_000
SCAN_ROWS = 500
# A script stops the server for as long as it runs, some milliseconds for this much.
WRITE_ROWS = 500
WRITE_BYTES = 1 << 20
OPTIONS = {"durable": "no: take a server that may evict, or lose everything with its process"}


class _Row(NamedTuple):
    group: str
    name: bytes
    value: bytes


class RedisStateStore:
    """Records as strings, written by a script that compares positions; a group's keys in a sorted set.

    A read is one MGET, so the watermark and up to `READ_KEYS` records are of one moment; of more, the watermark is of
    the first. A write is a script per 500 records or 1 MiB, in order, and the last of them moves the watermark, so a
    watermark is never ahead of its records: not after a crash in between, and not in any prefix of the server's
    append-only file. A scan costs two round trips per 500 records; the index it goes by costs each record about 100
    bytes and its length of key.
    """

    def __init__(self, address: Address) -> None:
        """Remember where the server is; nothing is opened yet. Raises ConfigError for an option's value."""
        self._server = Server(address)
        self._names = Names(address)
        self._durable = address.switch("durable", True)
        self._found_sound_at = -1

    @property
    def capabilities(self) -> Capabilities:
        """Return shared, and durable unless the URL says `durable=no`.

        Durable with `appendfsync everysec` too: what the server's machine loses with its last second it loses with the
        watermark, and folding goes on from there, over a log that still has it.
        """
        return Capabilities(durable=self._durable, shared=True)

    async def read(self, keys: Sequence[StateKey], partition: int = 0) -> StateView:
        """Return the watermark and the records, of one moment up to `READ_KEYS` of them."""
        record = self._names.record
        names = [self._names.watermark(partition), *[record(key) for key in keys]]
        values: list[bytes | None] = await self._server.call("MGET", *names[:READ_KEYS])
        for start in range(READ_KEYS, len(names), READ_KEYS):
            values += await self._server.call("MGET", *names[start : start + READ_KEYS])
        return StateView(watermark_of(values[0], partition), [record_of(value) for value in values[1:]])

    async def heads(self, group: str, keys: Sequence[str], size: int) -> bytes:
        """Return the first `size` bytes of each value, of one moment up to `READ_KEYS` of them."""
        names = self._names.records(group, keys)
        values: list[bytes | None] = []
        for start in range(0, len(names), READ_KEYS):
            values += await self._server.call("MGET", *names[start : start + READ_KEYS])
        return heads_of(values, size)

    async def write(self, writes: Sequence[StateWrite], watermark: Position, standing: Position | None = None) -> int:
        """Store what moves forward, in order, and then the watermark; return how many moved.

        Raises StoreUnavailable (also for a server that may forget records), StoreFull, InvalidInput, and StateWentBack
        where the watermark is lower than `standing`, which every script looks at. A write that failed may have stored
        some of its first records, and never the watermark; repeating it is safe.
        """
        rows = [
            _Row(key.group, self._names.record(key), pack(record.position) + record.value) for key, record in writes
        ]
        last = pack(watermark)
        # Where nothing is folded there is no watermark, and none to go back from.
        built_on = pack(standing) if standing is not None and standing.offset >= 0 else b""
        await self._sound()
        mark = self._names.watermark(watermark.partition)
        moved, parts = 0, list(_parts(rows)) or [[]]
        for number, part in enumerate(parts, 1):
            moved += await self._move(part, mark, last if number == len(parts) else b"", built_on)
        return moved

    async def watermark(self, partition: int = 0) -> Position:
        """Return how far the partition is folded."""
        return watermark_of(await self._server.call("GET", self._names.watermark(partition)), partition)

    async def scan(self, group: str) -> AsyncIterator[tuple[str, StateRecord]]:
        """Go through a group by key, 500 records at a time; what is written meanwhile may or may not be seen."""
        start = b"-"
        while True:
            members: list[bytes] = await self._server.call(
                "ZRANGEBYLEX", self._names.index(group), start, "+", "LIMIT", 0, SCAN_ROWS
            )
            if not members:
                return
            values = await self._server.call("MGET", *(self._names.member(group, member) for member in members))
            for member, value in zip(members, values, strict=True):
                record = record_of(value)
                if record is not None:
                    yield member.decode(), record
            start = b"(" + members[-1]

    async def check(self) -> None:
        """Return when the server answers and may keep state; raise StoreUnavailable saying what to change."""
        self._found_sound_at = -1
        await self._sound()

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def verify(self) -> None:
        """Raise ConfigError for a server that forgets or refuses the credentials; one that is down may come later."""
        try:
            faults = await self._faults()
        except StoreUnavailable as error:
            if isinstance(error.__cause__, AuthenticationError | NoPermissionError):
                raise ConfigError(error.detail) from error
            return
        if faults:
            raise ConfigError(_advice(self._server.address, faults))

    async def _move(self, rows: Sequence[_Row], mark: bytes, watermark: bytes, built_on: bytes) -> int:
        groups = {group: number for number, group in enumerate(dict.fromkeys(row.group for row in rows), 1)}
        keys = [mark, *(self._names.index(group) for group in groups)]
        arguments: list[bytes | int] = [watermark, built_on, len(groups)]
        arguments += (self._names.group_length(group) for group in groups)
        for row in rows:
            keys += (row.name, self._names.tombstone(row.name))
            arguments += (groups[row.group], row.value)
        moved = await self._server.run(MOVE, keys, arguments)
        if isinstance(moved, bytes):
            raise StateWentBack("the state's watermark is lower than the one that this write was built on")
        return int(moved)

    async def _sound(self) -> None:
        """Look at the server's settings at first and whenever it has been away: it may be another one."""
        seen = self._server.failures
        if self._found_sound_at == seen:
            return
        faults = await self._faults()
        if faults:
            raise StoreUnavailable(_advice(self._server.address, faults))
        self._found_sound_at = seen

    async def _faults(self) -> list[str]:
        """Return what in the server's settings would lose records."""
        memory = await self._server.call("INFO", "memory")
        persistence = await self._server.call("INFO", "persistence")
        if persistence.get("aof_last_write_status", "ok") != "ok":
            raise StoreUnavailable(f"{self._server.address} cannot write its append-only file: see its log and disk")
        if not self._durable:
            return []
        policy = memory.get("maxmemory_policy", "noeviction")
        faults = []
        if policy != "noeviction":
            faults.append(f"may evict records: set `maxmemory-policy noeviction` (it is {policy})")
        if not int(persistence.get("aof_enabled", 0)):
            faults.append("keeps no append-only file: set `appendonly yes`")
        return faults


def _advice(address: Address, faults: Sequence[str]) -> str:
    return (
        f"stores.state: {address} {', and '.join(faults)}; or add `durable=no` to the URL's options, "
        "for trials that may lose their state"
    )


def _parts(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Cut rows into what one script writes."""
    part: list[_Row] = []
    size = 0
    for row in rows:
        if part and (len(part) == WRITE_ROWS or size + len(row.value) > WRITE_BYTES):
            yield part
            part, size = [], 0
        part.append(row)
        size += len(row.value) + POSITION_SIZE
    if part:
        yield part


async def open_state(location: str, home: Path) -> RedisStateStore:
    """Open `redis://[user:password@]host[:port][/db][?prefix=kindred&timeout=2&tls=no&durable=yes]`.

    Raises ConfigError for a server that may evict or keeps no append-only file, unless `durable=no`, and for one that
    refuses the credentials. A server that is down is no error here: calls raise StoreUnavailable until it is there.
    """
    store = RedisStateStore(parse(location, OPTIONS))
    try:
        await store.verify()
    except BaseException:
        await store.close()
        raise
    return store
