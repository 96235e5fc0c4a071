"""Bearer tokens in PostgreSQL, as digests only."""

from pathlib import Path
from typing import Any

from kindred.adapters.postgres.store import PostgresStore
from kindred.core.errors import Conflict, InvalidInput
from kindred.ports.operations import Token

_COLUMNS = "token_id, digest, scopes, created, name, revoked"
_DIGEST_BYTES = 32


async def open_tokens(location: str, home: Path) -> "PostgresTokens":
    """Open `postgresql://user:password@host:port/database?schema=kindred`."""
    return await PostgresTokens.opened(location, home)


class PostgresTokens(PostgresStore):
    """A TokenStore."""

    async def add(self, token: Token) -> None:
        """Keep a new token; raise Conflict for a known id, InvalidInput unless the digest is a SHA-256."""
        if len(token.digest) != _DIGEST_BYTES:
            raise InvalidInput.at("/digest", f"must be the 32 bytes of a SHA-256, has {len(token.digest)}")
        row = (token.token_id, token.digest, token.scopes, token.created, token.name, token.revoked)
        statement = f"INSERT INTO tokens ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"
        if await self._execute(statement, *row) == 0:
            raise Conflict(f"a token {token.token_id!r} exists already")

    async def find(self, token_id: str) -> Token | None:
        """Return a token that is not revoked, or None."""
        statement = f"SELECT {_COLUMNS} FROM tokens WHERE token_id = $1 AND revoked IS NULL"
        rows = await self._fetch(statement, token_id)
        return _token(rows[0]) if rows else None

    async def tokens(self) -> list[Token]:
        """Return all tokens, newest first, revoked ones too."""
        statement = f"SELECT {_COLUMNS} FROM tokens ORDER BY created DESC, token_id DESC"
        return [_token(row) for row in await self._fetch(statement)]

    async def revoke(self, token_id: str, now: int) -> bool:
        """Revoke a token; return whether there was one to revoke (a revoked one keeps its time)."""
        statement = "UPDATE tokens SET revoked = $1 WHERE token_id = $2 AND revoked IS NULL"
        return await self._execute(statement, now, token_id) > 0


def _token(row: Any) -> Token:
    token_id, digest, scopes, created, name, revoked = row
    return Token(token_id=token_id, digest=digest, scopes=tuple(scopes), created=created, name=name, revoked=revoked)
