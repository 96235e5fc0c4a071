"""Traces and replay records of requests in this process's memory."""

from collections.abc import Sequence
from pathlib import Path

from kindred.ports.resource import Capabilities


async def open_traces(location: str, home: Path) -> "MemoryTraces":
    """Open an empty store; `location` and `home` are of no account."""
    return MemoryTraces()


class MemoryTraces:
    """A TraceStore that ends with the process: for tests and for replays."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        """Start empty."""
        self._records: dict[str, tuple[int, bytes]] = {}

    async def check(self) -> None:
        """Return: memory always answers."""

    async def close(self) -> None:
        """Do nothing; what is kept goes with the process."""

    async def put(self, records: Sequence[tuple[str, int, bytes]]) -> None:
        """Keep (request id, time in ms, bytes) records; a later record of a request replaces it."""
        self._records |= {request_id: (time, bytes(data)) for request_id, time, data in records}

    async def get(self, request_id: str) -> bytes | None:
        """Return what is kept of a request, or None."""
        found = self._records.get(request_id)
        return None if found is None else found[1]

    async def sweep(self, before: int) -> int:
        """Delete records older than `before` (ms); return how many."""
        old = [request_id for request_id, (time, _) in self._records.items() if time < before]
        for request_id in old:
            del self._records[request_id]
        return len(old)
