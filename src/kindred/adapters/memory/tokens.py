"""Bearer tokens in this process's memory, as digests only."""

from pathlib import Path

import msgspec

from kindred.core.errors import Conflict, InvalidInput
from kindred.ports.operations import Token
from kindred.ports.resource import Capabilities

_DIGEST_BYTES = 32


async def open_tokens(location: str, home: Path) -> "MemoryTokens":
    """Open an empty store; `location` and `home` are of no account."""
    return MemoryTokens()


class MemoryTokens:
    """A TokenStore that ends with the process: for tests."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        """Start empty."""
        self._tokens: dict[str, Token] = {}

    async def check(self) -> None:
        """Return: memory always answers."""

    async def close(self) -> None:
        """Do nothing; what is kept goes with the process."""

    async def add(self, token: Token) -> None:
        """Keep a new token; raise Conflict for a known id, InvalidInput unless the digest is a SHA-256."""
        if len(token.digest) != _DIGEST_BYTES:
            raise InvalidInput.at("/digest", f"must be the 32 bytes of a SHA-256, has {len(token.digest)}")
        if token.token_id in self._tokens:
            raise Conflict(f"a token {token.token_id!r} exists already")
        self._tokens[token.token_id] = token

    async def find(self, token_id: str) -> Token | None:
        """Return a token that is not revoked, or None."""
        token = self._tokens.get(token_id)
        return None if token is None or token.revoked is not None else token

    async def tokens(self) -> list[Token]:
        """Return all tokens, newest first, revoked ones too."""
        return sorted(self._tokens.values(), key=lambda token: (token.created, token.token_id), reverse=True)

    async def revoke(self, token_id: str, now: int) -> bool:
        """Revoke a token; return whether there was one to revoke (a revoked one keeps its time)."""
        token = await self.find(token_id)
        if token is None:
            return False
        self._tokens[token_id] = msgspec.structs.replace(token, revoked=now)
        return True
