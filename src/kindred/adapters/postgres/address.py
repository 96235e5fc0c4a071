"""Where a PostgreSQL store is, read from its URL."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from kindred.core.errors import ConfigError

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_OPTIONS = ("schema", "pool", "timeout", "sslmode")
_FORM = "`postgresql://user:password@host:5432/database?schema=kindred`"
_RESERVED = ("public", "information_schema")


@dataclass(frozen=True, slots=True)
class Address:
    """A database, a schema in it, and how it is talked to; text forms never carry the password.

    `pool`: the most connections of one process; `timeout`: seconds that connecting, waiting for a free connection, and
    a statement may each take; `sslmode` as libpq has it.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    schema: str = "kindred"
    pool: int = 8
    timeout: float = 10.0
    sslmode: str = "prefer"

    def __str__(self) -> str:
        """Write the address as errors name it, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{host}:{self.port}/{self.database}?schema={self.schema}"


def parse_address(location: str) -> Address:
    """Read what stands behind `postgresql:` in a store's URL; raise ConfigError that names the part and the fix."""
    try:
        parts = urlsplit(location)
        port = parts.port or 5432
    except ValueError:
        # The message of urlsplit may quote the password.
        raise ConfigError(
            f"a PostgreSQL URL has a port that is no number, or a bracket that is not closed: write {_FORM}, "
            "with `@`, `:`, `/` and `#` inside the password as %40, %3A, %2F and %23"
        ) from None
    database = unquote(parts.path.removeprefix("/"))
    for name, value in (("host", parts.hostname), ("user", parts.username), ("database", database)):
        if not value:
            raise ConfigError(f"a PostgreSQL URL names no {name}: write {_FORM}")
    return Address(
        host=str(parts.hostname),
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=database,
        **_options(parts.query),
    )


def _options(query: str) -> dict[str, Any]:
    """Return the options behind `?`, checked."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(given) - set(_OPTIONS))
    if unknown:
        raise ConfigError(f"a PostgreSQL URL has the unknown option {unknown[0]!r}; known are {', '.join(_OPTIONS)}")
    options: dict[str, Any] = {}
    if "schema" in given:
        options["schema"] = _schema(given["schema"])
    if "sslmode" in given:
        if given["sslmode"] not in _SSL_MODES:
            raise ConfigError(f"sslmode of a PostgreSQL URL is one of {', '.join(_SSL_MODES)}")
        options["sslmode"] = given["sslmode"]
    if "pool" in given:
        options["pool"] = int(_number("pool", given["pool"], 1, 1_000))
    if "timeout" in given:
        options["timeout"] = _number("timeout", given["timeout"], 0.1, 3_600)
    return options


def _schema(name: str) -> str:
    if not _SCHEMA.fullmatch(name) or name in _RESERVED or name.startswith("pg_"):
        raise ConfigError(
            f"schema of a PostgreSQL URL is {name!r}: it needs a schema of its own, of lower-case letters, digits and "
            "`_`, such as `kindred`"
        )
    return name


def _number(name: str, text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise ConfigError(f"{name} of a PostgreSQL URL is a number from {least:g} to {most:g}, not {text!r}")
    return value
