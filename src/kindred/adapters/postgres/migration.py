"""Brings a schema to the tables of this release, once, whatever number of processes start together."""

from importlib.resources import files
from typing import Any

import asyncpg

from kindred.adapters.postgres.address import Address
from kindred.adapters.postgres.errors import create_database, create_schema, own_schema, quoted
from kindred.core.errors import ConfigError

_OLDEST_SERVER = 13
_NO_LIMIT = 86_400.0
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('kindred migration ' || $1, 0))"
# From the tables themselves: what `to_regclass` remembers may be older than the lock that was waited for.
_HAS_SCHEMA = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)"
_HAS_VERSIONS = """
SELECT EXISTS (
    SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = $1 AND relname = 'schema_version'
)
"""
_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied timestamptz NOT NULL DEFAULT now()
)
"""


def migrations() -> list[tuple[int, str, str]]:
    """Return (number, name, SQL) of every migration, in order; numbers are dense from 1."""
    folder = files(__package__) / "migrations"
    found = sorted((each.name, each.read_text("utf-8")) for each in folder.iterdir() if each.name.endswith(".sql"))
    return [(int(name[:4]), name.removesuffix(".sql"), text) for name, text in found]


async def prepare(connection: Any, address: Address) -> bool:
    """Make or migrate the tables and return whether commits are durable; raise ConfigError saying what to change."""
    _check_server(connection, address)
    if await _version(connection, address) < len(migrations()):
        await _migrate(connection, address)
    row = await connection.fetchrow("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
    return (row[0], row[1] == "off") == ("on", False)


def _check_server(connection: Any, address: Address) -> None:
    version = connection.get_server_version()
    if version.major < _OLDEST_SERVER:
        raise ConfigError(f"{address}: is PostgreSQL {version.major}; Kindred needs {_OLDEST_SERVER} or newer")
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise ConfigError(f"{address}: has the encoding {encoding}; make one with: {create_database(address)}")


async def _version(connection: Any, address: Address) -> int:
    """Return the number of the last migration, 0 for none; raise ConfigError when it is one this release lacks."""
    if not await connection.fetchval(_HAS_VERSIONS, address.schema):
        return 0
    table = f"{quoted(address.schema)}.schema_version"
    version = int(await connection.fetchval(f"SELECT coalesce(max(version), 0) FROM {table}"))
    if version > len(migrations()):
        raise ConfigError(
            f"{address}: has tables of version {version} and this release knows up to {len(migrations())}; "
            "use the release that made them, or a newer one"
        )
    return version


async def _migrate(connection: Any, address: Address) -> None:
    """Apply what is missing in one transaction; another process may have done it while this one waited."""
    async with connection.transaction():
        # Building an index of a large table may take longer than any other statement.
        await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        await connection.fetchval(_LOCK, address.schema, timeout=_NO_LIMIT)
        version = await _version(connection, address)
        await _make_schema(connection, address)
        try:
            await connection.execute(_VERSIONS)
            for number, name, text in migrations()[version:]:
                await connection.execute(text, timeout=_NO_LIMIT)
                await connection.execute("INSERT INTO schema_version (version, name) VALUES ($1, $2)", number, name)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError) as error:
            raise ConfigError(
                f"{address}: the user {address.user!r} may not make tables there; as the schema's owner run: "
                f"{own_schema(address)}"
            ) from error


async def _make_schema(connection: Any, address: Address) -> None:
    if await connection.fetchval(_HAS_SCHEMA, address.schema):
        return
    try:
        await connection.execute(f"CREATE SCHEMA {quoted(address.schema)}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigError(
            f"{address}: the user {address.user!r} may not make the schema; as the database's owner run in "
            f"{address.database!r}: {create_schema(address)}"
        ) from error
