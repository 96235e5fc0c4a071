"""Leases in one process's memory."""

from pathlib import Path

from kindred.ports.resource import Capabilities


class MemoryLeases:
    """A dictionary of owners; nobody outside of this object sees it."""

    def __init__(self) -> None:
        """Start with every lease free."""
        self._owners: dict[str, str] = {}
        self._fences: dict[str, int] = {}

    @property
    def capabilities(self) -> Capabilities:
        """Return that nothing is promised: one process, and nothing outlives it."""
        return Capabilities()

    async def acquire(self, name: str, owner: str) -> int | None:
        """Take the lease, or return None; its holder gets the same number again."""
        if name not in self._owners:
            self._owners[name] = owner
            self._fences[name] = self._fences.get(name, 0) + 1
        return self._fences[name] if self._owners[name] == owner else None

    async def holds(self, name: str, fence: int) -> bool:
        """Say whether the lease is held under `fence`."""
        return name in self._owners and self._fences[name] == fence

    async def holder(self, name: str) -> str | None:
        """Return who holds the lease, or None."""
        return self._owners.get(name)

    async def release(self, name: str, fence: int) -> None:
        """Give the lease back; nothing happens when it is held under another number."""
        if await self.holds(name, fence):
            del self._owners[name]

    async def check(self) -> None:
        """Do nothing: memory always answers."""

    async def close(self) -> None:
        """Give all leases back."""
        self._owners.clear()


async def open_leases(location: str, home: Path) -> MemoryLeases:
    """Return new leases, all free; the place is not used."""
    return MemoryLeases()
