"""Starts real servers on a folder of their own, and measures them from outside."""

import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parent.parent
KINDRED = Path(sys.executable).with_name("kindred")
OHA = ROOT / ".cache" / "tools" / "bin" / "oha"


@dataclass
class Server:
    """One `kindred serve` process."""

    process: subprocess.Popen[bytes]
    url: str

    def pss_mib(self) -> float:
        """Return the proportional set size of the process, MiB."""
        return memory_mib(self.process.pid)[0]

    def processor_seconds(self) -> float:
        """Return the processor time of all of its threads so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the process as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        self.process.kill()


@dataclass
class Home:
    """A data folder that servers are started on; `patience`: seconds in which they have to become ready.

    `seconds`: what making it took, by step.
    """

    path: Path
    token: str
    env: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    patience: float = 30.0

    @classmethod
    def of(cls, path: Path, patience: float = 30.0) -> Self:
        """Return a folder that holds everything but a token."""
        made = [KINDRED, "token", "create", "--scopes", "read,write,admin"]
        env = {**os.environ, "KINDRED_HOME": str(path)}
        token = subprocess.run(made, env=env, check=True, capture_output=True, text=True).stdout.strip()
        return cls(path, token, patience=patience)

    def headers(self) -> dict[str, str]:
        """Return the headers of an authorised request."""
        return {"Authorization": f"Bearer {self.token}"}

    def start(self, *words: str, port: int | None = None, **settings: str) -> Server:
        """Start a server, with further words on its command line, and wait until it is ready.

        `port`: one that another server shares, which may then be who says that it is ready.
        """
        port = port or free_port()
        env = {**os.environ, **self.env, **settings, "KINDRED_HOME": str(self.path), "OPENBLAS_NUM_THREADS": "1"}
        log = (self.path / f"server-{port}.log").open("ab")
        process = subprocess.Popen([KINDRED, "serve", "--port", str(port), *words], env=env, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        for _ in range(round(10 * self.patience)):
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/health/ready").status_code == 200:
                    return Server(process, url)
            if process.poll() is not None:
                break
            time.sleep(0.1)
        process.kill()
        raise SystemExit(f"the server did not become ready:\n{Path(log.name).read_text()}")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def memory_mib(pid: int) -> tuple[float, float]:
    """Return a process's proportional set size and the part of it that no file stands behind, MiB."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kibibytes = {words[0]: int(words[1]) for words in lines}
    return kibibytes["Pss:"] / 1024, kibibytes["Pss_Anon:"] / 1024


@contextlib.contextmanager
def sample_home() -> Iterator[Home]:
    """Import and train the packaged data in a temporary folder, timed."""
    path = Path(tempfile.mkdtemp(prefix="kindred-bench-"))
    env = {**os.environ, "KINDRED_HOME": str(path)}
    try:
        seconds = {}
        for name, command in {"import": ["import", "--sample"], "train": ["train"]}.items():
            started = time.perf_counter()
            subprocess.run([KINDRED, *command], env=env, check=True, capture_output=True)
            seconds[name] = time.perf_counter() - started
        yield replace(Home.of(path), seconds=seconds)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def oha(url: str, *arguments: str, headers: dict[str, str] | None = None) -> dict[str, object]:
    """Run the load generator and return its report."""
    given = [part for name, value in (headers or {}).items() for part in ("-H", f"{name}: {value}")]
    command = [OHA, "--no-tui", "--output-format", "json", *arguments, *given, url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def machine() -> str:
    """Say on what this was measured."""
    return f"{os.cpu_count()} cores shared by servers and load, Python {platform.python_version()}"
