"""Where a Redis server is and how to use it, as the URL of a store says."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from kindred.core.errors import ConfigError

_FORM = "is redis://[user:password@]host[:port][/db][?prefix=kindred]"
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SWITCH = {"yes": True, "no": False}


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One server, database and prefix of names; `str` of it never shows the password."""

    host: str
    port: int = 6379
    db: int = 0
    username: str | None = None
    password: str | None = None
    prefix: str = "kindred"
    tls: bool = False
    timeout: float = 2.0
    options: dict[str, str] = {}

    def __str__(self) -> str:
        """Name the server and database."""
        return f"Redis at {self.host}:{self.port}/{self.db}"

    def __repr__(self) -> str:
        """Name the server and database, and no more."""
        return f"<{self}>"

    def name(self, kind: str, key: str | bytes = b"") -> bytes:
        """Return a key's full name, `<prefix>:<kind>:<key>`."""
        return f"{self.prefix}:{kind}:".encode() + (key.encode() if isinstance(key, str) else key)

    def connection(self) -> dict[str, Any]:
        """Return what the driver's connections are made with."""
        return {
            "host": self.host,
            "port": self.port,
            "db": self.db,
            "username": self.username,
            "password": self.password,
            "protocol": 2,
        }

    def switch(self, name: str, default: bool) -> bool:
        """Return an option that is `yes` or `no`; raise ConfigError when it is something else."""
        given = self.options.get(name)
        if given is not None and given not in _SWITCH:
            raise ConfigError(f"{self}: the option {name} is yes or no, not {given!r}")
        return default if given is None else _SWITCH[given]

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """Return an option that is a number from `least` to `most`; raise ConfigError when it is not."""
        return _number(f"{self}: the option {name}", self.options.get(name), default, least, most)


def parse(location: str, options: Mapping[str, str] | None = None, *, timeout: float = 2.0) -> Address:
    """Read what stands behind `redis:`; `options` are a store's own, each with a word on what it does.

    Raises ConfigError for a URL of another form or an option that is not known; it never repeats the URL.
    """
    own = dict(options or {})
    try:
        parts = urlsplit("redis:" + location)
        host, port = parts.hostname, parts.port or 6379
        given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        # The parser's words may carry a piece of the URL, and that may be the password.
        raise ConfigError(
            f"the URL of a Redis store {_FORM}: `/`, `@`, `:`, `#`, `?` and `%` in a password are %-encoded"
        ) from None
    db = parts.path.removeprefix("/") or "0"
    if not host or not (db.isascii() and db.isdigit()) or parts.fragment:
        raise ConfigError(f"the URL of a Redis store {_FORM}")
    known = {"prefix": "", "timeout": "", "tls": "", **own}
    for name in given:
        if name not in known:
            raise ConfigError(f"Redis at {host}:{port}: unknown option {name!r}; there are {', '.join(sorted(known))}")
    address = Address(
        host=host,
        port=port,
        db=int(db),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        prefix=given.get("prefix", "kindred"),
        options={name: value for name, value in given.items() if name in own or name == "tls"},
        timeout=_number(f"Redis at {host}:{port}: the option timeout", given.get("timeout"), timeout, 0.01, 600.0),
    )
    if not _PREFIX.fullmatch(address.prefix):
        raise ConfigError(f"{address}: a prefix has 1–64 letters, digits, `_`, `.` or `-`")
    return msgspec.structs.replace(address, tls=address.switch("tls", False))


def _number(what: str, given: str | None, default: float, least: float, most: float) -> float:
    if given is None:
        return default
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise ConfigError(f"{what} is a number from {least:g} to {most:g}, not {given!r}")
    return value
