"""The timetable: jobs that come back run as child processes, one at a time, whatever the number of servers."""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from kindred.core.clock import SECOND, Clock, SystemClock
from kindred.core.errors import KindredError, StoreUnavailable
from kindred.core.ids import new_id
from kindred.jobs.config import ScheduleConfig
from kindred.ports.operations import Leases

LEASE = "scheduler"
_LOOK = 1.0
_AGAIN = 60
_STOP_SECONDS = 20.0
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")
"""The variables that say how many threads numeric libraries use."""

_logger = logging.getLogger(__name__)


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a job's runs; times are ms.

    `since`: when it came onto the timetable. `code`: how it ended. `killed`: how often in a row something else than
    this timetable killed it, such as a kernel that ran out of memory.
    """

    since: int
    started: int | None = None
    finished: int | None = None
    code: int | None = None
    killed: int = 0

    def due(self, every: int) -> int:
        """Return when it is due next, with `every` seconds between two starts; what was missed is due once.

        One that was killed is due again after a minute, then two, four and so on.
        """
        if self.started is None:
            return self.since + every * SECOND
        again = _AGAIN * 2 ** min(self.killed - 1, 20) if self.killed else every
        return self.started + min(again, every) * SECOND


class Timetable:
    """When each job ran last, in a small file per job that outlives the process."""

    def __init__(self, folder: Path) -> None:
        """Keep the files below `folder`."""
        self._folder = folder

    def read(self, name: str) -> JobRecord | None:
        """Return what is known of a job; what cannot be read is as good as nothing."""
        try:
            return msgspec.json.decode((self._folder / f"{name}.json").read_bytes(), type=JobRecord)
        except (OSError, msgspec.DecodeError):
            return None

    def write(self, name: str, record: JobRecord) -> None:
        """Keep what is known of a job; raise StoreUnavailable."""
        path = self._folder / f"{name}.json"
        draft = path.with_name(f".{name}.{os.getpid()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(msgspec.json.encode(record))
            draft.replace(path)
        except OSError as error:
            raise StoreUnavailable(f"{path}: cannot be written: {error.strerror or error}") from error


class Scheduler:
    """Starts what is due and waits for its end, for as long as it holds the lease; other schedulers stand by."""

    def __init__(
        self,
        leases: Leases,
        timetable: Timetable,
        every: Mapping[str, int],
        start: Callable[[str], Awaitable[asyncio.subprocess.Process]],
        clock: Clock | None = None,
        look: float = _LOOK,
        limit: int = 0,
    ) -> None:
        """Prepare; `every`: seconds between two starts by job. `start` starts a job, `look`: seconds between looks.

        A job that runs for more than `limit` seconds is ended; 0: it may run for ever.
        """
        self._leases, self._timetable, self._every, self._start = leases, timetable, dict(every), start
        self._clock, self._look, self._limit = clock or SystemClock(), look, limit * SECOND or None
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{new_id('sched')}"

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the timetable until `stop` is set; a job that runs then is ended."""
        while not stop.is_set():
            try:
                fence = await self._leases.acquire(LEASE, self._owner)
                if fence is not None:
                    try:
                        await self._keep(fence, stop)
                    finally:
                        await self._leases.release(LEASE, fence)
            except (KindredError, OSError) as error:
                _logger.warning("the timetable waits: %s", error)
            await _pause(stop, 5 * self._look)

    async def _keep(self, fence: int, stop: asyncio.Event) -> None:
        """Start what is due, the most overdue first, until `stop` is set or the lease is another's."""
        while not stop.is_set() and await self._leases.holds(LEASE, fence):
            now = self._clock.now()
            due = sorted((self._known(name, now).due(every), name) for name, every in self._every.items())
            if due and due[0][0] <= now:
                await self._run(due[0][1], fence, stop)
            else:
                await _pause(stop, self._look)

    def _known(self, name: str, now: int) -> JobRecord:
        """Return what is known of a job, which comes onto the timetable where nothing is."""
        record = self._timetable.read(name)
        if record is None or max(record.since, record.started or 0) > now:
            # New, or the clock was set back: otherwise it would wait for a time long past.
            record = JobRecord(since=now)
            self._timetable.write(name, record)
        return record

    async def _run(self, name: str, fence: int, stop: asyncio.Event) -> None:
        """Run a job to its end, or end it with this scheduler."""
        started = self._clock.now()
        before = self._known(name, started)
        record = msgspec.structs.replace(before, started=started)
        self._timetable.write(name, record)
        _logger.info("job %s begins", name)
        process = await self._start(name)
        ended = asyncio.ensure_future(process.wait())
        try:
            while not ended.done() and not stop.is_set() and await self._leases.holds(LEASE, fence):
                if self._limit is not None and self._clock.now() - started > self._limit:
                    _logger.warning("job %s is ended: it ran for longer than schedule.limit allows", name)
                    break
                await asyncio.wait({ended}, timeout=self._look)
        finally:
            by_itself = ended.done()
            code = await _end(process, ended)
        if code != 0 and stop.is_set():
            # Cut off together with this scheduler: the next one begins with it.
            self._timetable.write(name, before)
            return
        finished = self._clock.now()
        killed = before.killed + 1 if by_itself and code < 0 else 0
        self._timetable.write(name, msgspec.structs.replace(record, finished=finished, code=code, killed=killed))
        level = logging.INFO if code == 0 else logging.WARNING
        _logger.log(level, "job %s ended with code %s after %.0f s", name, code, (finished - started) / 1000)


async def start_job(name: str, config: ScheduleConfig, output: int | None = None) -> asyncio.subprocess.Process:
    """Start `kindred job NAME` as a child process with few threads.

    What it says goes where this process's words go, or, with `output` = `asyncio.subprocess.PIPE`, to the caller.
    """
    environment = dict(os.environ)
    if config.threads:
        environment |= dict.fromkeys(THREADS, str(config.threads))
    words = [sys.executable, "-m", "kindred", "job", name]
    return await asyncio.create_subprocess_exec(
        *words, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
    )


async def _end(process: asyncio.subprocess.Process, ended: "asyncio.Future[int]") -> int:
    """Return a process's exit code, having ended it where it still runs."""
    if not ended.done():
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(ended), _STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    return await ended


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not beyond `stop`."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
