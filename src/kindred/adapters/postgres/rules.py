"""Versions of the placements in PostgreSQL."""

from pathlib import Path
from typing import Any

from kindred.adapters.postgres.store import PostgresStore
from kindred.core.errors import Conflict
from kindred.ports.rules import RuleVersion, out_of_turn

_COLUMNS = "version, created, author, note"
_NEWEST = f"SELECT {_COLUMNS} FROM rules ORDER BY version DESC LIMIT 1"
# Of two writers at once the primary key lets one through.
_APPEND = f"""
INSERT INTO rules ({_COLUMNS}, body)
SELECT $1, $2, $3, $4, $5 WHERE $1 = (SELECT coalesce(max(version), 0) + 1 FROM rules)
ON CONFLICT DO NOTHING
"""


async def open_rules(location: str, home: Path) -> "PostgresRules":
    """Open `postgresql://user:password@host:port/database?schema=kindred`."""
    return await PostgresRules.opened(location, home)


class PostgresRules(PostgresStore):
    """A RuleStore."""

    async def newest(self) -> RuleVersion | None:
        """Return the last version, or None before the first."""
        rows = await self._fetch(_NEWEST)
        return _version(rows[0]) if rows else None

    async def versions(self, below: int | None, most: int) -> list[RuleVersion]:
        """Return up to `most` versions below a number, newest first."""
        statement = (
            f"SELECT {_COLUMNS} FROM rules WHERE $1::integer IS NULL OR version < $1 ORDER BY version DESC LIMIT $2"
        )
        return [_version(row) for row in await self._fetch(statement, below, most)]

    async def body(self, version: int) -> bytes | None:
        """Return the document of a version, or None."""
        rows = await self._fetch("SELECT body FROM rules WHERE version = $1", version)
        return bytes(rows[0][0]) if rows else None

    async def append(self, version: RuleVersion, body: bytes) -> None:
        """Keep a new version; raise Conflict unless it is the next one."""
        row = (version.version, version.created, version.author, version.note, body)
        if await self._execute(_APPEND, *row) == 0:
            newest = await self.newest()
            raise Conflict(out_of_turn(version.version, 0 if newest is None else newest.version))


def _version(row: Any) -> RuleVersion:
    version, created, author, note = row
    return RuleVersion(version=version, created=created, author=author, note=note)
