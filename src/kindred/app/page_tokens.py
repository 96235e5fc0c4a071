"""Page tokens: where an answer ended, so that the next page goes on without repeats; any server can read them."""

import hashlib
import hmac
import os
import secrets
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from kindred.core.clock import MINUTE
from kindred.core.errors import Gone, InvalidInput
from kindred.core.files import make_folder, sync, translating
from kindred.core.ids import hashed_id
from kindred.recommend.ask import Ask
from kindred.recommend.where.grammar import canonical_text

LIFETIME = 30 * MINUTE
"""Milliseconds for which a token can be used."""
MOST_SHOWN = 500
"""Items behind which there is no next page."""
FILE = "page_tokens.key"
"""Name of the secret's file in the data folder, which all servers share."""

_POINTER = "/page_token"
_SEAL = 32


class Page(NamedTuple):
    """What the pages before hold: the bundle and the seed of the last of them, and all ordinals shown."""

    bundle: str
    seed: int
    shown: tuple[int, ...]


class _Token(msgspec.Struct, frozen=True, array_like=True):
    """A page as it is signed; `shown` are int32, little-endian."""

    made: int
    user: bytes
    asked: bytes
    bundle: str
    seed: int
    shown: bytes


_encode = msgspec.msgpack.Encoder().encode


class PageTokens:
    """Writes and reads tokens that nobody else can make."""

    def __init__(self, secret: bytes) -> None:
        """Sign with keyed BLAKE2b (RFC 7693, 2015) under `secret`."""
        self._secret = secret

    def write(self, ask: Ask, placement: str, page: Page, now: int) -> str | None:
        """Return the token behind a page that is not the last; `now` is ms, `page.shown` includes what it shows."""
        if len(page.shown) >= MOST_SHOWN:
            return None
        shown = struct.pack(f"<{len(page.shown)}i", *page.shown)
        token = _Token(now, hashed_id(ask.user_id), _asked(ask, placement), page.bundle, page.seed, shown)
        data = _encode(token)
        return urlsafe_b64encode(self._seal(data) + data).rstrip(b"=").decode()

    def read(self, text: str, ask: Ask, placement: str, now: int) -> Page:
        """Return the page that a token stands behind.

        Raises InvalidInput for one of another making, user, filter or placement, Gone for one past its time.
        """
        token = self._opened(text)
        if token.user != hashed_id(ask.user_id):
            raise InvalidInput.at(_POINTER, "continues the answer of another user")
        if token.asked != _asked(ask, placement):
            raise InvalidInput.at(
                _POINTER, "continues an answer with other filters or of another placement: send those of the first page"
            )
        if now - token.made > LIFETIME:
            raise Gone("the page token is older than 30 minutes: ask again without one")
        return Page(token.bundle, token.seed, tuple(np.frombuffer(token.shown, "<i4").tolist()))

    def _opened(self, text: str) -> _Token:
        try:
            sealed = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        except (NotBase64, UnicodeEncodeError, ValueError):
            sealed = b""
        data = sealed[_SEAL:]
        if not hmac.compare_digest(sealed[:_SEAL], self._seal(data)):
            raise InvalidInput.at(_POINTER, "is not a token of this server, or was changed: send it as it came")
        return msgspec.msgpack.decode(data, type=_Token)

    def _seal(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, key=self._secret[:64], digest_size=_SEAL).digest()


def _asked(ask: Ask, placement: str) -> bytes:
    """Return 16 bytes that are the same for the same filters on the same placement, whatever their order."""
    lists = (ask.categories, ask.tags, ask.exclude_items)
    if ask.where is None and ask.min_rating is None and not any(lists):
        return _unfiltered(placement, ask.exclude_seen)
    where = None if ask.where is None else canonical_text(ask.where, "/filters/where")
    return _digest(placement, where, ask.exclude_seen, ask.min_rating, *(sorted(each) for each in lists))


@lru_cache(maxsize=1_000)
def _unfiltered(placement: str, exclude_seen: bool) -> bytes:
    return _digest(placement, None, exclude_seen, None, [], [], [])


def _digest(*asked: object) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(asked), digest_size=16).digest()


def read_secret(home: Path) -> bytes:
    """Return the secret that all servers of a data folder share, made by the first of them."""
    path = home / FILE
    with translating(path):
        if not path.exists():
            _make_secret(path)
        return bytes.fromhex(path.read_text())


def _make_secret(path: Path) -> None:
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    draft.touch(mode=0o600)
    try:
        draft.write_text(secrets.token_hex(32))
        sync(draft)
        # Of several servers that start at once, the first one's stays.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
