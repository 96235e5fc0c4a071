"""Identifiers, their rules, and the ids that Kindred makes itself."""

import os
import time
import unicodedata

from kindred.core.errors import InvalidInput

MAX_CHARACTERS = 128
MAX_BYTES = 256
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def id_fault(value: str) -> str | None:
    """Say what breaks the rule of ids (1–128 characters, ≤ 256 bytes, no controls), or None when nothing does."""
    if not value:
        return "must have 1 to 128 characters, has none"
    if len(value) > MAX_CHARACTERS:
        return f"must have 1 to 128 characters, has {len(value)}"
    if value.isascii() and value.isprintable():
        return None
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "must be valid Unicode"
    if size > MAX_BYTES:
        return f"must have at most 256 bytes as UTF-8, has {size}"
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
        return "must not contain control characters"
    return None


def check_id(value: str, pointer: str) -> str:
    """Return the id unchanged; raise InvalidInput naming `pointer` when it breaks the rule."""
    fault = id_fault(value)
    if fault is not None:
        raise InvalidInput.at(pointer, fault)
    return value


def new_id(prefix: str) -> str:
    """Make a unique id that sorts by time: `prefix_` + 10 characters of milliseconds + 13 of randomness."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 65) | (int.from_bytes(os.urandom(9)) >> 7)
    digits = []
    for _ in range(23):
        digits.append(_ALPHABET[number & 31])
        number >>= 5
    return f"{prefix}_{''.join(reversed(digits))}"


def id_time(made: str) -> int | None:
    """Return when `new_id` made an id (ms since 1970 UTC), or None when it is not one of its making."""
    digits = made.rpartition("_")[2]
    if len(digits) != 23 or not set(digits) <= set(_ALPHABET):
        return None
    number = 0
    for digit in digits[:10]:
        number = number << 5 | _ALPHABET.index(digit)
    return number
