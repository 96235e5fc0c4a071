"""Tracked events take the short way where they can; whichever way they take, the answers are the same."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.e2e.api.stand_in import StandIn
from tests.e2e.api.test_bad_input import TRACK_FAULTS

from kindred.api import quick
from kindred.api.limits import HttpConfig
from kindred.api.server import create_asgi
from kindred.core.errors import Overloaded

TRACK, BATCH = "/api/v1/track", "/api/v1/track/batch"
EVENT = {"user_id": "u", "item_id": "a", "event_type": "view", "event_id": "mine"}


@pytest.fixture(params=["short", "long"])
async def way(request: pytest.FixtureRequest, app: StandIn, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Return a client whose token is known already, so that the short way is open, or with that way closed."""
    taken: list[str] = []
    for name in ("quick_event", "quick_events"):
        read = getattr(quick, name)

        def watched(*arguments: Any, read: Any = read) -> Any:
            found = None if request.param == "long" else read(*arguments)
            if found is not None:
                taken.append(request.param)
            return found

        monkeypatch.setattr(quick, name, watched)
    async with app.client("admin") as client:
        await client.get("/api/v1/popular")
        yield client
    if request.param == "long":
        assert taken == []


async def test_an_event_is_answered_alike(app: StandIn, way: httpx.AsyncClient) -> None:
    answer = await way.post(TRACK, json=EVENT)
    assert (answer.status_code, answer.json()) == (202, {"event_id": "mine", "status": "queued", "position": "0.0.0"})
    assert answer.headers["content-type"] == "application/json"
    assert len(app.journal.events) == 1


async def test_a_batch_is_answered_alike(app: StandIn, way: httpx.AsyncClient) -> None:
    for body in ({"events": [EVENT, {**EVENT, "event_id": "two"}]}, [{**EVENT, "event_id": "three"}]):
        answer = await way.post(BATCH, json=body)
        assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 1,
        "rejected": 0,
        "results": [{"status": "queued", "event_id": "three", "position": "0.0.2"}],
    }
    assert [event.event_id for event in app.journal.events] == ["mine", "two", "three"]


async def test_the_same_id_again_is_a_duplicate_and_not_written(app: StandIn, way: httpx.AsyncClient) -> None:
    await way.post(TRACK, json=EVENT)
    again = await way.post(TRACK, json={**EVENT, "event_type": "like"})
    assert again.json() == {"event_id": "mine", "status": "duplicate", "position": "0.0.0"}
    other = await way.post(TRACK, json={**EVENT, "user_id": "v"})
    assert other.json()["status"] == "queued"
    found = (await way.post(BATCH, json=[EVENT, {**EVENT, "event_id": "new"}])).json()
    assert [(each["status"], each["position"]) for each in found["results"]] == [
        ("duplicate", "0.0.0"),
        ("queued", "0.0.2"),
    ]
    assert found["accepted"] == 2
    assert len(app.journal.events) == 3


@pytest.mark.parametrize(("body", "pointer"), TRACK_FAULTS)
async def test_faults_are_told_alike(app: StandIn, way: httpx.AsyncClient, body: dict[str, Any], pointer: str) -> None:
    answer = await way.post(TRACK, json=body)
    assert answer.status_code == 400
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    batch = (await way.post(BATCH, json=[EVENT, body])).json()
    assert [each["status"] for each in batch["results"]] == ["queued", "rejected"]
    assert [each["pointer"] for each in batch["results"][1]["errors"]] == [f"/1{pointer}"]


async def test_a_log_that_takes_nothing_is_told_alike(app: StandIn, way: httpx.AsyncClient) -> None:
    app.journal.failure = Overloaded("50000 events wait", retry_after=3)
    for path, body in ((TRACK, EVENT), (BATCH, [EVENT])):
        answer = await way.post(path, json=body)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "3"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/docs/errors#overloaded"
    app.journal.failure = None
    assert (await way.post(TRACK, json=EVENT)).json()["status"] == "queued"


async def test_each_event_spends_the_rate(app: StandIn, way: httpx.AsyncClient) -> None:
    app.asgi = create_asgi(app, config=HttpConfig(rate=0.001, burst=5_000))
    async with app.client("write") as client:
        statuses = [(await client.post(TRACK, json=EVENT)).status_code for _ in range(6)]
        answer = await client.post(TRACK, json=EVENT)
    assert statuses == [202] * 5 + [429]
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 500
    assert len(app.journal.events) == 1


async def test_a_batch_is_let_in_like_a_call_and_then_paid_for(app: StandIn, way: httpx.AsyncClient) -> None:
    app.asgi = create_asgi(app, config=HttpConfig(rate=0.001, burst=5_000))
    async with app.client("write") as client:
        assert (await client.post(TRACK, json=EVENT)).status_code == 202
        assert (await client.post(BATCH, json=[EVENT] * 100)).status_code == 202
        answer = await client.post(TRACK, json=EVENT)
    assert answer.status_code == 429
    assert 90_000 < int(answer.headers["retry-after"]) < 101_000


async def test_only_what_is_plain_takes_the_short_way(app: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[str] = []
    tracking = app.asgi._inner._inner.inner
    inner = tracking.inner

    async def framework(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])
        await inner(scope, receive, send)

    tracking.inner = framework
    async with app.client("write") as client, app.client("read") as reader, app.client(None) as nobody:
        assert (await client.post(TRACK, json=EVENT)).status_code == 202
        assert len(reached) == 1, "the token was not known yet"
        assert (await client.post(TRACK, json=EVENT)).status_code == 202
        assert (await client.post(BATCH, json=[EVENT])).status_code == 202
        assert len(reached) == 1
        assert (await client.post(f"{TRACK}?x=1", json=EVENT)).status_code == 400
        assert (await client.post(TRACK, content=b"{")).status_code == 400
        assert (await client.post(TRACK, content=b" " * (1 << 20) + b"{}")).status_code == 413
        assert (await client.get(TRACK)).status_code == 405
        assert (await nobody.post(TRACK, json=EVENT)).status_code == 401
        for _ in range(2):
            assert (await reader.post(TRACK, json=EVENT)).status_code == 403
        assert len(reached) == 8
        answer = await client.get("/metrics")
    assert 'kindred_http_requests_total{method="POST",route="/api/v1/track",status="202"} 2.0' in answer.text


async def test_a_body_in_parts_is_put_together_and_given_on_whole(app: StandIn, way: httpx.AsyncClient) -> None:
    async def parts(body: bytes) -> AsyncIterator[bytes]:
        for place in range(0, len(body), 7):
            yield body[place : place + 7]

    headers = {"Content-Type": "application/json"}
    good = b'{"user_id": "u", "item_id": "a", "event_type": "view", "event_id": "mine"}'
    assert (await way.post(TRACK, content=parts(good), headers=headers)).json()["event_id"] == "mine"
    answer = await way.post(TRACK, content=parts(good.replace(b"view", b"veiw")), headers=headers)
    assert "`view`" in answer.json()["errors"][0]["detail"]
