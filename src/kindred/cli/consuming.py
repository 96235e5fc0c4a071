"""`kindred consume`: the consumer in a process of its own."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from kindred.cli.children import end_with_parent
from kindred.cli.output import note
from kindred.cli.serving import calm_collector, log_to_stderr, run
from kindred.cli.session import read_settings
from kindred.core.errors import InvalidInput, KindredError

if TYPE_CHECKING:
    from kindred.app.app import App
    from kindred.core.position import Position
    from kindred.ingest.consumer import ConsumerStatus
    from kindred.settings.load import Settings

_LOOK = 0.25


def consume(
    *,
    status: Annotated[float, Parameter(help="Seconds between lines about the progress; 0 tells only of changes.")] = 10,
) -> None:
    """Fold events into the state until stopped, beside servers that run with --no-consume.

    Of several consumers of an embedded log one folds and the others stand by; of a log in partitions each has a share.
    """
    if not 0 <= status <= 86_400:
        raise InvalidInput(f"--status is 0 to 86400 seconds, not {status:g}")
    end_with_parent()
    settings = read_settings()
    log_to_stderr()
    run(_consume(settings, status))


async def _consume(settings: "Settings", interval: float) -> None:
    from kindred.app.app import build_app

    stop = asyncio.Event()
    app = await build_app(settings)
    try:
        calm_collector()
        with stopping(stop):
            work = asyncio.create_task(app.consume(stop))
            print("Kindred consumes (stop: Ctrl-C)", flush=True)
            await _tell(app, work, stop, interval)
            # What was begun is written, and the ownership given back, before the stores are closed.
            app.consumer.wake()
            await work
            note("Stopped: what was begun is written, and the partitions are given back.")
    finally:
        await app.close()


@contextlib.contextmanager
def stopping(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` at SIGTERM and SIGINT."""
    loop, taken = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
    for each in taken:
        loop.add_signal_handler(each, stop.set)
    try:
        yield
    finally:
        for each in taken:
            loop.remove_signal_handler(each)


async def _tell(app: "App", work: asyncio.Task[None], stop: asyncio.Event, interval: float) -> None:
    """Say what the consumer does whenever that changes, and its progress now and then, until it stops."""
    loop = asyncio.get_running_loop()
    role, due, last = "", loop.time() + interval, ""
    while not stop.is_set() and not work.done():
        found = app.consumer.status
        timely = interval > 0 and loop.time() >= due
        if found.role != "stopped" and (found.role != role or timely):
            line = await _line(app)
            if line != last:
                note(line, style="yellow" if found.role == "stalled" else None)
            role, due, last = found.role, loop.time() + interval, line
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK)


async def _line(app: "App") -> str:
    # A store that is down is the consumer's to wait for, and no reason to end.
    try:
        ends: Sequence[Position] = await app.stores.log.ends()
    except KindredError:
        ends = []
    return describe(app.consumer.status, ends)


def describe(status: "ConsumerStatus", ends: Sequence["Position"]) -> str:
    """Say in a line what a consumer does, how far it is, and how many events wait in its partitions."""
    behind = 0
    for end in ends:
        here = status.positions.get(end.partition)
        if here is not None:
            behind += max(end.offset - (here.offset if here.epoch == end.epoch else -1), 0)
    shown = ", ".join(str(position) for _, position in sorted(status.positions.items()))
    parts = [status.role, f"folded to {shown}, {behind:,} behind" if shown else "", status.cause]
    return "; ".join(part for part in parts if part)
