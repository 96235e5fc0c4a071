"""Base of every component's configuration."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from kindred.core.errors import ConfigError, InvalidInput

Count: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000_000)]
CountOrZero: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Amount: TypeAlias = Annotated[float, Meta(ge=0)]
MoreThanZero: TypeAlias = Annotated[float, Meta(gt=0)]

# A password that is not %-encoded may hold `@` and `/`: all up to the last `@` goes.
_PASSWORD = re.compile(r"(?<=://)([^:@]*:).*(?=@)")
_SECRET = re.compile(r"([?&][^=&]*(?:password|secret|pem)[^=&]*=)[^&]*")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A component's frozen configuration; every field has a default and a line of documentation."""


T = TypeVar("T", bound=Config)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when none is near."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown_key(name: str, known: Iterable[str]) -> str:
    """Say that `name` is unknown and which known name is the nearest."""
    names = sorted(known)
    near = nearest(name, names)
    return f"unknown; did you mean `{near}`?" if near else f"unknown; known are {', '.join(names)}"


def without_secrets(url: str) -> str:
    """Return a URL without its password and without the secrets of its query."""
    return _PASSWORD.sub(r"\1…", _SECRET.sub(r"\1…", url))


def decode(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """Read a table into a config struct; raise ConfigError naming the key, its table and the nearest known one."""
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for key in table:
        if key not in known:
            raise ConfigError(f"{where}.{key}: {unknown_key(key, known)}".lstrip("."))
    try:
        return msgspec.convert(table, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error


def check(config: Config, where: str) -> None:
    """Raise InvalidInput at `where`, naming the field, when a value breaks its type's bounds.

    What settings read is checked when it is read; this is for a struct that code has built.
    """
    try:
        msgspec.convert(msgspec.to_builtins(config), type(config))
    except msgspec.ValidationError as error:
        raise InvalidInput.at(where, str(error)) from error
