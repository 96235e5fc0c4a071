"""Port of the placements that operators change while servers run."""

from typing import Protocol

import msgspec

from kindred.ports.resource import Resource


class RuleVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Who made a version of the placements, when (ms since 1970 UTC), and what for.

    `version`: counted from 1 without a gap; 0 is what the settings say.
    """

    version: int
    created: int
    author: str = ""
    note: str = ""


class RuleStore(Resource, Protocol):
    """Every version of the one document that holds the placements: appended, never changed, never deleted."""

    async def newest(self) -> RuleVersion | None:
        """Return the last version, or None before the first; servers ask several times a second."""
        ...

    async def versions(self, below: int | None, most: int) -> list[RuleVersion]:
        """Return up to `most` versions with a number smaller than `below` (None: all), newest first."""
        ...

    async def body(self, version: int) -> bytes | None:
        """Return the document of a version as it was given, or None where there is no such version."""
        ...

    async def append(self, version: RuleVersion, body: bytes) -> None:
        """Keep a new version durably; raise Conflict, and keep nothing, unless it is the one behind the newest."""
        ...


def out_of_turn(version: int, newest: int) -> str:
    """Say why a version cannot be the next one: two writers built on the same one, and the other was first."""
    return f"version {version} of the placements cannot follow version {newest}: read that one and build on it"
