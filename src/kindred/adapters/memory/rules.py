"""Versions of the placements in this process's memory."""

from pathlib import Path

from kindred.core.errors import Conflict
from kindred.ports.resource import Capabilities
from kindred.ports.rules import RuleVersion, out_of_turn


async def open_rules(location: str, home: Path) -> "MemoryRules":
    """Open an empty store; `location` and `home` are of no account."""
    return MemoryRules()


class MemoryRules:
    """A RuleStore that ends with the process: for tests."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        """Start empty."""
        self._versions: list[tuple[RuleVersion, bytes]] = []

    async def check(self) -> None:
        """Return: memory always answers."""

    async def close(self) -> None:
        """Do nothing; what is kept goes with the process."""

    async def newest(self) -> RuleVersion | None:
        """Return the last version, or None before the first."""
        return self._versions[-1][0] if self._versions else None

    async def versions(self, below: int | None, most: int) -> list[RuleVersion]:
        """Return up to `most` versions below a number, newest first."""
        found = [version for version, _ in reversed(self._versions) if below is None or version.version < below]
        return found[:most]

    async def body(self, version: int) -> bytes | None:
        """Return the document of a version, or None."""
        return self._versions[version - 1][1] if 1 <= version <= len(self._versions) else None

    async def append(self, version: RuleVersion, body: bytes) -> None:
        """Keep a new version; raise Conflict unless it is the next one."""
        if version.version != len(self._versions) + 1:
            raise Conflict(out_of_turn(version.version, len(self._versions)))
        self._versions.append((version, body))
