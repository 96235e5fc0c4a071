"""A child process that is kept running: its words passed on under its name, started again when it dies."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

PARENT = "KINDRED_PARENT"
"""The variable that tells a child of `kindred run` whose child it is."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0
"""A child that ran for so long begins anew with the first pause when it dies."""
_LONGEST_LINE = 1 << 20
_LOOK = 1.0

_logger = logging.getLogger(__name__)


class Child:
    """Keeps one program running until told to stop.

    One that dies is started again after a pause that doubles each time, half a second to half a minute. One that ends
    by itself before it was ever up cannot start at all: that is for whoever runs it.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], sign: str) -> None:
        """Prepare; a line that begins with `sign` says that the program is up."""
        self.name = name
        self.up = asyncio.Event()
        self._command, self._environment, self._sign = list(command), dict(environment), sign
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def keep(self, ended: Callable[[int], None] = lambda pid: None) -> int:
        """Run until `stop`, and return 0, or the exit code of a program that cannot start at all.

        `ended` is told the process id of every process that ended.
        """
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._run(ended)
            if self._stopping.is_set():
                break
            if code > 0 and not self.up.is_set():
                _logger.error("%s cannot start (exit code %s)", self.name, code)
                return code
            if time.monotonic() - started >= STEADY_SECONDS:
                pause = FIRST_PAUSE
            _logger.warning("%s ended with code %s; it is started again in %.1f s", self.name, code, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return 0

    def stop(self) -> None:
        """Ask the program to end; `keep` returns when it has."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the program at once."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _run(self, ended: Callable[[int], None]) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment | {PARENT: str(os.getpid())},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        self._process = process
        if self._stopping.is_set():
            # It was told to end while its process was being made.
            self._signal(signal.SIGTERM)
        said = asyncio.gather(
            pass_on(process.stdout, sys.stdout, self.name, self._heard), pass_on(process.stderr, sys.stderr, self.name)
        )
        code = await process.wait()
        await said
        ended(process.pid)
        return code

    def _heard(self, line: str) -> None:
        if line.startswith(self._sign):
            self.up.set()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


async def pass_on(
    source: asyncio.StreamReader | None, target: TextIO, name: str, heard: Callable[[str], None] = lambda line: None
) -> None:
    """Write every line of `source` to `target` behind the name of who said it, and tell `heard`, until it ends."""
    while source is not None:
        try:
            data = await source.readline()
        except ValueError:
            # Longer than the reader holds; what it held is dropped, and the rest of the line comes next.
            continue
        if not data:
            return
        line = data.decode(errors="replace").rstrip("\n")
        # Nobody who reads any more is no reason to end.
        with contextlib.suppress(OSError):
            print(f"{name} | {line}", file=target, flush=True)
        heard(line)


def end_with_parent() -> None:
    """Have this process end in order when the `kindred run` that started it is gone; otherwise do nothing."""
    parent = os.environ.get(PARENT, "")
    if parent:
        threading.Thread(target=_follow, args=(int(parent),), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os.kill(os.getpid(), signal.SIGTERM)
