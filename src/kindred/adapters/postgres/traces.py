"""Traces and replay records of requests in PostgreSQL."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from kindred.adapters.postgres.database import Connection, Work
from kindred.adapters.postgres.store import PostgresStore, batches
from kindred.ports.resource import Capabilities

_RECORDS_PER_TRANSACTION = 1_000
_SWEPT_PER_TRANSACTION = 2_000
_REPLACE = """
INSERT INTO traces (request_id, time, data)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])
ON CONFLICT (request_id) DO UPDATE SET time = excluded.time, data = excluded.data
"""
_SWEEP = "DELETE FROM traces WHERE request_id IN (SELECT request_id FROM traces WHERE time < $1 ORDER BY time LIMIT $2)"


async def open_traces(location: str, home: Path) -> "PostgresTraces":
    """Open `postgresql://user:password@host:port/database?schema=kindred`."""
    return await PostgresTraces.opened(location, home)


class PostgresTraces(PostgresStore):
    """A TraceStore that does not wait for the server's disk: a crash of the server may lose the last second."""

    @property
    def capabilities(self) -> Capabilities:
        """Return shared, and not durable."""
        return msgspec.structs.replace(super().capabilities, durable=False)

    async def put(self, records: Sequence[tuple[str, int, bytes]]) -> None:
        """Keep (request id, time in ms, bytes) records; a later record of a request replaces it."""
        latest = {request_id: (time, data) for request_id, time, data in records}
        rows = [(request_id, *latest[request_id]) for request_id in sorted(latest)]
        for batch in batches(rows, _RECORDS_PER_TRANSACTION):
            columns = tuple(zip(*batch, strict=True))
            await self._open.transact(_replacing(columns))

    async def get(self, request_id: str) -> bytes | None:
        """Return what is kept of a request, or None."""
        statement = "SELECT data FROM traces WHERE request_id = $1"
        rows = await self._fetch(statement, request_id)
        return rows[0][0] if rows else None

    async def sweep(self, before: int) -> int:
        """Delete records older than `before` (ms), 2,000 to a transaction; return how many."""
        total = 0
        while True:
            swept = await self._execute(_SWEEP, before, _SWEPT_PER_TRANSACTION)
            total += swept
            if swept < _SWEPT_PER_TRANSACTION:
                return total


def _replacing(columns: tuple[tuple[object, ...], ...]) -> Work[None]:
    async def work(connection: Connection) -> None:
        await connection.execute("SET LOCAL synchronous_commit = off")
        await connection.execute(_REPLACE, *columns)

    return work
