"""PostgreSQL's errors in Kindred's words; none of them carries a credential."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from kindred.adapters.postgres.address import Address
from kindred.core.errors import ConfigError, InvalidInput, KindredError, StoreFull, StoreUnavailable

_NO_ROOM = (asyncpg.DiskFullError,)
_BAD_DATA = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, UnicodeEncodeError)
_SETTING = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
_ADVICE: tuple[tuple[type[BaseException], str], ...] = (
    (asyncpg.InvalidPasswordError, "see the user and the password in the store's URL"),
    (asyncpg.InvalidAuthorizationSpecificationError, "see the user in the store's URL, and pg_hba.conf"),
    (asyncpg.ReadOnlySQLTransactionError, "the server takes no writes: name the primary in the URL, not a standby"),
    (asyncpg.TooManyConnectionsError, "raise max_connections, or lower `pool` in the store's URL"),
    (asyncpg.CannotConnectNowError, "the server is starting or stopping; try again"),
    (asyncpg.QueryCanceledError, "the statement took too long; `timeout` in the store's URL allows more"),
    (asyncpg.UndefinedTableError, "the tables were taken away; restart this process to make them anew"),
    (asyncpg.OutOfMemoryError, "the server ran out of memory"),
    (asyncpg.PostgresConnectionError, "the connection was lost; try again"),
    (asyncpg.InterfaceError, "the connection was lost; try again"),
)


@contextmanager
def translating(address: Address, *, opening: bool = False) -> Iterator[None]:
    """Turn the driver's errors into the tree's; `opening`: what only a changed setting can mend is a ConfigError."""
    try:
        yield
    except KindredError:
        raise
    except _NO_ROOM as error:
        raise StoreFull(f"{address}: no room left on the server's disk; make room and try again") from error
    except _BAD_DATA as error:
        raise InvalidInput(f"{address}: cannot be stored in PostgreSQL: {_said(error)}") from error
    except TimeoutError as error:
        raise StoreUnavailable(
            f"{address}: no answer within {address.timeout:g} s; see whether the server is overloaded or cut off, or "
            "allow more by `timeout` or `pool` in the store's URL"
        ) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        said = f"{address}: {_said(error)}{_advice(error, address)}"
        raise (ConfigError if opening and isinstance(error, _SETTING) else StoreUnavailable)(said) from error
    except OSError as error:
        raise StoreUnavailable(f"{address}: {error.strerror or error}; see that the server runs") from error


def _said(error: BaseException) -> str:
    """Return the first line of what the driver says."""
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__


def _advice(error: BaseException, address: Address) -> str:
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return f"; run: {create_database(address)}"
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return f"; as their owner run: {grant_tables(address)}"
    return next((f"; {advice}" for kind, advice in _ADVICE if isinstance(error, kind)), "")


def create_database(address: Address) -> str:
    """Return the statement that makes the database."""
    return (
        f"CREATE DATABASE {quoted(address.database)} OWNER {quoted(address.user)} ENCODING 'UTF8' TEMPLATE template0;"
    )


def create_schema(address: Address) -> str:
    """Return the statement that makes the schema, to be run in the database by someone who may."""
    return f"CREATE SCHEMA {quoted(address.schema)} AUTHORIZATION {quoted(address.user)};"


def own_schema(address: Address) -> str:
    """Return the statement that lets the user make tables in a schema that is there."""
    return f"ALTER SCHEMA {quoted(address.schema)} OWNER TO {quoted(address.user)};"


def grant_tables(address: Address) -> str:
    """Return the statement that lets the user read and write tables of another owner."""
    schema, user = quoted(address.schema), quoted(address.user)
    return (
        f"GRANT USAGE ON SCHEMA {schema} TO {user}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user};"
    )


def quoted(name: str) -> str:
    """Return a name as SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def holds_zero(text: str) -> bool:
    r"""Say whether JSON text has the character U+0000 (written `\u0000`), which PostgreSQL keeps nowhere."""
    return "\\u0000" in text and "\x00" in _strings(json.loads(text))


def _strings(value: object) -> str:
    """Return all strings of a JSON value, keys too, one behind the other."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "".join(key + _strings(each) for key, each in value.items())
    return "".join(map(_strings, value)) if isinstance(value, list) else ""
