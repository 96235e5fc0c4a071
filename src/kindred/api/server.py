"""The ASGI application, and the server that carries it."""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from kindred.api import documents
from kindred.api.access import guard
from kindred.api.admission import Admission, Gate
from kindred.api.bodies import SINGLE_LIMIT
from kindred.api.cors import CrossOrigin
from kindred.api.dues import Dues
from kindred.api.edge import Edge
from kindred.api.intake import Intake
from kindred.api.limits import HttpConfig, RateLimit
from kindred.api.platform import Platform
from kindred.api.problems import on_exception, on_http_exception, on_kindred_error
from kindred.api.quick import QuickTracking
from kindred.api.quick_recommend import QuickRecommendations
from kindred.api.routes import HANDLERS
from kindred.api.tokens import TokenVerifier
from kindred.api.tracker import Tracker
from kindred.core.errors import Conflict, KindredError
from kindred.ingest.event_types import EventRules

DRAIN = 10
"""Seconds that calls in flight have to end after the server was told to stop."""


def create_asgi(
    app: Platform, rules: EventRules | None = None, config: HttpConfig | None = None, dues: Dues | None = None
) -> ASGIApp:
    """Make the HTTP application over `app`; `rules` are the accepted event types (default: the built-in ones).

    `dues`: where rates are counted, if not in this process alone.
    """
    config = config or HttpConfig()
    verifier, limit = TokenVerifier(app.stores.tokens), RateLimit(config, dues=dues)
    tracker = Tracker(app, rules or EventRules(), limit)
    litestar = Litestar(
        HANDLERS,
        guards=[guard(verifier, limit)],
        dependencies={
            "platform": Provide(lambda: app, sync_to_thread=False),
            "tracker": Provide(lambda: tracker, sync_to_thread=False),
        },
        exception_handlers={
            KindredError: on_kindred_error,
            HTTPException: on_http_exception,
            Exception: on_exception,
        },
        request_max_body_size=SINGLE_LIMIT,
        state=State({"documents": documents.build(tuple(HANDLERS))}),
        openapi_config=None,
        logging_config=None,
    )
    tracking = QuickTracking(litestar, tracker, verifier)
    whole: ASGIApp = Edge(QuickRecommendations(tracking, app, verifier, limit), app.meter)
    if config.origins:
        whole = CrossOrigin(whole, config.origins)
    if config.queue_target:
        whole = Admission(whole, Gate(config.queue_target / 1000, app.serving.pressure), app.meter, verifier)
    return Intake(whole)


async def serve(
    app: Platform,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    shared: bool = False,
    rules: EventRules | None = None,
    config: HttpConfig | None = None,
    dues: Dues | None = None,
    stop: asyncio.Event | None = None,
    started: Callable[[int], None] | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`, then let calls in flight end; `started` is called with the port.

    Port 0 takes any free one. The caller closes `app`. Raises Conflict, before anything starts, when the port is taken;
    `shared`: by others than servers that share it.
    """
    with bind(host, port, shared=shared) as listener:
        transport = uvicorn.Config(
            create_asgi(app, rules, config, dues),
            loop="none",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=DRAIN,
        )
        server = _Server(transport)
        watch = asyncio.create_task(_watch(server, stop, started, listener.getsockname()[1]))
        try:
            await server.serve(sockets=[listener])
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch


def bind(host: str, port: int, *, shared: bool = False, listening: bool = True) -> socket.socket:
    """Return a socket at an address; raise Conflict when the port is taken or may not be used.

    `shared`: other processes of this user that say so too may listen there, and the kernel gives each new connection to
    one of them. Not `listening`: the port is kept, and connections go to those who listen.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        if listening:
            listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} of {host} is in use: stop what uses it, or choose another with --port"
        else:
            reason = f"cannot listen on port {port} of {host}: {error.strerror or error}"
        raise Conflict(reason) from error
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """A server that ends without raising its signal again, so that the caller can close what it opened."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        taken: list[signal.Signals] = []
        for each in (signal.SIGTERM, signal.SIGINT):
            # Outside the main thread there are no signals to take.
            with contextlib.suppress(ValueError, RuntimeError):
                loop.add_signal_handler(each, self.handle_exit, each, None)
                taken.append(each)
        try:
            yield
        finally:
            for each in taken:
                loop.remove_signal_handler(each)


async def _watch(
    server: uvicorn.Server, stop: asyncio.Event | None, started: Callable[[int], None] | None, port: int
) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    if started is not None:
        started(port)
    if stop is not None:
        await stop.wait()
        server.should_exit = True
