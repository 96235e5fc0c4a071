"""Questions for recommendations take the short way where they can; either way, the answers are the same."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.e2e.api.stand_in import StandIn

from kindred.api import quick_recommend
from kindred.api.limits import HttpConfig
from kindred.api.server import create_asgi
from kindred.core.errors import NoBundle

ASK = "/api/v1/recommendations"
BODY: dict[str, Any] = {"user_id": "u", "count": 2, "context": {"device": "tv"}, "filters": {"category": "action"}}


@pytest.fixture(params=["short", "long"])
async def way(request: pytest.FixtureRequest, app: StandIn, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Return a client whose token is known already, so that the short way is open, or with that way closed."""
    if request.param == "long":
        monkeypatch.setattr(quick_recommend, "RECOMMENDATIONS", "/nowhere")
    async with app.client("admin") as client:
        await client.get("/api/v1/popular")
        app.serving.asked.clear()
        yield client


@pytest.fixture
def reached(app: StandIn, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the paths of the calls that the short way passes on."""
    found: list[str] = []
    short = app.asgi._inner._inner
    inner = short.inner

    async def passed_on(scope: Any, receive: Any, send: Any) -> None:
        found.append(scope["path"])
        await inner(scope, receive, send)

    short.inner = passed_on
    return found


async def test_a_question_is_answered_alike(app: StandIn, way: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await way.post(ASK, json=BODY)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json() == (await way.post(ASK, json=BODY, headers={"content-type": "application/json"})).json()
    found = answer.json()
    assert [one["item_id"] for one in found["recommendations"]] == ["movie_0", "movie_1"]
    assert found["recommendations"][0]["metadata"]["year"] == 1995
    assert (found["request_id"], found["model_version"], found["took_ms"]) == ("rec_1", "b1", 1.25)
    assert {(ask.user_id, ask.count, ask.device, ask.categories) for ask in app.serving.asked} == {
        ("u", 2, "tv", ("action",))
    }


async def test_both_ways_write_the_same_bytes(app: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    async with app.client("read") as client:
        await client.get("/api/v1/popular")
        for count in (1, 3):
            short = (await client.post(ASK, json={"user_id": "u", "count": count})).content
            with monkeypatch.context() as closed:
                closed.setattr(quick_recommend, "RECOMMENDATIONS", "/nowhere")
                assert (await client.post(ASK, json={"user_id": "u", "count": count})).content == short
        app.stores.catalog = type(app.stores.catalog)()
        app.serving.stores.catalog = app.stores.catalog
        empty = await client.post(ASK, json={"user_id": "u"})
        assert empty.json()["recommendations"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"user_id": "u", "cuont": 3}, 400),
        ({"user_id": "u", "count": 101}, 400),
        ({"user_id": "\x01"}, 400),
        ({"user_id": "u", "experiment_id": "x"}, 422),
    ],
)
async def test_faults_are_told_alike(way: httpx.AsyncClient, body: dict[str, Any], status: int) -> None:
    answer = await way.post(ASK, json=body)
    assert answer.status_code == status
    assert answer.json()["errors"]


async def test_failures_are_told_alike(app: StandIn, way: httpx.AsyncClient) -> None:
    for failure, status in ((NoBundle(), 503), (RuntimeError("broken"), 500)):
        app.serving.failure = failure
        answer = await way.post(ASK, json=BODY)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_the_rate_is_one_for_both_ways(app: StandIn, way: httpx.AsyncClient) -> None:
    app.asgi = create_asgi(app, config=HttpConfig(rate=0.001, burst=5_000))
    async with app.client("read") as client:
        statuses = [(await client.post(ASK, json=BODY)).status_code for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2


async def test_only_what_is_plain_takes_the_short_way(app: StandIn, reached: list[str]) -> None:
    async with app.client("admin") as client, app.client("write") as writer, app.client(None) as nobody:
        assert (await client.post(ASK, json=BODY)).status_code == 200
        assert len(reached) == 1, "the token was not known yet"
        assert (await client.post(ASK, json=BODY)).status_code == 200
        assert len(reached) == 1
        assert (await client.post(ASK, json={**BODY, "trace": True})).json()["trace"]["stages"]
        assert (await client.post(ASK, content=b"{")).status_code == 400
        assert (await client.get(ASK)).status_code == 405
        assert (await nobody.post(ASK, json=BODY)).status_code == 401
        for _ in range(2):
            assert (await writer.post(ASK, json=BODY)).status_code == 403
        assert len(reached) == 7
