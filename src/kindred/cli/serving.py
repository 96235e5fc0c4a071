"""`kindred serve`: the server with its consumer."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter

from kindred.cli.children import end_with_parent
from kindred.cli.exits import debugging
from kindred.cli.output import note
from kindred.cli.session import read_settings
from kindred.core.errors import InvalidInput, KindredError

if TYPE_CHECKING:
    from kindred.settings.load import Settings

T = TypeVar("T")


def serve(
    *,
    port: Annotated[int | None, Parameter(help="TCP port; 0 takes a free one. Default: server.port.")] = None,
    host: Annotated[str | None, Parameter(help="Address to listen on. Default: server.host.")] = None,
    consume: Annotated[bool, Parameter(help="Fold events here too; without, `kindred consume` has to.")] = True,
    share_port: Annotated[bool, Parameter(help="Let others that say so too listen on the port.")] = False,
) -> None:
    """Serve recommendations over HTTP until stopped, and fold events as they come.

    Several servers may share one data folder: one of them folds, the others stand by.
    """
    end_with_parent()
    settings = read_settings()
    address = chosen_address(settings, host, port)
    log_to_stderr()
    run(serve_until_stopped(settings, *address, consume=consume, shared=share_port))


def chosen_address(settings: "Settings", host: str | None, port: int | None) -> tuple[str, int]:
    """Return host and port: as asked for, else as the settings say; raise InvalidInput for an impossible port."""
    from kindred.app.sections import ServerConfig

    chosen = settings.section(ServerConfig)
    port = chosen.port if port is None else port
    if not 0 <= port <= 65_535:
        raise InvalidInput(f"--port is 0 to 65535, not {port}")
    return chosen.host if host is None else host, port


async def serve_until_stopped(
    settings: "Settings", host: str, port: int, *, consume: bool, shared: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT, and close what was opened; `shared`: other servers may listen on the port too."""
    from kindred.api.dues import SharedDues
    from kindred.api.limits import HttpConfig
    from kindred.api.server import bind
    from kindred.api.server import serve as serve_http
    from kindred.app.app import build_app
    from kindred.app.sections import ServerConfig, event_rules

    bind(host, port, shared=shared, listening=not shared).close()
    app = await build_app(settings)
    try:
        await app.start(consume=consume)
        calm_collector()
        for reason in app.serving.ready():
            note(f"Not ready: {reason}", style="yellow")
        rules = event_rules(settings)
        chosen = settings.section(ServerConfig)
        limits = HttpConfig(
            rate=chosen.rate, burst=chosen.burst, queue_target=chosen.queue_target, origins=chosen.origins
        )
        dues = SharedDues(settings.home / "rates") if chosen.rate else None
        await serve_http(
            app,
            host,
            port,
            shared=shared,
            rules=rules,
            config=limits,
            dues=dues,
            started=lambda taken: _announce(host, taken),
        )
    finally:
        await app.close()


def calm_collector() -> None:
    """Tell the garbage collector that what stands now stays, and to look less often than a script needs.

    A batch of events makes tens of thousands of objects that no cycle holds: looking at them took a quarter of a fold.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def address_of(host: str, port: int) -> str:
    """Return the URL of a server."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(host: str, port: int) -> None:
    print(f"Kindred serves on {address_of(host, port)} (API pages: /docs; stop: Ctrl-C)", flush=True)


def run(work: Coroutine[None, None, T]) -> T:
    """Run a coroutine on the fastest event loop that there is, and return what it returns."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


class _NoTraces(logging.Filter):
    """Leaves out the stack trace of an error that says in its own words what is wrong."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, KindredError) and not debugging():
            record.exc_info = None
        return True


def log_to_stderr() -> None:
    """Send what the process has to say of its work to stderr."""
    handler = logging.StreamHandler()
    handler.addFilter(_NoTraces())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("kindred").setLevel(logging.INFO)
