"""One platform on embedded storage or on Kafka, Redis and PostgreSQL: the same tests, another configuration file."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from tests.e2e.platform.server import Server, environment, new_token
from tests.engines.kafka import Kafka
from tests.engines.postgres import Postgres
from tests.engines.redis import CacheRedis, RedisServer
from tests.engines.running import Engine, running

EMBEDDED, FLEET = "embedded", "fleet"
CONFIGURATIONS = [EMBEDDED, FLEET]


class Consumer:
    """One `kindred consume` on a data folder."""

    def __init__(self, home: Path) -> None:
        """Prepare; nothing runs before `start`."""
        self.home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._output = home.parent / f"consumer-{id(self):x}.log"
        self._file: IO[bytes] | None = None

    def start(self) -> "Consumer":
        """Start, and return when it says that it consumes."""
        self._file = self._output.open("ab")
        said = self._output.stat().st_size
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kindred", "consume", "--status", "1"],
            env=environment(self.home),
            stdout=self._file,
            stderr=self._file,
        )
        end = time.monotonic() + 60
        while b"consumes" not in self._output.read_bytes()[said:]:
            assert self._process.poll() is None, self.output()
            assert time.monotonic() < end, self.output()
            time.sleep(0.02)
        return self

    def output(self) -> str:
        """Return what it said so far, over all of its starts."""
        return self._output.read_text(errors="replace")

    @property
    def owner(self) -> bool:
        """Say whether it has told that it owns partitions."""
        return "owner" in self.output()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._file is not None:
            self._file.close()


@dataclass
class Platform:
    """A data folder with its engines (none where storage is embedded), and the processes on it."""

    home: Path
    engines: dict[str, Engine] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)
    _token: str = ""

    @property
    def token(self) -> str:
        """Return a token, made when it is asked for first."""
        self._token = self._token or new_token(self.home)
        return self._token

    def server(self, consume: bool = False) -> Server:
        """Start a server; it folds nothing unless it is told to."""
        made = Server(self.home, self.token, words=() if consume else ("--no-consume",))
        return self.stack.enter_context(made)

    def consumer(self) -> Consumer:
        """Start a consumer."""
        made = Consumer(self.home)
        self.stack.callback(made.kill)
        return made.start()


def write_settings(home: Path, engines: dict[str, Engine]) -> None:
    """Write the configuration file of a fleet."""
    kafka, postgres = engines["kafka"].url, engines["postgres"].url
    query = "?partitions=4&session_timeout_ms=6000"
    stores = {
        "event_log": f"{kafka}/kindred{query}",
        "item_log": f"{kafka}/kindred.items{query}",
        "dead_letters": f"{kafka}/kindred",
        "state": engines["state"].url,
        "cache": engines["cache"].url,
        "notifier": engines["cache"].url,
        **dict.fromkeys(("catalog", "profiles", "interactions", "tokens", "rules", "traces", "leases"), postgres),
    }
    lines = [f'{port} = "{url}"' for port, url in stores.items()]
    (home / "kindred.toml").write_text("\n".join(["[stores]", *lines, ""]))


@contextmanager
def platforms(folder: Path) -> Iterator[Callable[[str], Platform]]:
    """Give a function that makes an empty platform of a configuration in `folder`, for a block; all ends with it."""
    with ExitStack() as stack:

        def make(configuration: str) -> Platform:
            home = folder / "home"
            home.mkdir()
            engines: dict[str, Engine] = {}
            if configuration == FLEET:
                kinds = {"kafka": Kafka, "state": RedisServer, "cache": CacheRedis, "postgres": Postgres}
                for name, kind in kinds.items():
                    engines[name] = stack.enter_context(running(kind, folder / name))
                write_settings(home, engines)
            return Platform(home, engines, stack.enter_context(ExitStack()))

        yield make


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Callable[[str], Platform]]:
    """Return a function that makes an empty platform of a configuration; engines and processes end with the test."""
    with platforms(tmp_path) as make:
        yield make
