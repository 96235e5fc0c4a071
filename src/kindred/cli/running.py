"""`kindred run`: servers, their consumer, and everything that comes back."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kindred.cli.serving import chosen_address, log_to_stderr, run, serve_until_stopped
from kindred.cli.session import read_settings
from kindred.cli.timetable import timetable_kept
from kindred.core.errors import InvalidInput

if TYPE_CHECKING:
    from kindred.settings.load import Settings

MOST_WORKERS = 256


def run_all(
    *,
    port: Annotated[int | None, Parameter(help="TCP port; 0 takes a free one. Default: server.port.")] = None,
    host: Annotated[str | None, Parameter(help="Address to listen on. Default: server.host.")] = None,
    workers: Annotated[int, Parameter(help="Server processes; from 2 on they share the port, beside a consumer.")] = 1,
) -> int:
    """Serve, fold events as they come, and keep the timetable: lake, increments, training, retention.

    With several workers each is a process of its own, as is the consumer, and one that dies is started again. What
    comes back runs in child processes that give way to serving, one at a time. Of several `kindred run` on one data
    folder one keeps the timetable. Everything ends with it.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise InvalidInput(f"--workers is 1 to {MOST_WORKERS}, not {workers}")
    settings = read_settings()
    address = chosen_address(settings, host, port)
    log_to_stderr()
    if workers == 1:
        run(_alone(settings, *address))
        return 0
    from kindred.cli.supervisor import supervise

    return run(supervise(settings, *address, workers))


async def _alone(settings: "Settings", host: str, port: int) -> None:
    from kindred.jobs.scheduler import start_job

    async with timetable_kept(settings, lambda config: lambda name: start_job(name, config)):
        await serve_until_stopped(settings, host, port, consume=True)
