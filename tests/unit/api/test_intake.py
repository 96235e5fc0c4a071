"""Bodies on their way in: late ones, too many at once, and what is given back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar.types import Receive, Scope, Send
from tests.e2e.api.stand_in import StandIn, stand_in

from kindred.api.intake import Intake
from kindred.api.quick import read_body

SCOPE: Any = {"type": "http", "method": "POST", "path": "/", "headers": []}


def parts(*bodies: bytes) -> Receive:
    """Return what gives parts of a body, of which the last is never followed by another."""
    left: Any = iter(bodies)

    async def receive() -> Any:
        for body in left:
            return {"type": "http.request", "body": body, "more_body": True}
        await asyncio.Event().wait()

    return receive


@pytest.fixture
def sent() -> list[Any]:
    return []


async def serve(intake: Intake, receive: Receive, sent: list[Any]) -> None:
    async def send(message: Any) -> None:
        sent.append(message)

    await intake(SCOPE, receive, send)


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    await read_body(receive, 1_000)


async def test_a_body_that_does_not_come_is_a_408_and_the_connection_ends(sent: list[Any]) -> None:
    intake = Intake(reading, seconds=0.01)
    await serve(intake, parts(b"{", b"}"), sent)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert intake.held == 0


async def test_bodies_over_what_one_process_holds_are_a_503_until_others_are_answered(sent: list[Any]) -> None:
    intake = Intake(reading, held=100)
    first = asyncio.create_task(serve(intake, parts(b"x" * 90), []))
    await asyncio.sleep(0)
    await serve(intake, parts(b"y" * 20), sent)
    assert sent[0]["status"] == 503
    assert any(name == b"retry-after" for name, _ in sent[0]["headers"])
    first.cancel()
    await asyncio.wait([first])
    assert intake.held == 0
    again = asyncio.create_task(serve(intake, parts(b"y" * 20), sent))
    await asyncio.sleep(0)
    assert (intake.held, len(sent)) == (20, 2)
    again.cancel()


@pytest.fixture
async def app() -> StandIn:
    return await stand_in()


@pytest.mark.parametrize("path", ["/api/v1/recommendations", "/api/v1/track", "/api/v1/items"])
async def test_short_and_long_way_answer_a_late_body_alike(app: StandIn, path: str) -> None:
    assert isinstance(app.asgi, Intake)
    app.asgi._seconds = 0.05

    async with app.client() as client:
        await client.get("/api/v1/popular")
        for _ in range(2):
            answer = await client.post(path, content=Slow(), headers={"Content-Type": "application/json"})
            assert answer.status_code == 408
            assert answer.json()["type"] == "/docs/errors#request_timeout"
    assert b'status="408"' in app.meter.expose()
    assert b'status="500"' not in app.meter.expose()


class Slow(httpx.AsyncByteStream):
    """A body whose second part does not come."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"
