"""What a Kafka URL says: where the brokers are, what the log is called, and how it is used."""

import logging
import re
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Meta

from kindred.core.config import Config, Count, decode
from kindred.core.errors import ConfigError

# Librdkafka reports every lost connection; what matters reaches callers as errors.
LOGGER = logging.getLogger("kindred.kafka")
LOGGER.setLevel(logging.ERROR)

MOST_PARTITIONS = 10_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_SERVER = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_SECURITY = ("ssl.", "sasl.")
_FORM = "kafka://host:port[,host:port]/name"
# What was taken for the hosts may be a password, so that it is never repeated.
_MALFORMED = f"a Kafka URL is {_FORM}; before the hosts `user:password@`, in which `/`, `?`, `#`, `[` are %-encoded"

Milliseconds = Annotated[int, Meta(ge=1_000, le=3_600_000)]


class KafkaOptions(Config, frozen=True, kw_only=True):
    """The query of a Kafka URL.

    `partitions`, `replication`, `min_insync` (0: one less than `replication`, at least 1) and `retention_days` are
    those of topics when they are made; topics that exist keep theirs. `session_timeout_ms`: silence after which a
    consumer is given up and its partitions go to others. `timeout_ms`: how long an append may wait for its
    acknowledgement. `security`, `mechanism` and `ca` (a file of certificates): how brokers are spoken to; the user and
    the password stand before the host. Beside these, librdkafka's own `ssl.…` and `sasl.…` settings may stand in the
    query, such as `ssl.certificate.location` and `ssl.key.location`.
    """

    partitions: Annotated[int, Meta(ge=1, le=MOST_PARTITIONS)] = 4
    replication: Annotated[int, Meta(ge=1, le=15)] = 1
    min_insync: Annotated[int, Meta(ge=0, le=15)] = 0
    retention_days: Count = 30
    session_timeout_ms: Milliseconds = 10_000
    timeout_ms: Milliseconds = 10_000
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    ca: str = ""


class Address(Config, frozen=True, kw_only=True):
    """One log on one cluster; `user` and `password` are empty where none are needed, `security` is librdkafka's."""

    servers: str
    name: str
    user: str = ""
    password: str = ""
    options: KafkaOptions = KafkaOptions()
    security: dict[str, str] = {}

    def __str__(self) -> str:
        """Write the address as messages may show it: without the user, the password and the options."""
        return f"kafka://{self.servers}/{self.name}"

    def __repr__(self) -> str:
        """Write the same: the password never reaches a log."""
        return f"Address({self})"

    def client(self, **settings: Any) -> dict[str, Any]:
        """Return the settings of a librdkafka client on this cluster, over which `settings` win."""
        shared: dict[str, Any] = {
            "bootstrap.servers": self.servers,
            "client.id": "kindred",
            "security.protocol": self.options.security,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            "socket.nagle.disable": True,
            "socket.keepalive.enable": True,
            # Some brokers close idle connections without a word; what is in flight then would wait for its timeout.
            "socket.timeout.ms": 10_000,
            "logger": LOGGER,
        }
        if self.user:
            mechanism = self.options.mechanism
            shared |= {"sasl.username": self.user, "sasl.password": self.password, "sasl.mechanism": mechanism}
        if self.options.ca:
            shared["ssl.ca.location"] = self.options.ca
        return shared | self.security | settings


def parse_address(location: str) -> Address:
    """Read what follows `kafka:` in a URL, as `//host:port[,host:port]/name?partitions=8`; raise ConfigError."""
    try:
        parts = urlsplit(f"kafka:{location}")
    except ValueError:
        raise ConfigError(_MALFORMED) from None
    credentials, _, hosts = parts.netloc.rpartition("@")
    servers = [each if each.rpartition("]")[2].count(":") else f"{each}:9092" for each in hosts.split(",") if each]
    name = parts.path.removeprefix("/")
    if not servers or not all(_SERVER.fullmatch(each) for each in servers) or parts.fragment or "@" in parts.path:
        raise ConfigError(_MALFORMED)
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a Kafka URL is {_FORM}; the name has letters, digits, `.`, `_`, `-`, and is {name!r}")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    security = {key: query.pop(key) for key in list(query) if key.startswith(_SECURITY)}
    options = decode(KafkaOptions, query, f"kafka://…/{name}")
    user, _, password = credentials.partition(":")
    if user and not options.security.startswith("sasl"):
        raise ConfigError(f"kafka://…/{name}: a user needs ?security=sasl_ssl (or sasl_plaintext)")
    if options.min_insync > options.replication:
        raise ConfigError(f"kafka://…/{name}: min_insync is at most replication ({options.replication})")
    return Address(
        servers=",".join(servers),
        name=name,
        user=unquote(user),
        password=unquote(password),
        options=options,
        security=security,
    )
