"""What every store of tokens must do: subclass `TokensSuite`, say how yours is opened, and run it by pytest."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from kindred.core.errors import Conflict, InvalidInput
from kindred.ports.operations import Token, TokenStore


def token(token_id: str, created: int = 1) -> Token:
    """Return a token whose secret was its id."""
    digest = hashlib.sha256(token_id.encode()).digest()
    return Token(token_id=token_id, digest=digest, scopes=("read", "write"), created=created, name="a ü name")


class TokensSuite:
    """The suite of the TokenStore port; it needs pytest and pytest-asyncio in its automatic mode."""

    async def open_store(self, home: Path) -> TokenStore:
        """Open the store kept under `home`; opening it again finds what was there, where it is durable."""
        pytest.fail(f"{type(self).__name__} must say in open_store how its store is opened")

    @asynccontextmanager
    async def opened(self, home: Path) -> AsyncIterator[TokenStore]:
        """Open the store for a block and close it behind it."""
        store = await self.open_store(home)
        try:
            yield store
        finally:
            await store.close()

    async def test_an_empty_store_has_nothing(self, tmp_path: Path) -> None:
        """No token is found, listed or revoked."""
        async with self.opened(tmp_path) as store:
            assert await store.find("a") is None
            assert await store.tokens() == []
            assert await store.revoke("a", 1) is False
            await store.check()

    async def test_a_token_comes_back_as_it_was(self, tmp_path: Path) -> None:
        """Every field survives, a token without scopes too."""
        bare = msgspec.structs.replace(token("bare"), scopes=(), name="")
        async with self.opened(tmp_path) as store:
            await store.add(token("a"))
            await store.add(bare)
            assert await store.find("a") == token("a")
            assert await store.find("bare") == bare
            assert await store.find("A") is None

    async def test_tokens_are_listed_newest_first(self, tmp_path: Path) -> None:
        """By the time they were made."""
        tokens = [token("b", 2), token("a", 1), token("c", 3)]
        async with self.opened(tmp_path) as store:
            for each in tokens:
                await store.add(each)
            assert [each.token_id for each in await store.tokens()] == ["c", "b", "a"]

    async def test_a_known_id_is_refused(self, tmp_path: Path) -> None:
        """Conflict, and the first token stands; a revoked id is not free either."""
        async with self.opened(tmp_path) as store:
            await store.add(token("a", 1))
            with pytest.raises(Conflict):
                await store.add(token("a", 2))
            assert await store.find("a") == token("a", 1)
            await store.revoke("a", 3)
            with pytest.raises(Conflict):
                await store.add(token("a", 4))

    async def test_only_digests_are_kept(self, tmp_path: Path) -> None:
        """What is not the 32 bytes of a SHA-256, as a secret would be, is refused."""
        async with self.opened(tmp_path) as store:
            with pytest.raises(InvalidInput, match="digest"):
                await store.add(msgspec.structs.replace(token("a"), digest=b"secret"))
            assert await store.tokens() == []

    async def test_a_revoked_token_is_listed_but_not_found(self, tmp_path: Path) -> None:
        """It is revoked once, and keeps the time of it."""
        async with self.opened(tmp_path) as store:
            await store.add(token("a"))
            await store.add(token("b"))
            assert await store.revoke("a", 5) is True
            assert await store.revoke("a", 6) is False
            assert await store.find("a") is None
            assert await store.find("b") == token("b")
            assert {each.token_id: each.revoked for each in await store.tokens()} == {"a": 5, "b": None}

    async def test_it_is_found_again(self, tmp_path: Path) -> None:
        """A durable store opened again has the same tokens, revoked ones still revoked."""
        async with self.opened(tmp_path) as store:
            if not store.capabilities.durable:
                pytest.skip("not durable")
            await store.add(token("a"))
            await store.add(token("b"))
            await store.revoke("b", 5)
        async with self.opened(tmp_path) as store:
            assert await store.find("a") == token("a")
            assert await store.find("b") is None

    async def test_two_openings_see_one_another(self, tmp_path: Path) -> None:
        """A shared store opened twice is one store: a revocation holds everywhere at once."""
        async with self.opened(tmp_path) as one, self.opened(tmp_path) as two:
            if not one.capabilities.shared:
                pytest.skip("not shared")
            await one.add(token("a"))
            assert await two.find("a") == token("a")
            await two.revoke("a", 5)
            assert await one.find("a") is None
