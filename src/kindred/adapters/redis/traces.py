"""Traces and replay records of requests in Redis, for a day and up to a number."""

from collections.abc import Sequence
from pathlib import Path

from kindred.adapters.redis.address import Address, parse
from kindred.adapters.redis.scripts import KEEP_TRACES, SWEEP_TRACES
from kindred.adapters.redis.server import Server
from kindred.ports.resource import Capabilities

DAY_MS = 24 * 3_600_000
MAX_RECORDS = 200_000
OPTIONS = {"most": "how many records are kept at most"}

_PER_SCRIPT = 200


class RedisTraces:
    """Records under `<prefix>:trace:<request id>`, gone a day after they were put; the oldest go first beyond `most`.

    A sorted set by time finds what is to go; it forgets a record that expired when it is swept or pushed out.
    """

    def __init__(self, address: Address) -> None:
        """Remember where the server is; raise ConfigError for an option's value."""
        self._server = Server(address)
        self._address = address
        self._index = address.name("traces")
        self._most = int(address.number("most", MAX_RECORDS, 1, 1e9))

    @property
    def capabilities(self) -> Capabilities:
        """Return shared, and that records expire."""
        return Capabilities(shared=True, ttl=True)

    async def put(self, records: Sequence[tuple[str, int, bytes]]) -> None:
        """Keep (request id, time in ms, bytes) records; raise StoreUnavailable or StoreFull."""
        for start in range(0, len(records), _PER_SCRIPT):
            part = records[start : start + _PER_SCRIPT]
            names = [self._address.name("trace", request_id) for request_id, _, _ in part]
            arguments: list[bytes | int | str] = [DAY_MS, self._most, self._address.name("trace")]
            for row in part:
                arguments += row
            await self._server.run(KEEP_TRACES, [self._index, *names], arguments)

    async def get(self, request_id: str) -> bytes | None:
        """Return what is kept of a request, or None."""
        found: bytes | None = await self._server.call("GET", self._address.name("trace", request_id))
        return found

    async def sweep(self, before: int) -> int:
        """Delete records older than `before` (ms), some hundred at a time; return how many were still there."""
        total = 0
        while True:
            seen, gone = await self._server.run(
                SWEEP_TRACES, [self._index], [before, self._address.name("trace"), _PER_SCRIPT]
            )
            total += int(gone)
            if seen < _PER_SCRIPT:
                return total

    async def check(self) -> None:
        """Return when the server answers; raise StoreUnavailable."""
        await self._server.call("PING")

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()


async def open_traces(location: str, home: Path) -> RedisTraces:
    """Open `redis://[user:password@]host[:port][/db][?prefix=kindred&most=200000&timeout=2&tls=no]`.

    Raises ConfigError.
    """
    return RedisTraces(parse(location, OPTIONS))
