"""The server as a process would run it: a port of its own, a busy port, and a drain that loses no call."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from tests.e2e.api.stand_in import StandIn

from kindred.api.server import serve
from kindred.core.errors import Conflict
from kindred.recommend.ask import Ask, Served


@contextlib.asynccontextmanager
async def _running(app: StandIn, stop: asyncio.Event | None = None) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(app, "127.0.0.1", 0, stop=stop, started=ready.set_result))
    try:
        port = await asyncio.wait_for(ready, 10)
        yield f"http://127.0.0.1:{port}", task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_busy_port_is_said_plainly_before_anything_starts(app: StandIn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=f"port {port} of 127.0.0.1 is in use"):
            await serve(app, "127.0.0.1", port)


async def test_a_host_that_is_not_ours_is_said_plainly(app: StandIn) -> None:
    with pytest.raises(Conflict, match="cannot listen"):
        await serve(app, "203.0.113.1", 0)


def _by_event(stop: asyncio.Event) -> None:
    stop.set()


def _by_signal(_: asyncio.Event) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("tell", [_by_event, _by_signal])
async def test_a_call_in_flight_ends_and_the_port_is_free_again(
    app: StandIn, tell: Callable[[asyncio.Event], None]
) -> None:
    entered, leave, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
    answer = app.serving.recommend

    async def slowly(ask: Ask) -> Served:
        entered.set()
        await leave.wait()
        return await answer(ask)

    app.serving.recommend = slowly
    headers = {"Authorization": f"Bearer {app.tokens['read']}"}
    async with _running(app, stop) as (url, task), httpx.AsyncClient(base_url=url, headers=headers) as client:
        call = asyncio.create_task(client.post("/api/v1/recommendations", json={"user_id": "u"}))
        await entered.wait()
        tell(stop)
        while not task.done():
            # New connections are refused while the old call may still end.
            try:
                socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 0.1).close()
            except OSError:
                break
            await asyncio.sleep(0.01)
        leave.set()
        assert (await call).status_code == 200
        await asyncio.wait_for(task, 10)
        with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))):
            pass


async def test_an_encoded_slash_survives_a_real_server(app: StandIn) -> None:
    headers = {"Authorization": f"Bearer {app.tokens['admin']}"}
    async with _running(app) as (url, _), httpx.AsyncClient(base_url=url, headers=headers) as client:
        path = httpx.URL(url).copy_with(raw_path=b"/api/v1/items/a%2Fb")
        assert (await client.put(path, json={"title": "T"})).json()["item_id"] == "a/b"
        assert (await client.get(path)).json()["title"] == "T"
