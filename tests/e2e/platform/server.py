"""A real server process on a data folder, started, killed and stopped from outside."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx

from kindred.core.position import Position

START_SECONDS = 180.0
STOP_SECONDS = 60.0
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a command on `home`, free of settings from outside."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("KINDRED_")}
    return {**kept, "KINDRED_HOME": str(home), **more}


def kindred(
    home: Path, *words: str, check: bool = True, timeout: float = 280.0, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command on `home` to its end; fail the test with what it said when it fails and `check`."""
    command = [sys.executable, "-m", "kindred", *words]
    done = subprocess.run(
        command, env=environment(home, **more), capture_output=True, text=True, check=False, timeout=timeout
    )
    if check and done.returncode:
        raise AssertionError(f"kindred {' '.join(words)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def new_token(home: Path, scopes: str = "read,write,admin") -> str:
    """Return a fresh token of a data folder."""
    return kindred(home, "token", "create", "--scopes", scopes).stdout.strip()


class Server:
    """One `kindred serve`; `settings` are KINDRED_ variables, `prefix` stands before the command (strace, prlimit).

    `words` stand behind it.
    """

    def __init__(
        self, home: Path, token: str = "", prefix: Sequence[str] = (), words: Sequence[str] = (), **settings: str
    ) -> None:
        """Prepare; nothing runs before `start`."""
        self.home, self.token, self.port = home, token, 0
        self._prefix, self._words, self._settings = list(prefix), list(words), settings
        self._process: subprocess.Popen[bytes] | None = None
        self._output = home.parent / f"server-{id(self):x}.log"
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Start and wait until it listens."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it, whatever happened."""
        self.kill()

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Return its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Say whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        """Return what it said so far, over all of its starts."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def launch(self) -> Self:
        """Start the process, on the port it had before if any, and return at once."""
        assert not self.running
        self._file = self._output.open("ab")
        self._said = self._output.stat().st_size
        command = [*self._prefix, sys.executable, "-m", "kindred", "serve", "--port", str(self.port), *self._words]
        # However slow the machine, a test's own calls are not refused for it, unless that is what it looks at.
        settings = {"KINDRED_SERVER_QUEUE_TARGET": "0", **self._settings}
        self._process = subprocess.Popen(
            command, env=environment(self.home, **settings), stdout=self._file, stderr=self._file
        )
        return self

    def await_listening(self, seconds: float = START_SECONDS) -> Self:
        """Wait until it says that it serves; fail the test when it ends before."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            said = self._output.read_bytes()[self._said :].decode(errors="replace")
            if "serves on" in said and (found := _ADDRESS.search(said)):
                self.port = int(found[1])
                return self
            if not self.running:
                break
            time.sleep(0.01)
        code = self._process.poll() if self._process else None
        raise AssertionError(f"the server does not listen (exit code {code}):\n{self.output()[-4000:]}")

    def start(self) -> Self:
        """Start the process and wait until it listens."""
        return self.launch().await_listening()

    def kill(self) -> None:
        """End the process at once, as a power switch would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._file is not None:
            self._file.close()

    def stop(self) -> int:
        """Ask the process to end and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(STOP_SECONDS)
        if self._file is not None:
            self._file.close()
        return code

    def client(self, **options: Any) -> httpx.Client:
        """Return a client that carries the token."""
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=60.0, **options
        )

    def async_client(self) -> httpx.AsyncClient:
        """Return an asynchronous client that carries the token."""
        return httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=60.0)

    def get(self, path: str) -> httpx.Response:
        """Ask for something without a token."""
        return httpx.get(self.url + path, timeout=60.0)


def track(client: httpx.Client, user: str, item: str, event_type: str = "view", **fields: Any) -> Position:
    """Send one event; return its position once it is durable."""
    answer = client.post("/api/v1/track", json={"user_id": user, "item_id": item, "event_type": event_type, **fields})
    assert answer.status_code == 202, answer.text
    return Position.parse(answer.json()["position"])


def recommend(client: httpx.Client, user: str, **fields: Any) -> dict[str, Any]:
    """Return a slate without exploration, or with what `fields` say."""
    answer = client.post("/api/v1/recommendations", json={"user_id": user, "exploration": 0, **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def slate_after(client: httpx.Client, user: str, position: Position, seconds: float = 10.0, **fields: Any) -> Any:
    """Return the first slate that knows the event at `position`."""
    end = time.monotonic() + seconds
    while True:
        said = recommend(client, user, **fields)
        if Position.parse(said["state_version"]) >= position:
            return said
        assert time.monotonic() < end, f"state {said['state_version']} has not reached {position}"
        time.sleep(0.005)


def ids(said: dict[str, Any]) -> list[str]:
    """Return the item ids of a slate in order."""
    return [row["item_id"] for row in said["recommendations"]]


def eventually(question: Any, seconds: float = 60.0, every: float = 0.01) -> Any:
    """Ask until the answer is true and return it; fail the test with the last answer after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := question()):
        assert time.monotonic() < end, f"still {found!r} after {seconds:g} s"
        time.sleep(every)
    return found


async def eventually_async(question: Any, seconds: float = 60.0, every: float = 0.01) -> Any:
    """Await an answer until it is true and return it; fail the test after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := await question()):
        assert time.monotonic() < end, f"still {found!r} after {seconds:g} s"
        await asyncio.sleep(every)
    return found
