"""The timetable: what is due runs, one at a time, once for all that was missed, and ends with its scheduler."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kindred.adapters.local.leases import LocalLeases
from kindred.core.clock import FixedClock
from kindred.jobs.config import ScheduleConfig
from kindred.jobs.scheduler import JobRecord, Scheduler, Timetable

NOW = 1_700_000_000_000
SLEEP = "import time; time.sleep(60)"


@dataclass
class Bench:
    """A scheduler over real child processes, on a clock that stands still."""

    folder: Path
    every: dict[str, int] = field(default_factory=lambda: {"lake": 60})
    code: str = "pass"
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    limit: int = 0
    started: list[str] = field(default_factory=list)
    running: int = 0
    most: int = 0
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def timetable(self) -> Timetable:
        return Timetable(self.folder / "jobs")

    async def start(self, name: str) -> asyncio.subprocess.Process:
        self.started.append(name)
        process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", self.code)
        self.processes.append(process)
        self.most = max(self.most, sum(each.returncode is None for each in self.processes))
        return process

    def scheduler(self, leases: LocalLeases | None = None) -> Scheduler:
        leases = leases or LocalLeases(self.folder / "leases")
        return Scheduler(leases, self.timetable, self.every, self.start, self.clock, look=0.005, limit=self.limit)

    async def until(self, done, scheduler: Scheduler | None = None, seconds: float = 20) -> None:  # type: ignore[no-untyped-def]
        stop = asyncio.Event()
        task = asyncio.create_task((scheduler or self.scheduler()).run(stop))
        async with asyncio.timeout(seconds):
            while not done():
                await asyncio.sleep(0.005)
        stop.set()
        await task


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def known(bench: Bench, name: str = "lake") -> JobRecord | None:
    return bench.timetable.read(name)


async def test_a_new_job_waits_for_its_first_time(bench: Bench) -> None:
    await bench.until(lambda: known(bench) is not None)
    assert bench.started == []
    bench.clock.time_ms += 60_000
    await bench.until(lambda: (known(bench) or JobRecord(since=0)).finished is not None)
    assert bench.started == ["lake"]
    record = known(bench)
    assert record == JobRecord(since=NOW, started=NOW + 60_000, finished=NOW + 60_000, code=0)


async def test_what_was_missed_runs_once(bench: Bench) -> None:
    bench.timetable.write("lake", JobRecord(since=NOW - 10**9, started=NOW - 10**8, finished=NOW - 10**8, code=0))
    await bench.until(lambda: (known(bench) or JobRecord(since=0)).finished == NOW)
    await asyncio.sleep(0.05)
    assert bench.started == ["lake"]


async def test_jobs_run_one_after_the_other_the_most_overdue_first(bench: Bench) -> None:
    bench.every = {"train": 60, "lake": 60, "increment": 60}
    for place, name in enumerate(("increment", "lake", "train")):
        bench.timetable.write(name, JobRecord(since=NOW - 10**7, started=NOW - 10**6 + place))
    bench.code = "import time; time.sleep(0.05)"
    await bench.until(lambda: all((known(bench, name) or JobRecord(since=0)).finished for name in bench.every))
    assert bench.started == ["increment", "lake", "train"]
    assert bench.most == 1


async def test_a_failed_job_is_due_again_at_its_next_time(bench: Bench) -> None:
    bench.timetable.write("lake", JobRecord(since=NOW - 10**6))
    bench.code = "raise SystemExit(3)"
    await bench.until(lambda: (known(bench) or JobRecord(since=0)).code == 3)
    assert bench.started == ["lake"]
    bench.clock.time_ms += 60_000
    await bench.until(lambda: len(bench.started) == 2)


async def test_a_job_that_hangs_is_ended_and_does_not_keep_the_next_one_waiting(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.every, bench.limit = {"lake": 60, "train": 60}, 30
    for place, name in enumerate(bench.every):
        bench.timetable.write(name, JobRecord(since=NOW - 10**6 + place))
    bench.code = SLEEP
    begun = asyncio.create_task(bench.until(lambda: len(bench.started) == 2))
    while not bench.processes:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert bench.started == ["lake"], "within its limit it goes on"
    bench.clock.time_ms += 31_000
    await begun
    assert bench.started == ["lake", "train"]
    assert (known(bench) or JobRecord(since=0)).code == -signal.SIGTERM
    assert "job lake is ended: it ran for longer than schedule.limit" in caplog.text


async def test_a_job_that_cannot_be_started_is_tried_at_its_next_time(bench: Bench) -> None:
    bench.timetable.write("lake", JobRecord(since=NOW - 10**6))
    start = bench.start
    tried: list[str] = []

    async def failing(name: str) -> asyncio.subprocess.Process:
        tried.append(name)
        if len(tried) == 1:
            raise OSError("no process is left")
        return await start(name)

    bench.start = failing  # type: ignore[method-assign]
    await bench.until(lambda: bool(tried))
    bench.clock.time_ms += 60_000
    await bench.until(lambda: (known(bench) or JobRecord(since=0)).code == 0)
    assert tried == ["lake", "lake"]


async def test_stopping_ends_the_job_which_the_next_scheduler_begins_with(bench: Bench) -> None:
    before = JobRecord(since=NOW - 10**6)
    bench.timetable.write("lake", before)
    bench.code = SLEEP
    await bench.until(lambda: bool(bench.processes))
    assert bench.processes[0].returncode is not None
    assert known(bench) == before
    bench.code = "pass"
    await bench.until(lambda: (known(bench) or JobRecord(since=0)).code == 0)
    assert bench.started == ["lake", "lake"]


async def test_of_two_schedulers_one_works_and_the_other_takes_over(bench: Bench) -> None:
    bench.timetable.write("lake", JobRecord(since=NOW - 10**6))
    leases = LocalLeases(bench.folder / "leases")
    fence = await leases.acquire("scheduler", "another")
    stop = asyncio.Event()
    task = asyncio.create_task(bench.scheduler().run(stop))
    await asyncio.sleep(0.1)
    assert bench.started == []
    await leases.release("scheduler", fence or 0)
    async with asyncio.timeout(10):
        while not bench.started:
            await asyncio.sleep(0.005)
    stop.set()
    await task


async def test_a_lost_lease_ends_the_job(bench: Bench) -> None:
    bench.timetable.write("lake", JobRecord(since=NOW - 10**6))
    bench.code = SLEEP
    leases = LocalLeases(bench.folder / "leases")
    stop = asyncio.Event()
    task = asyncio.create_task(bench.scheduler(leases).run(stop))
    async with asyncio.timeout(10):
        while not bench.processes:
            await asyncio.sleep(0.005)
        os.replace(bench.folder / "leases" / "scheduler.lock", bench.folder / "taken")
        while bench.processes[0].returncode is None:
            await asyncio.sleep(0.005)
    stop.set()
    await task


def test_a_clock_set_back_does_not_stop_the_timetable(bench: Bench) -> None:
    bench.timetable.write("lake", JobRecord(since=NOW, started=NOW + 10**9))
    assert bench.scheduler()._known("lake", NOW) == JobRecord(since=NOW)


def test_zero_is_never() -> None:
    assert set(ScheduleConfig(train=0).intervals()) == {"lake", "increment", "retention"}


def test_a_damaged_file_of_the_timetable_begins_anew(bench: Bench) -> None:
    bench.timetable.write("lake", JobRecord(since=NOW))
    (bench.folder / "jobs" / "lake.json").write_text("{")
    assert bench.timetable.read("lake") is None


async def test_a_job_that_something_killed_is_due_again_soon_and_each_time_later(bench: Bench) -> None:
    bench.every, bench.code = {"lake": 86_400}, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    bench.timetable.write("lake", JobRecord(since=NOW - 10**9))
    await bench.until(lambda: (known(bench) or JobRecord(since=0)).killed == 1)
    record = known(bench)
    assert record is not None
    assert (record.code, record.due(86_400)) == (-signal.SIGKILL, NOW + 60_000)
    bench.clock.time_ms += 60_000
    await bench.until(lambda: (known(bench) or JobRecord(since=0)).killed == 2)
    record = known(bench)
    assert record is not None
    assert record.due(86_400) == NOW + 60_000 + 120_000
    assert record.due(90) == NOW + 60_000 + 90_000, "never later than its timetable has it"
    bench.code = "pass"
    bench.clock.time_ms += 120_000
    await bench.until(lambda: (known(bench) or JobRecord(since=0)).code == 0)
    assert known(bench) == JobRecord(since=NOW - 10**9, started=NOW + 180_000, finished=NOW + 180_000, code=0)
