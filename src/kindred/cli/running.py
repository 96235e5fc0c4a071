"""`kindred run`: a server, its consumer, and everything that comes back."""

import asyncio
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kindred.cli.jobs import FOLDER
from kindred.cli.serving import chosen_address, log_to_stderr, run, serve_until_stopped
from kindred.cli.session import read_settings

if TYPE_CHECKING:
    from kindred.settings.load import Settings


def run_all(
    *,
    port: Annotated[int | None, Parameter(help="TCP port; 0 takes a free one. Default: server.port.")] = None,
    host: Annotated[str | None, Parameter(help="Address to listen on. Default: server.host.")] = None,
) -> None:
    """Serve, fold events as they come, and keep the timetable: lake, increments, training, retention.

    What comes back runs in child processes that give way to serving, one at a time. Of several `kindred run` on one
    data folder one keeps the timetable. Everything ends with it.
    """
    settings = read_settings()
    address = chosen_address(settings, host, port)
    log_to_stderr()
    run(_run(settings, *address))


async def _run(settings: "Settings", host: str, port: int) -> None:
    from kindred.app.sections import StoresConfig
    from kindred.app.stores import open_port
    from kindred.jobs.config import ScheduleConfig
    from kindred.jobs.scheduler import Scheduler, Timetable, start_job
    from kindred.ports.operations import Leases

    config = settings.section(ScheduleConfig)
    stop = asyncio.Event()
    settings.home.mkdir(parents=True, exist_ok=True)
    # Of its own: the server's may be closed before the last job has ended.
    leases: Leases = await open_port("leases", settings.section(StoresConfig).leases, settings.home)
    scheduler = Scheduler(
        leases,
        Timetable(settings.home / FOLDER),
        config.intervals(),
        lambda name: start_job(name, config),
        limit=config.limit,
    )
    keeping = asyncio.create_task(scheduler.run(stop))
    try:
        await serve_until_stopped(settings, host, port, consume=True)
    finally:
        stop.set()
        await keeping
        await leases.close()
