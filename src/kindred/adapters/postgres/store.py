"""What the stores of this folder share."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from kindred.adapters.postgres.address import parse_address
from kindred.adapters.postgres.database import Database, open_database
from kindred.adapters.postgres.errors import holds_zero
from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.ports.resource import Capabilities

T = TypeVar("T")

KEYS_PER_STATEMENT = 5_000
_encode = msgspec.json.Encoder().encode


class PostgresStore:
    """A store in one schema of a PostgreSQL database, safe for any number of processes and machines."""

    def __init__(self, database: Database) -> None:
        """Use a database that was entered for this store."""
        self._database = database
        self._closed = False

    @classmethod
    async def opened(cls, location: str, home: Path) -> Self:
        """Open `postgresql://…`, making or migrating its tables; raise ConfigError or StoreUnavailable."""
        return cls(await open_database(parse_address(location)))

    @property
    def capabilities(self) -> Capabilities:
        """Return shared, and durable where the server syncs its commits."""
        return Capabilities(durable=self._database.durable, shared=True)

    async def check(self) -> None:
        """Return when the server answers and has the tables; raise StoreUnavailable."""
        await self._fetch("SELECT max(version) FROM schema_version")

    async def close(self) -> None:
        """Leave the pool, which closes with its last store; a second call does nothing."""
        if not self._closed:
            self._closed = True
            await self._database.leave()

    async def _fetch(self, statement: str, *arguments: object) -> list[Any]:
        """Run one statement and return its rows."""
        rows: list[Any] = await self._open.run(lambda connection: connection.fetch(statement, *arguments))
        return rows

    async def _execute(self, statement: str, *arguments: object) -> int:
        """Run one statement in a transaction of its own and return how many rows it touched."""
        return affected(await self._open.run(lambda connection: connection.execute(statement, *arguments)))

    @property
    def _open(self) -> Database:
        """Return the database; raise StoreUnavailable once this store was closed."""
        if self._closed:
            raise StoreUnavailable(f"{self._database.address}: this store was closed")
        return self._database


def batches(values: Iterable[T], size: int = KEYS_PER_STATEMENT) -> Iterator[list[T]]:
    """Cut values into lists of at most `size`."""
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def json_text(value: object, pointer: str) -> str:
    """Return a value as JSON text that jsonb keeps; raise InvalidInput naming `pointer`."""
    try:
        text = _encode(value).decode()
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput.at(pointer, f"cannot be written as JSON: {error}") from error
    if holds_zero(text):
        raise InvalidInput.at(pointer, "holds the character U+0000, which PostgreSQL cannot keep: leave it out")
    return text


def affected(status: str) -> int:
    """Return the number of rows in a command's status, such as `DELETE 3`."""
    return int(status.rpartition(" ")[2])
