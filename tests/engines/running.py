"""What every server of the tests has in common: its processes, its folder, its port, and whether it can be had."""

import atexit
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import ClassVar, TypeVar

import psutil
import pytest

REQUIRED = os.environ.get("KINDRED_ENGINES") == "required"
CACHE = Path(__file__).parents[2] / ".cache" / "engines"
_LOG_TAIL = 3_000

E = TypeVar("E", bound="Engine")


class Engine:
    """One server in one folder; a subclass says what is run, when it is ready, and why it may not be had.

    `folder` holds its data and its log (`server.log`, appended to over restarts). It listens on 127.0.0.1 alone.
    """

    name: ClassVar[str]
    ready_within: ClassVar[float] = 60.0
    stops_within: ClassVar[float] = 15.0

    def __init__(self, folder: Path) -> None:
        """Choose a port; nothing runs before `start`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared = False

    @classmethod
    def available(cls) -> str | None:
        """Return None where this server can be run, else the reason why not."""
        raise AssertionError(f"{cls.__name__} must say whether it can be had")

    @property
    def url(self) -> str:
        """Return what settings call this server; `host:port` where a subclass says nothing else."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Make the data folder and the configuration; called once, before the first start."""

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        raise AssertionError(f"{type(self).__name__} must say how it is run")

    def environment(self) -> dict[str, str]:
        """Return the environment of the server."""
        return dict(os.environ)

    def ready(self) -> bool:
        """Say whether it takes work; by default, whether its port listens."""
        return listens(self.port)

    @property
    def running(self) -> bool:
        """Say whether the server's process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it is ready; raise RuntimeError with the end of its log where it is not."""
        if self.running:
            return
        if not self._prepared:
            self.prepare()
            self._prepared = True
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        atexit.register(self.kill)
        self._await_ready()

    def stop(self) -> None:
        """End the server as an operator would, by SIGTERM; by SIGKILL where that takes too long."""
        if self._process is None:
            return
        self.resume()
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(self.stops_within)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None
        atexit.unregister(self.kill)

    def kill(self) -> None:
        """End the server and its children by SIGKILL, and wait until they are gone; its data stays."""
        if self._process is None:
            return
        tree = self._tree()
        _signal(tree, signal.SIGKILL)
        self._process.wait(self.stops_within)
        psutil.wait_procs([each for each in tree if each.pid != self._process.pid], timeout=self.stops_within)
        self._process = None
        atexit.unregister(self.kill)

    def restart(self) -> None:
        """Stop where it runs, then start on the same port over the same data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the server and its children (SIGSTOP): connections stay, nothing is answered."""
        _signal(self._tree(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on (SIGCONT); does nothing to one that runs."""
        _signal(self._tree(), signal.SIGCONT)

    @property
    def log(self) -> Path:
        """Return the file of what the server wrote."""
        return self.folder / "server.log"

    def _tree(self) -> list[psutil.Process]:
        if not self.running or self._process is None:
            return []
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        return []

    def _await_ready(self) -> None:
        deadline = time.monotonic() + self.ready_within
        while not self.ready():
            if not self.running or time.monotonic() > deadline:
                state = "is not ready" if self.running else "ended"
                self.kill()
                tail = self.log.read_bytes()[-_LOG_TAIL:].decode(errors="replace")
                raise RuntimeError(f"{self.name} {state}; the end of {self.log}:\n{tail}")
            time.sleep(0.05)


def _signal(tree: list[psutil.Process], number: signal.Signals) -> None:
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def free_port() -> int:
    """Return a free port below those that the system hands out to clients.

    A client that keeps connecting to a stopped server's port could otherwise be given that very port, connect to
    itself, and keep the server from coming back.
    """
    for _ in range(100):
        port = random.randrange(15_000, 32_000)
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 15000 and 32000")


def listens(port: int) -> bool:
    """Say whether something accepts connections on a loopback port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def need(kind: type[Engine]) -> None:
    """Skip the test where this server cannot be had; fail it under KINDRED_ENGINES=required."""
    reason = kind.available()
    if reason:
        message = f"{kind.name} cannot be had: {reason} (`make engines` installs it)"
        if REQUIRED:
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


@contextmanager
def running(kind: type[E], folder: Path) -> Iterator[E]:
    """Run a server of a kind in a folder for a block, or skip; whatever the block did to it, it is gone behind it."""
    need(kind)
    engine = kind(folder)
    try:
        engine.start()
        yield engine
    finally:
        engine.resume()
        engine.kill()
