"""Bearer tokens in one SQLite file, as digests only."""

import asyncio
import sqlite3
from pathlib import Path

import msgspec

from kindred.adapters.sqlite.store import Row, SqliteStore, database_path
from kindred.core.errors import Conflict, InvalidInput
from kindred.ports.operations import Token

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (
    token_id TEXT PRIMARY KEY,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    scopes TEXT NOT NULL,
    created INTEGER NOT NULL,
    name TEXT NOT NULL,
    revoked INTEGER
) WITHOUT ROWID;
"""
_COLUMNS = "token_id, digest, scopes, created, name, revoked"
_DIGEST_BYTES = 32


async def open_tokens(location: str, home: Path) -> "SqliteTokens":
    """Open `sqlite:<file>`, a file below `home` unless absolute."""
    return await asyncio.to_thread(SqliteTokens, database_path(location, home))


class SqliteTokens(SqliteStore):
    """A TokenStore; a new file can be read by its owner alone."""

    def __init__(self, path: Path) -> None:
        """Open or create the file."""
        super().__init__(path, _SCHEMA, private=True)

    async def add(self, token: Token) -> None:
        """Keep a new token; raise Conflict for a known id, InvalidInput unless the digest is a SHA-256."""
        if len(token.digest) != _DIGEST_BYTES:
            raise InvalidInput.at("/digest", f"must be the 32 bytes of a SHA-256, has {len(token.digest)}")
        await self._write(lambda connection: _insert(connection, token))

    async def find(self, token_id: str) -> Token | None:
        """Return a token that is not revoked, or None; microseconds, in the event loop."""
        statement = f"SELECT {_COLUMNS} FROM tokens WHERE token_id = ? AND revoked IS NULL"
        row = await self._read(lambda connection: connection.execute(statement, (token_id,)).fetchone(), 1)
        return None if row is None else _token(row)

    async def tokens(self) -> list[Token]:
        """Return all tokens, newest first, revoked ones too."""
        statement = f"SELECT {_COLUMNS} FROM tokens ORDER BY created DESC, token_id DESC"
        rows = await self._scan(lambda connection: connection.execute(statement).fetchall())
        return [_token(row) for row in rows]

    async def revoke(self, token_id: str, now: int) -> bool:
        """Revoke a token; return whether there was one to revoke (a revoked one keeps its time)."""
        statement = "UPDATE tokens SET revoked = ? WHERE token_id = ? AND revoked IS NULL"
        return await self._write(lambda connection: connection.execute(statement, (now, token_id)).rowcount > 0)


def _insert(connection: sqlite3.Connection, token: Token) -> None:
    scopes = msgspec.json.encode(token.scopes).decode()
    row = (token.token_id, token.digest, scopes, token.created, token.name, token.revoked)
    statement = f"INSERT INTO tokens ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (token_id) DO NOTHING"
    if connection.execute(statement, row).rowcount == 0:
        raise Conflict(f"a token {token.token_id!r} exists already")


def _token(row: Row) -> Token:
    token_id, digest, scopes, created, name, revoked = row
    return Token(
        token_id=token_id,
        digest=digest,
        scopes=msgspec.json.decode(scopes, type=tuple[str, ...]),
        created=created,
        name=name,
        revoked=revoked,
    )
