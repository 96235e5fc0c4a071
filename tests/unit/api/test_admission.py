"""The gate: what waits, what is let in, what is refused, and who is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar.types import Receive, Scope, Send
from tests.e2e.api.stand_in import StandIn, stand_in

from kindred.adapters.memory.tokens import MemoryTokens
from kindred.api.admission import INTERVAL, LEAST, ONE, Admission, Gate, Load
from kindred.api.limits import HttpConfig
from kindred.api.quick import read_body
from kindred.api.server import create_asgi
from kindred.api.tokens import TokenVerifier, mint, mint_publishable
from kindred.core.query import Context, Query
from kindred.ports.telemetry import NoMeter
from kindred.recommend.ask import Ask, Served
from kindred.recommend.pressure import EASED, PRESSURE, Pressure

TARGET = 0.1


class Bench:
    """A gate on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.pressure = Pressure(lambda: self.now)
        self.gate = Gate(TARGET, self.pressure, lambda: self.now)
        self.inside: list[float] = []

    def fill(self) -> int:
        """Let calls in until there is no room, and return how many fit."""
        while (entered := self.gate.enter_at_once()) is not None:
            self.inside.append(entered)
        return len(self.inside)

    async def wait(self, calls: int = 1) -> list["asyncio.Task[float | None]"]:
        """Have further calls come, and return them waiting."""
        tasks = [asyncio.create_task(self.gate.enter()) for _ in range(calls)]
        await settle()
        return tasks

    async def serve(self, seconds: float) -> None:
        """Let the call that was inside for the longest leave after some time."""
        self.now += seconds
        self.gate.leave(self.inside.pop(0))
        await settle()


async def known(*scopes: str) -> tuple[TokenVerifier, list[tuple[bytes, bytes]]]:
    """Return a verifier that knows one token, by default for reading, and the headers that carry it."""
    store = MemoryTokens()
    text, token = mint(scopes or ["read"], "reader", 0)
    await store.add(token)
    return TokenVerifier(store), [(b"authorization", f"Bearer {text}".encode())]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await settle()


async def test_calls_wait_in_order_and_come_in_as_others_leave(bench: Bench) -> None:
    room = bench.fill()
    assert room >= LEAST
    first, second = await bench.wait(2)
    assert not first.done()
    await bench.serve(0.01)
    assert first.result() == bench.now
    assert not second.done()
    await bench.serve(0.01)
    assert second.result() == bench.now
    assert not bench.pressure.high


async def test_once_the_queue_stands_what_would_wait_beyond_the_target_is_refused_at_once(bench: Bench) -> None:
    bench.fill()
    waiting = await bench.wait(8)
    for _ in range(8):
        await bench.serve(0.05)
    let_in = [task for task in waiting if task.done() and task.result() is not None]
    refused = [task for task in waiting if task.done() and task.result() is None]
    assert let_in, "a burst is served at first"
    assert refused, "calls that waited too long are refused"
    assert bench.pressure.high


async def test_refusals_at_the_door_take_no_place_in_the_queue(bench: Bench) -> None:
    room = bench.fill()
    waiting = await bench.wait(3 * room)
    for _ in range(3):
        await bench.serve(0.03)
    latest = (await bench.wait())[0]
    assert latest.done()
    assert latest.result() is None
    assert sum(not task.done() for task in waiting) > 0


async def test_a_queue_shorter_than_the_room_is_never_refused_at_the_door(bench: Bench) -> None:
    bench.fill()
    (task,) = await bench.wait()
    for _ in range(3):
        await bench.serve(10.0)
        bench.fill()
        task.cancel()
        (task,) = await bench.wait()
        assert not task.done()
    task.cancel()


async def test_a_batch_takes_the_places_of_what_it_has_answered_together_and_teaches_the_cost_of_one(
    bench: Bench,
) -> None:
    batch = Load(places=8, questions=100)
    entered = bench.gate.enter_at_once(batch)
    assert entered is not None
    assert bench.gate.enter_at_once() is None
    (waiting,) = await bench.wait()
    bench.now += 0.5
    bench.gate.leave(entered, batch)
    await settle()
    assert waiting.result() is None, "it waited for too long"
    # A hundred in half a second, eight at a time: 40 ms each, where a call of half a second would be far too slow.
    assert bench.gate._stay == pytest.approx(0.04, rel=0.01)
    assert bench.fill() >= 8


@pytest.mark.parametrize(
    ("path", "body", "load"),
    [
        ("recommendations/batch", [{}] * 100, Load(8, 100)),
        ("recommendations/batch", {"requests": [{}] * 3}, Load(3, 3)),
        ("recommendations/page", {"user_id": "u", "rows": [{}] * 20}, Load(1, 20)),
        ("recommendations/batch", [{}] * 101, Load(1, 1)),
        ("recommendations/page", {"user_id": "u", "rows": [{}] * 21}, Load(1, 1)),
        ("recommendations/batch", [], Load(1, 1)),
        ("recommendations/batch", {"requests": 7}, Load(1, 1)),
        ("recommendations/page", [], Load(1, 1)),
        ("recommendations", {"rows": [1, 2]}, Load(1, 1)),
    ],
)
async def test_a_call_weighs_what_its_body_asks(path: str, body: Any, load: Load) -> None:
    seen: list[Load] = []

    class Watched(Gate):
        def enter_at_once(self, load: Load = ONE) -> float | None:
            seen.append(load)
            return super().enter_at_once(load)

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        assert json.loads((await receive())["body"]) == body  # type: ignore[typeddict-item]

    gate = Watched(TARGET, Pressure())
    data = json.dumps(body).encode()
    messages: list[Any] = [{"type": "http.request", "body": data, "more_body": False}]

    async def receive() -> Any:
        return messages.pop(0)

    verifier, headers = await known()
    scope: Any = {"type": "http", "method": "POST", "path": f"/api/v1/{path}", "headers": headers}
    await Admission(inner, gate, NoMeter(), verifier)(scope, receive, None)  # type: ignore[arg-type]
    assert seen == [load]
    assert gate._inside == 0


async def test_full_service_comes_back_by_itself(bench: Bench) -> None:
    bench.fill()
    waiting = await bench.wait(20)
    await bench.serve(2.5 * TARGET)
    assert bench.pressure.high
    assert all(task.done() for task in waiting)
    while bench.inside:
        await bench.serve(0.01)
    bench.now += 1.1
    assert not bench.pressure.high
    assert bench.gate.enter_at_once() is not None


async def waited(bench: Bench, seconds: float) -> bool:
    """Return whether a call that comes now is let in after some time."""
    await settle()
    (task,) = await bench.wait()
    await bench.serve(seconds)
    return task.result() is not None


async def test_a_call_of_a_burst_may_wait(bench: Bench) -> None:
    bench.fill()
    assert await waited(bench, 0.9 * TARGET)


async def test_what_a_call_will_take_inside_counts_as_waiting(bench: Bench) -> None:
    bench.fill()
    for _ in range(40):
        await bench.serve(TARGET)
        bench.fill()
    assert not await waited(bench, 0.9 * TARGET)


async def test_a_call_that_a_late_loop_reads_has_waited_already(bench: Bench) -> None:
    bench.fill()
    await settle()
    bench.inside.pop()
    bench.gate.leave(bench.now)
    bench.fill()
    bench.now += 0.8 * TARGET
    assert not await waited(bench, 0.9 * TARGET)


async def test_calls_that_never_end_do_not_keep_others_out(bench: Bench) -> None:
    room = bench.fill()
    await settle()
    bench.now += 2 * INTERVAL
    waiting = await bench.wait(room)
    while not all(task.done() for task in waiting):
        await asyncio.sleep(0.01)
        bench.now += INTERVAL / 10
    assert any(task.result() is not None for task in waiting), "a loop that is idle has room for more"


async def test_nobody_waits_for_ever_where_no_call_leaves(bench: Bench) -> None:
    bench.fill()
    (task,) = await bench.wait()
    bench.now += 10.0
    while not task.done():
        await asyncio.sleep(0.01)
    assert task.result() is None


async def test_who_gives_up_waiting_leaves_no_hole(bench: Bench) -> None:
    bench.fill()
    first, second = await bench.wait(2)
    first.cancel()
    await settle()
    await bench.serve(0.01)
    assert second.result() is not None


def test_an_eased_query_says_so_and_one_whose_trace_is_wanted_stays_whole() -> None:
    pressure = Pressure()
    for rising, trace, expected in ((False, False, []), (True, True, []), (True, False, [PRESSURE])):
        query = Query(user_id="u", request_id="r", context=Context(time=0), want_trace=trace)
        if rising:
            pressure.rise()
        pressure.ease(query)
        assert query.failures == expected
        assert query.params.disabled == (EASED if expected else ())


async def test_a_full_server_refuses_questions_with_a_time_to_come_back_and_nothing_else() -> None:
    app = await stand_in()
    app.asgi = create_asgi(app, config=HttpConfig(queue_target=1.0))
    leave, asked = asyncio.Event(), 0
    answer = app.serving.recommend

    async def slowly(ask: Ask) -> Served:
        nonlocal asked
        asked += 1
        await leave.wait()
        return await answer(ask)

    app.serving.recommend = slowly  # type: ignore[method-assign]
    statuses = await _crowd(app, leave)
    assert statuses[200] >= asked > 0
    assert statuses[503] > 0
    assert app.serving.pressure.high
    assert b"kindred_http_refused_total" in app.meter.expose()


async def _crowd(app: StandIn, leave: asyncio.Event) -> dict[int, int]:
    """Send many calls at once; check what passes beside them; return how many got which status."""
    async with app.client() as client:
        calls = [asyncio.create_task(client.post("/api/v1/recommendations", json={"user_id": "u"})) for _ in range(300)]
        await asyncio.sleep(0.3)
        for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json"):
            assert (await client.get(path)).status_code == 200
        event = {"user_id": "u", "item_id": "1", "event_type": "view"}
        assert (await client.post("/api/v1/track", json=event)).status_code == 202
        leave.set()
        answers = await asyncio.gather(*calls)
    for each in answers:
        if each.status_code == 503:
            assert 1 <= int(each.headers["retry-after"]) <= 3
            assert each.headers["content-type"] == "application/problem+json"
            assert each.json()["type"] == "/docs/errors#overloaded"
    return {status: sum(each.status_code == status for each in answers) for status in (200, 503)}


async def test_bodies_that_never_come_take_no_place(bench: Bench) -> None:
    seen: list[object] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((await read_body(receive, 100))[0])

    async def never() -> Any:
        await asyncio.Event().wait()

    async def ignored(message: object) -> None:
        pass

    verifier, headers = await known()
    app = Admission(inner, bench.gate, NoMeter(), verifier)
    scope: Any = {"type": "http", "method": "POST", "path": "/api/v1/recommendations", "headers": headers}
    room = bench.fill()
    while bench.inside:
        await bench.serve(0.0)
    stuck = [asyncio.create_task(app(scope, never, ignored)) for _ in range(3 * room)]
    await settle()
    parts: Any = iter(
        [
            {"type": "http.request", "body": b'{"user', "more_body": True},
            {"type": "http.request", "body": b'_id": "u"}', "more_body": False},
        ]
    )

    async def whole() -> Any:
        return next(parts)

    await asyncio.wait_for(app(scope, whole, ignored), 10)
    assert seen == [b'{"user_id": "u"}']
    assert bench.fill() == room
    for task in stuck:
        task.cancel()


@pytest.mark.parametrize("held", ["nothing", "unknown", "for pages", "for writing"])
async def test_nothing_is_read_of_a_question_without_a_token_for_questions(bench: Bench, held: str) -> None:
    headers: dict[str, list[tuple[bytes, bytes]]] = {"nothing": []}
    verifier, headers["for writing"] = await known("write")
    _, headers["unknown"] = await known()
    text, token = mint_publishable(["https://shop.example"], "page", 0)
    await verifier._store.add(token)
    headers["for pages"] = [(b"authorization", f"Bearer {text}".encode())]
    passed: list[Any] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["path"])

    async def read() -> Any:
        raise AssertionError("a body of nobody is read")

    bench.fill()
    scope: Any = {"type": "http", "method": "POST", "path": "/api/v1/recommendations/batch", "headers": headers[held]}
    await Admission(inner, bench.gate, NoMeter(), verifier)(scope, read, None)  # type: ignore[arg-type]
    assert passed == ["/api/v1/recommendations/batch"], "the application says what is wrong, without a place"


@pytest.mark.parametrize(("status", "learned"), [(200, True), (400, False), (401, False), (503, False)])
async def test_how_long_an_answer_takes_is_learned_from_answers_alone(bench: Bench, status: int, learned: bool) -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        bench.now += 0.5
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def whole() -> Any:
        return {"type": "http.request", "body": json.dumps([1] * 100).encode(), "more_body": False}

    async def ignored(message: object) -> None:
        pass

    verifier, headers = await known()
    scope: Any = {"type": "http", "method": "POST", "path": "/api/v1/recommendations/batch", "headers": headers}
    await Admission(inner, bench.gate, NoMeter(), verifier)(scope, whole, ignored)
    assert (bench.gate._stay > 0) is learned
