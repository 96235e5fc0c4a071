"""Redis servers: one to keep state, one to cache, and ones that must not be trusted with state."""

import shutil
import socket
from contextlib import suppress
from typing import ClassVar

from tests.engines.running import Engine


class RedisServer(Engine):
    """A server that keeps state: nothing evicted, an append-only file synced each second; `settings` add to that."""

    name = "redis"
    ready_within = 20.0
    password: ClassVar[str] = ""
    settings: ClassVar[dict[str, str]] = {}

    _BASE: ClassVar[dict[str, str]] = {
        "bind": "127.0.0.1",
        "save": '""',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }

    @classmethod
    def available(cls) -> str | None:
        """Return None where redis-server is installed."""
        return None if shutil.which("redis-server") else "redis-server is not installed (Debian: redis-server)"

    @property
    def location(self) -> str:
        """Return what stands behind `redis:` in a store's URL."""
        user = f":{self.password}@" if self.password else ""
        return f"//{user}127.0.0.1:{self.port}/0"

    @property
    def url(self) -> str:
        """Return the URL of a store on this server."""
        return f"redis:{self.location}"

    def prepare(self) -> None:
        """Write the server's configuration."""
        given = {**self._BASE, **self.settings, "port": str(self.port), "dir": str(self.folder)}
        if self.password:
            given["requirepass"] = self.password
        (self.folder / "redis.conf").write_text("".join(f"{name} {value}\n" for name, value in given.items()))

    def command(self) -> list[str]:
        """Run the server in the foreground."""
        return ["redis-server", str(self.folder / "redis.conf")]

    def ready(self) -> bool:
        """Say whether it answers and has loaded its data."""
        return self.ask("PING").startswith(("+PONG", "-NOAUTH"))

    def ask(self, line: str) -> str:
        """Send one line as a client without a driver, and return what comes back first."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
            client.sendall(line.encode() + b"\r\n")
            return client.recv(65_536).decode(errors="replace")
        return ""


class AlwaysSyncedRedis(RedisServer):
    """A server that syncs its file before it answers."""

    settings = {"appendfsync": "always"}


class CacheRedis(RedisServer):
    """A server that evicts what was used least recently and keeps nothing on disk."""

    settings = {"appendonly": "no", "maxmemory-policy": "allkeys-lru", "maxmemory": "64mb"}


class UnsafeRedis(RedisServer):
    """A server as it comes: nothing on disk, and one that may evict."""

    settings = {"appendonly": "no", "maxmemory-policy": "allkeys-lru"}


class SmallRedis(RedisServer):
    """A server that keeps state and has little room."""

    settings = {"maxmemory": "8mb"}


class LockedRedis(RedisServer):
    """A server that wants a password, with characters that a URL has to encode."""

    password = "s%2Fecret%40pass"

    def prepare(self) -> None:
        """Write the configuration, with the password in clear."""
        super().prepare()
        path = self.folder / "redis.conf"
        path.write_text(path.read_text().replace("requirepass s%2Fecret%40pass", "requirepass s/ecret@pass"))
