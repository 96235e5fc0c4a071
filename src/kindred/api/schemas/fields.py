"""Field types and checks that several bodies share."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from kindred.api.decoding import Faults
from kindred.core.clock import parse_time
from kindred.core.errors import InvalidInput

Id: TypeAlias = Annotated[
    str | int,
    Meta(
        description="1–128 characters, at most 256 bytes; a number is read as its text",
        extra_json_schema={"minLength": 1, "maxLength": 128},
    ),
]
Time: TypeAlias = Annotated[str, Meta(description="ISO-8601 with a zone", max_length=64)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Names: TypeAlias = Annotated[tuple[Name, ...], Meta(max_length=100)]

LOCATION = r"^[A-Za-z]{2}(-[^-]{1,64}){0,2}$"
ATTRIBUTES_LIMIT = 16 << 10
"""Bytes that free attributes may take as JSON."""
_DEEPEST = 16
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def read_time(text: str | None, pointer: str, faults: Faults) -> int | None:
    """Read a time into milliseconds since 1970 UTC; remember what is wrong with it."""
    if text is None:
        return None
    try:
        return parse_time(text, faults.at + pointer)
    except InvalidInput as error:
        faults.found.extend(error.faults)
        return None


def check_text(text: str, pointer: str, faults: Faults) -> str:
    """Return text unchanged; remember control characters other than tab and line ends."""
    if _CONTROLS.search(text):
        faults.add(pointer, "must not contain control characters")
    return text


def check_texts(texts: Sequence[str], pointer: str, faults: Faults) -> tuple[str, ...]:
    """Return texts, each once, unchanged; remember control characters as `check_text` does."""
    read = [check_text(text, f"{pointer}/{place}", faults) for place, text in enumerate(texts)]
    return tuple(dict.fromkeys(read))


def check_attributes(attributes: dict[str, Any], pointer: str, faults: Faults) -> dict[str, Any]:
    """Return free attributes unchanged; remember that they are too large, too deep, or hold too large a number."""
    if _depth(attributes) > _DEEPEST:
        faults.add(pointer, f"must not be nested deeper than {_DEEPEST} levels")
        return attributes
    try:
        msgspec.msgpack.encode(attributes)
    except OverflowError:
        faults.add(pointer, "must hold integers of at most 64 bits; write larger ones as text")
    size = len(msgspec.json.encode(attributes))
    if size > ATTRIBUTES_LIMIT:
        faults.add(pointer, f"must take at most {ATTRIBUTES_LIMIT} bytes as JSON, takes {size}")
    return attributes


def _depth(value: Any, level: int = 1) -> int:
    if level > _DEEPEST or not isinstance(value, dict | list):
        return level
    inner = value.values() if isinstance(value, dict) else value
    return max((_depth(each, level + 1) for each in inner), default=level)
