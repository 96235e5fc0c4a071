"""`kindred run` with several workers: what runs, in which processes, and how they end."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kindred.cli.children import Child, pass_on
from kindred.cli.consuming import stopping
from kindred.cli.serving import address_of
from kindred.cli.timetable import StartJob, timetable_kept

if TYPE_CHECKING:
    from kindred.jobs.config import ScheduleConfig
    from kindred.settings.load import Settings

# What a server has to end its calls in flight and close its stores, and some more.
_STOP_SECONDS = 30.0


async def supervise(settings: "Settings", host: str, port: int, workers: int) -> int:
    """Keep `workers` servers on one port, a consumer and the timetable until SIGTERM or SIGINT; return the exit code.

    Raises Conflict when the port is taken.
    """
    from kindred.api.server import bind

    # The first finds a port that others use already; the second keeps the port, and hears nothing.
    with bind(host, port) as found:
        port = found.getsockname()[1]
    with bind(host, port, shared=True, listening=False), tempfile.TemporaryDirectory(prefix="kindred-") as metrics:
        servers, consumer = _children(host, port, workers, metrics)
        async with timetable_kept(settings, _job_starter):
            return await _keep(servers, consumer, address_of(host, port), metrics)


def _children(host: str, port: int, workers: int, metrics: str) -> tuple[list[Child], Child]:
    from kindred.jobs.scheduler import THREADS
    from kindred.monitoring.prometheus import FOLDER

    # Each worker is one core's: numeric libraries that start a thread per core would only fight over them.
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), FOLDER: metrics}
    kindred = [sys.executable, "-m", "kindred"]
    serve = [*kindred, "serve", "--no-consume", "--share-port", "--host", host, "--port", str(port)]
    servers = [Child(f"server-{number + 1}", serve, environment, "Kindred serves") for number in range(workers)]
    return servers, Child("consumer", [*kindred, "consume"], environment, "Kindred consumes")


async def _keep(servers: Sequence[Child], consumer: Child, address: str, metrics: str) -> int:
    """Keep the children until told to stop, or until one cannot start; end the servers first, then the consumer."""
    from kindred.monitoring.prometheus import process_ended

    def ended(pid: int) -> None:
        process_ended(pid, metrics)

    stop = asyncio.Event()
    with stopping(stop):
        keeping = {child: asyncio.create_task(child.keep(ended)) for child in (*servers, consumer)}
        told = asyncio.create_task(stop.wait())
        up = asyncio.create_task(_announce([*servers, consumer], address, len(servers)))
        await asyncio.wait({told, *keeping.values()}, return_when=asyncio.FIRST_COMPLETED)
        for task in (told, up):
            task.cancel()
        for group in (servers, [consumer]):
            await _end({child: keeping[child] for child in group})
    return max(task.result() for task in keeping.values())


async def _announce(children: Sequence[Child], address: str, workers: int) -> None:
    for child in children:
        await child.up.wait()
    print(f"Kindred serves on {address} with {workers} servers (API pages: /docs; stop: Ctrl-C)", flush=True)


async def _end(keeping: dict[Child, asyncio.Task[int]]) -> None:
    """Ask children to end, and end those that do not."""
    for child in keeping:
        child.stop()
    _, running = await asyncio.wait(keeping.values(), timeout=_STOP_SECONDS)
    for child, task in keeping.items():
        if task in running:
            child.kill()
            await task


def _job_starter(config: "ScheduleConfig") -> StartJob:
    """Return what starts a job whose words carry its name."""
    from kindred.jobs.scheduler import start_job

    passing: set[asyncio.Task[None]] = set()

    async def start(name: str) -> asyncio.subprocess.Process:
        process = await start_job(name, config, output=asyncio.subprocess.PIPE)
        for source, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr)):
            task = asyncio.create_task(pass_on(source, target, name))
            passing.add(task)
            task.add_done_callback(passing.discard)
        return process

    return start
