"""Bearer tokens: `kd_<id>_<secret>`, of which only the SHA-256 is ever kept."""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from kindred.core.errors import Forbidden, InvalidInput, StoreUnavailable, Unauthorized
from kindred.ports.operations import Token, TokenStore

READ, WRITE, ADMIN = "read", "write", "admin"
SCOPES = (READ, WRITE, ADMIN)
TRACK = "track"
"""The scope of a publishable token, always bound to an origin: `track@https://shop.example`."""
REMEMBERED = 2.0
"""Seconds for which a verified token is not looked up again; a revocation counts after at most that long."""
GRACE = 900.0
"""Seconds for which a token that was verified goes on being good while the store of tokens is away."""

_MAX_REMEMBERED = 10_000
_MAX_LENGTH = 200
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


class _Known(NamedTuple):
    """A token, when it was verified, and until when it is not looked up again (ticks)."""

    token: Token
    verified: float
    until: float


def mint(scopes: Iterable[str], name: str, now: int) -> tuple[str, Token]:
    """Make a token: its text, to be shown once, and what is stored; raise InvalidInput for an unknown scope.

    `now`: milliseconds since 1970 UTC.
    """
    wanted = tuple(dict.fromkeys(scope.strip() for scope in scopes if scope.strip()))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        detail = f"unknown scope {unknown[0]!r}" if unknown else "needs at least one scope"
        raise InvalidInput.at("/scopes", f"{detail}; scopes are {', '.join(SCOPES)}")
    token_id, secret = secrets.token_hex(6), secrets.token_hex(24)
    text = f"kd_{token_id}_{secret}"
    return text, Token(token_id=token_id, digest=_digest(text), scopes=wanted, created=now, name=name)


def mint_publishable(origins: Iterable[str], name: str, now: int) -> tuple[str, Token]:
    """Make a token that may be read by anyone: it only tracks events, and only from pages of `origins`.

    Raises InvalidInput for what is no origin, as browsers write one.
    """
    wanted = tuple(dict.fromkeys(origin.strip().rstrip("/").lower() for origin in origins if origin.strip()))
    for origin in wanted:
        if not _ORIGIN.fullmatch(origin):
            raise InvalidInput.at("/origins", f"{origin!r} is no origin: write https://shop.example, without a path")
    if not wanted:
        raise InvalidInput.at("/origins", "needs at least one, such as https://shop.example")
    text, token = mint([WRITE], name, now)
    return text, msgspec.structs.replace(token, scopes=tuple(f"{TRACK}@{origin}" for origin in wanted))


def may_track(token: Token, origin: str | None) -> bool:
    """Say whether a token may track events on a page of `origin`, None where the call comes from no page."""
    return not {WRITE, ADMIN}.isdisjoint(token.scopes) or f"{TRACK}@{origin}" in token.scopes


def require(token: Token, scope: str) -> None:
    """Raise Forbidden when the token has neither `scope` nor `admin`."""
    if scope not in token.scopes and ADMIN not in token.scopes:
        raise Forbidden(f"this call needs the scope `{scope}`; the token has {', '.join(token.scopes)}")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _bearer(authorization: str) -> str | None:
    scheme, _, text = authorization.partition(" ")
    return text.strip() if scheme.lower() == "bearer" and text.isascii() else None


def _token_id(text: str) -> str | None:
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    valid = prefix == "kd" and token_id.isalnum() and secret.isalnum() and text.isascii() and len(text) <= _MAX_LENGTH
    return token_id if valid else None


class TokenVerifier:
    """Says which token a request carries; remembers verified ones by digest for two seconds.

    While the store is away, one that was verified in the last quarter of an hour is good still: nobody can revoke it.
    """

    def __init__(self, store: TokenStore, ticks: Callable[[], float] = time.monotonic) -> None:
        """Look tokens up in `store`; `ticks`: seconds that never run backwards."""
        self._store = store
        self._ticks = ticks
        self._known: dict[bytes, _Known] = {}

    def recall(self, authorization: str) -> Token | None:
        """Return the token of an `Authorization` header when it was verified a moment ago, without looking it up."""
        text = _bearer(authorization)
        return None if text is None else self._remembered(_digest(text))

    async def verify(self, authorization: str | None) -> Token:
        """Return the token of an `Authorization` header; raise Unauthorized saying what is wrong with it."""
        if not authorization:
            raise Unauthorized("send `Authorization: Bearer <token>`; `kindred token create` makes one")
        text = _bearer(authorization)
        token_id = None if text is None else _token_id(text)
        if text is None or token_id is None:
            raise Unauthorized("the Authorization header is not `Bearer kd_<id>_<secret>`")
        digest = _digest(text)
        return self._remembered(digest) or await self._look_up(token_id, digest)

    def _remembered(self, digest: bytes) -> Token | None:
        # Found by digest: how long that takes says nothing of the token.
        known = self._known.get(digest)
        return known.token if known is not None and self._ticks() < known.until else None

    async def _look_up(self, token_id: str, digest: bytes) -> Token:
        known, now = self._known.get(digest), self._ticks()
        try:
            token = await self._store.find(token_id)
        except StoreUnavailable:
            if known is None or now >= known.verified + GRACE:
                raise
            self._known[digest] = known._replace(until=now + REMEMBERED)
            return known.token
        if token is None or not hmac.compare_digest(token.digest, digest):
            self._known.pop(digest, None)
            raise Unauthorized("the token is unknown or revoked")
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[digest] = _Known(token, now, now + REMEMBERED)
        return token
