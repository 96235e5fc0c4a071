"""Tokens: what is kept of them, who they let in, and for how long one is remembered."""

import pytest

from kindred.adapters.memory.tokens import MemoryTokens
from kindred.api.tokens import GRACE, REMEMBERED, TokenVerifier, mint, require
from kindred.core.errors import Forbidden, InvalidInput, StoreUnavailable, Unauthorized
from kindred.ports.operations import Token


class Ticks:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_minted_token_keeps_only_a_digest() -> None:
    text, token = mint(["read", " write ", "read"], "shop", 5)
    assert text.startswith(f"kd_{token.token_id}_")
    assert token.scopes == ("read", "write")
    assert text.rpartition("_")[2] not in repr(token)
    assert len(token.digest) == 32
    assert mint(["read"], "shop", 5)[0] != text


@pytest.mark.parametrize("scopes", [[], ["reed"], ["read", ""], [" "]])
def test_unknown_or_no_scopes_are_refused(scopes: list[str]) -> None:
    if scopes == ["read", ""]:
        assert mint(scopes, "", 0)[1].scopes == ("read",)
    else:
        with pytest.raises(InvalidInput, match="scope"):
            mint(scopes, "", 0)


def test_admin_may_do_everything_and_others_only_theirs() -> None:
    _, reader = mint(["read"], "", 0)
    _, admin = mint(["admin"], "", 0)
    for scope in ("read", "write", "admin"):
        require(admin, scope)
    require(reader, "read")
    with pytest.raises(Forbidden, match="write"):
        require(reader, "write")


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer kd_1", "Bearer kd__x", "Bearer xx_1_2", "Bearer kd_é_2",
     "Bearer kd_1_" + "a" * 300, "kd_1_2"],
)  # fmt: skip
async def test_malformed_headers_are_refused_without_a_look_up(header: str | None) -> None:
    class Closed(MemoryTokens):
        async def find(self, token_id: str) -> None:
            raise AssertionError(token_id)

    with pytest.raises(Unauthorized):
        await TokenVerifier(Closed()).verify(header)


async def test_a_wrong_secret_of_a_known_id_is_refused() -> None:
    store = MemoryTokens()
    text, token = mint(["read"], "", 0)
    await store.add(token)
    verifier = TokenVerifier(store)
    assert await verifier.verify(f"bearer {text}") == token
    wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
    with pytest.raises(Unauthorized, match="unknown or revoked"):
        await verifier.verify(f"Bearer {wrong}")


async def test_a_revocation_counts_after_at_most_two_seconds() -> None:
    store, ticks = MemoryTokens(), Ticks()
    text, token = mint(["read"], "", 0)
    verifier = TokenVerifier(store, ticks)
    with pytest.raises(Unauthorized):
        await verifier.verify(f"Bearer {text}")
    await store.add(token)
    assert await verifier.verify(f"Bearer {text}") == token
    await store.revoke(token.token_id, 1)
    assert await verifier.verify(f"Bearer {text}") == token
    ticks.now += REMEMBERED
    with pytest.raises(Unauthorized):
        await verifier.verify(f"Bearer {text}")
    assert REMEMBERED <= 2.0


async def test_while_the_store_is_away_a_token_that_was_verified_is_good_for_a_while() -> None:
    class Leaving(MemoryTokens):
        away = False

        async def find(self, token_id: str) -> Token | None:
            if self.away:
                raise StoreUnavailable("the tokens are away")
            return await super().find(token_id)

    store, ticks = Leaving(), Ticks()
    (text, token), (other, second) = mint(["read"], "", 0), mint(["read"], "", 0)
    await store.add(token)
    await store.add(second)
    verifier = TokenVerifier(store, ticks)
    assert await verifier.verify(f"Bearer {text}") == token
    store.away = True
    for _ in range(3):
        ticks.now += GRACE / 4
        assert await verifier.verify(f"Bearer {text}") == token
        assert verifier.recall(f"Bearer {text}") == token
    with pytest.raises(StoreUnavailable):
        await verifier.verify(f"Bearer {other}")
    ticks.now += GRACE / 4
    with pytest.raises(StoreUnavailable):
        await verifier.verify(f"Bearer {text}")
    store.away = False
    await store.revoke(token.token_id, 0)
    with pytest.raises(Unauthorized):
        await verifier.verify(f"Bearer {text}")
