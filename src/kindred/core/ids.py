"""Identifiers, their rules, and the ids that Kindred makes itself."""

import os
import time
import unicodedata
from functools import lru_cache
from hashlib import blake2b

from kindred.core.errors import InvalidInput

MAX_CHARACTERS = 128
MAX_BYTES = 256
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CHARACTERS = (_ALPHABET * 8).encode()
_store: list[str] = []


def id_fault(value: str) -> str | None:
    """Say what breaks the rule of ids (1–128 characters, ≤ 256 bytes, no controls), or None when nothing does."""
    if 0 < len(value) <= MAX_CHARACTERS and value.isascii() and value.isprintable():
        return None
    if not value:
        return "must have 1 to 128 characters, has none"
    if len(value) > MAX_CHARACTERS:
        return f"must have 1 to 128 characters, has {len(value)}"
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "must be valid Unicode"
    if size > MAX_BYTES:
        return f"must have at most 256 bytes as UTF-8, has {size}"
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
        return "must not contain control characters"
    return None


def hashed_id(value: str) -> bytes:
    """Return 16 bytes that stand for an id where nobody may read it."""
    return blake2b(value.encode(), digest_size=16).digest()


def check_id(value: str, pointer: str) -> str:
    """Return the id unchanged; raise InvalidInput naming `pointer` when it breaks the rule."""
    fault = id_fault(value)
    if fault is not None:
        raise InvalidInput.at(pointer, fault)
    return value


def new_id(prefix: str) -> str:
    """Make a unique id that sorts by time: `prefix_` + 10 characters of milliseconds + 13 of randomness."""
    return f"{prefix}_{_time_text(time.time_ns() // 1_000_000)}{_random_text()}"


@lru_cache(maxsize=8)
def _time_text(milliseconds: int) -> str:
    return "".join(_ALPHABET[milliseconds >> shift & 31] for shift in range(45, -1, -5))


def _random_text() -> str:
    """Return 13 random characters from a store of them: asking the system lets another thread run, at a high price."""
    try:
        # One step, so that no two threads get the same.
        return _store.pop()
    except IndexError:
        many = os.urandom(13 * 500).translate(_CHARACTERS).decode()
        _store.extend(many[at : at + 13] for at in range(13, len(many), 13))
        return many[:13]


# A forked child must not make its parent's ids.
os.register_at_fork(after_in_child=_store.clear)


def id_time(made: str) -> int | None:
    """Return when `new_id` made an id (ms since 1970 UTC), or None when it is not one of its making."""
    digits = made.rpartition("_")[2]
    if len(digits) != 23 or not set(digits) <= set(_ALPHABET):
        return None
    number = 0
    for digit in digits[:10]:
        number = number << 5 | _ALPHABET.index(digit)
    return number
