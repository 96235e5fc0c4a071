"""Keeping the timetable of what comes back, for as long as something serves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from kindred.cli.jobs import FOLDER

if TYPE_CHECKING:
    from kindred.jobs.config import ScheduleConfig
    from kindred.settings.load import Settings

StartJob = Callable[[str], Awaitable[asyncio.subprocess.Process]]
"""Starts the job of a name as a child process."""


@contextlib.asynccontextmanager
async def timetable_kept(settings: "Settings", starter: Callable[["ScheduleConfig"], StartJob]) -> AsyncIterator[None]:
    """Keep the timetable for a block; `starter` says how a job is started."""
    from kindred.app.sections import StoresConfig
    from kindred.app.stores import open_port
    from kindred.jobs.config import ScheduleConfig
    from kindred.jobs.scheduler import Scheduler, Timetable
    from kindred.ports.operations import Leases

    config = settings.section(ScheduleConfig)
    stop = asyncio.Event()
    settings.home.mkdir(parents=True, exist_ok=True)
    # Of its own: the server's may be closed before the last job has ended.
    leases: Leases = await open_port("leases", settings.section(StoresConfig).leases, settings.home)
    timetable = Timetable(settings.home / FOLDER)
    scheduler = Scheduler(leases, timetable, config.intervals(), starter(config), limit=config.limit)
    keeping = asyncio.create_task(scheduler.run(stop))
    try:
        yield
    finally:
        stop.set()
        await keeping
        await leases.close()
