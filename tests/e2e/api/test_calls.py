"""What each call answers when all is well."""

import xml.etree.ElementTree as ElementTree

import httpx
import pytest
from tests.e2e.api.stand_in import NOW, StandIn

from kindred.core.event import Interaction, ProfileErased


async def test_a_search_carries_what_the_contract_says(app: StandIn, client: httpx.AsyncClient) -> None:
    body = {
        "query": "heat", "user_id": 42, "context": {"device": "tv"}, "filters": {"category": "action"},
        "count": 2, "offset": 4, "personalisation": 0.25, "prefetch": True,
    }  # fmt: skip
    answer = (await client.post("/api/v1/search", json=body)).json()
    (asked,) = app.serving.asked
    assert (asked.text, asked.offset, asked.personalisation) == ("heat", 4, 0.25)
    assert (asked.ask.user_id, asked.ask.placement, asked.ask.count, asked.ask.prefetch) == ("42", "search", 2, True)
    assert (asked.ask.categories, asked.ask.exclude_seen, asked.ask.device) == (("action",), False, "tv")
    assert (answer["results"][0]["item_id"], answer["results"][0]["text_score"]) == ("movie_0", 0.0)
    assert (answer["request_id"], answer["next_offset"]) == ("rec_1", 6 if len(answer["results"]) == 2 else None)
    await client.post("/api/v1/search", json={"query": "heat"})
    assert (app.serving.asked[-1].ask.user_id, app.serving.asked[-1].personalisation) == ("", None)
    # What is named as the next offset is one that is taken.
    for offset, following in ((899, 900), (900, None)):
        answer = (await client.post("/api/v1/search", json={"query": "heat", "count": 1, "offset": offset})).json()
        assert (len(answer["results"]), answer["next_offset"]) == (1, following)


async def test_recommendations_carry_what_the_contract_says(app: StandIn, client: httpx.AsyncClient) -> None:
    body = {
        "user_id": 42,
        "context": {"page": "item_page", "device": "tv", "location": "DE-BY", "time": "2024-01-01T00:00:00+01:00",
                    "session_id": "s", "item_id": 7},
        "filters": {"category": "action", "exclude_seen": False, "min_rating": 3,
                    "tags": ["x"], "exclude_items": [1, "b"]},
        "count": 2, "placement": "row", "prefetch": True, "diversity": 0.5, "exploration": 0,
        "page_token": None,
    }  # fmt: skip
    answer = (await client.post("/api/v1/recommendations", json=body)).json()
    (ask,) = app.serving.asked
    assert (ask.user_id, ask.item_id, ask.exclude_items, ask.categories) == ("42", "7", ("1", "b"), ("action",))
    assert (ask.page, ask.device, ask.location, ask.session_id, ask.placement) == (
        "item_page",
        "tv",
        "DE-BY",
        "s",
        "row",
    )
    assert (ask.time, ask.count, ask.prefetch, ask.diversity, ask.exploration) == (1_704_063_600_000, 2, True, 0.5, 0.0)
    assert (ask.exclude_seen, ask.min_rating, ask.tags, ask.trace) == (False, 3.0, ("x",), False)
    assert answer["recommendations"][0] == {
        "item_id": "movie_0", "title": "Movie 0", "thumbnail_url": "/api/v1/items/movie_0/thumbnail.svg", "score": 0.5,
        "reason": "Because you watched Heat", "reason_code": "because_you_watched", "anchor_item_id": "anchor",
        "source": "als", "sources": ["als", "popular"], "category": "action", "categories": ["action", "crime"],
        "metadata": {"year": 1995, "rating": 3.75},
    }  # fmt: skip
    rest = {key: value for key, value in answer.items() if key != "recommendations"}
    assert rest == {
        "request_id": "rec_1", "model_version": "b1", "state_version": "0.0.7", "experiment_id": None,
        "experiments": {}, "strategy": "standard", "degraded": [],
        "next_page_token": None, "took_ms": 1.25, "trace": None,
    }  # fmt: skip


async def test_track_is_202_with_its_position(app: StandIn, client: httpx.AsyncClient) -> None:
    body = {"user_id": 1, "item_id": 2, "event_type": "rating", "metadata": {"rating": 4}, "event_id": "mine"}
    answer = await client.post("/api/v1/track", json=body)
    assert (answer.status_code, answer.json()) == (202, {"event_id": "mine", "status": "queued", "position": "0.0.0"})
    (event,) = app.journal.events
    assert isinstance(event, Interaction)
    assert (event.user_id, event.item_id, event.timestamp, event.metadata) == ("1", "2", NOW, {"rating": 4})


@pytest.mark.parametrize("wrapped", [True, False])
async def test_a_bad_event_never_loses_its_neighbours(app: StandIn, client: httpx.AsyncClient, wrapped: bool) -> None:
    good = {"user_id": "u", "item_id": "a", "event_type": "view"}
    events = [{**good, "event_id": "e1"}, 5, {**good, "event_type": "nope"}, {**good, "event_id": "e2"}]
    answer = await client.post("/api/v1/track/batch", json={"events": events} if wrapped else events)
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert [each["status"] for each in results] == ["queued", "rejected", "rejected", "queued"]
    assert (results[0]["event_id"], results[3]["event_id"]) == ("e1", "e2")
    assert (results[0]["position"], results[3]["position"]) == ("0.0.0", "0.0.1")
    prefix = "/events" if wrapped else ""
    assert results[1]["errors"][0]["pointer"] == f"{prefix}/1"
    assert results[2]["errors"][0]["pointer"] == f"{prefix}/2/event_type"
    assert [event.event_id for event in app.journal.events] == ["e1", "e2"]


async def test_batches_have_1_to_1000_elements(app: StandIn, client: httpx.AsyncClient) -> None:
    event = {"user_id": "u", "item_id": "a", "event_type": "view"}
    for path, field, element in (("track/batch", "events", event), ("items", "items", {"item_id": "a"})):
        for many in (0, 1001):
            answer = await client.post(f"/api/v1/{path}", json={field: [element] * many})
            assert answer.status_code == 400
            assert answer.json()["errors"][0]["pointer"] == f"/{field}"
    assert app.journal.events == []
    answer = await client.post("/api/v1/track/batch", json={"events": [event] * 1000})
    assert answer.json()["accepted"] == len(app.journal.events) == 1000


@pytest.mark.parametrize("item_id", ["plain", "a/b", "/", "a b", "é😀", "x%2Fy", "?q=1#f", "a//b", "a/similar"])
async def test_an_item_lives_under_any_id(client: httpx.AsyncClient, item_id: str) -> None:
    path = httpx.URL("http://kindred").copy_with(raw_path=_raw(item_id))
    stored = await client.put(path, json={"title": "T", "category": "b", "categories": ["a", "b"], "stock": 3})
    assert (stored.status_code, stored.json()["item_id"], stored.json()["status"]) == (200, item_id, "stored")
    found = (await client.get(path)).json()
    assert (found["item_id"], found["category"], found["categories"]) == (item_id, "b", ["b", "a"])
    assert (
        await client.get(httpx.URL("http://kindred").copy_with(raw_path=_raw(item_id, "/similar")))
    ).status_code == 200
    picture = await client.get(found["thumbnail_url"])
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert (await client.delete(path)).json()["status"] == "deleted"
    assert (await client.get(path)).status_code == 404


def _raw(item_id: str, end: str = "") -> bytes:
    from urllib.parse import quote

    return f"/api/v1/items/{quote(item_id, safe='')}{end}".encode()


async def test_many_items_have_a_result_each(app: StandIn, client: httpx.AsyncClient) -> None:
    items = [{"item_id": 1, "title": "One"}, {"title": "no id"}, {"item_id": "x", "stock": -1}, {"item_id": "y"}]
    answer = await client.post("/api/v1/items", json={"items": items})
    results = answer.json()["results"]
    assert [each["status"] for each in results] == ["stored", "rejected", "rejected", "stored"]
    assert [each.get("item_id") for each in results] == ["1", None, None, "y"]
    assert results[1]["errors"][0]["pointer"] == "/items/1/item_id"
    assert results[2]["errors"][0]["pointer"] == "/items/2/stock"
    app.serving.folded = False
    answer = await client.post("/api/v1/items", json={"items": items})
    assert (answer.status_code, answer.json()["results"][0]["status"]) == (202, "queued")
    answer = await client.put("/api/v1/items/z", json={})
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


async def test_zero_is_an_id_like_any_other_number(app: StandIn, client: httpx.AsyncClient) -> None:
    items = (await client.post("/api/v1/items", json=[{"item_id": 0}])).json()["results"]
    users = (await client.post("/api/v1/users", json=[{"user_id": 0}])).json()["results"]
    assert (items[0]["item_id"], users[0]["user_id"]) == ("0", "0")
    event = {"user_id": 0, "item_id": 0, "event_type": "view", "event_id": 0}
    assert (await client.post("/api/v1/track", json=event)).json()["event_id"] == "0"
    body = {"user_id": 0, "context": {"item_id": 0}, "filters": {"exclude_items": [0]}}
    await client.post("/api/v1/recommendations", json=body)
    ask = app.serving.asked[-1]
    assert (ask.user_id, ask.item_id, ask.exclude_items) == ("0", "0", ("0",))


async def test_an_id_in_body_and_address_must_agree(client: httpx.AsyncClient) -> None:
    assert (await client.put("/api/v1/items/5", json={"item_id": 5})).status_code == 200
    assert (await client.put("/api/v1/items/5", json={"item_id": 6})).json()["errors"][0]["pointer"] == "/item_id"
    assert (await client.put("/api/v1/users/5", json={"user_id": "6"})).json()["errors"][0]["pointer"] == "/user_id"


async def test_pages_go_through_everything_once(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/users", json=[{"user_id": f"u{n}", "country": "de"} for n in range(5)])
    for path, field, key, total in (("items", "items", "item_id", 3), ("users", "users", "user_id", 5)):
        seen, after = [], ""
        while after is not None:
            page = (await client.get(f"/api/v1/{path}", params={"limit": 2, "after": after})).json()
            seen += [each[key] for each in page[field]]
            after = page["next_after"]
        assert len(seen) == len(set(seen)) == total
        assert seen == sorted(seen)


async def test_a_user_is_stored_and_erased(app: StandIn, client: httpx.AsyncClient) -> None:
    body = {"country": "de", "birth_year": 1980, "created": "2024-01-01T00:00:00Z", "attributes": {"tier": "gold"}}
    assert (await client.put("/api/v1/users/u", json=body)).json()["status"] == "stored"
    found = (await client.get("/api/v1/users/u")).json()
    assert (found["country"], found["birth_year"], found["created"]) == ("DE", 1980, "2024-01-01T00:00:00.000Z")
    for user_id in ("u", "without-a-profile"):
        assert (await client.delete(f"/api/v1/users/{user_id}")).json()["status"] == "erased"
        assert isinstance(app.journal.events[-1], ProfileErased)
    assert (await client.get("/api/v1/users/u")).status_code == 404


async def test_similar_and_lists(app: StandIn, client: httpx.AsyncClient) -> None:
    path = "/api/v1/items/movie_1/similar?count=2&metric=content&exclude_items=a,b&exclude_items=c&user_id=u&category=k"
    answer = (await client.get(path)).json()
    ask = app.serving.asked[-1]
    assert (ask.count, ask.metric, ask.user_id, ask.category) == (2, "content", "u", "k")
    assert {"a", "b", "c"} <= set(ask.exclude_items)
    many = [f"{n:0100}" for n in range(3)]
    await client.get("/api/v1/items/movie_1/similar?exclude_items=" + ",".join(many))
    assert app.serving.asked.pop().exclude_items == tuple(many)
    assert [each["item_id"] for each in answer["similar_items"]] == ["movie_0", "movie_1"]
    assert answer["similar_items"][0]["similarity_score"] == 0.5
    answer = (await client.get("/api/v1/trending?window=1h&country=de&category=k&count=1")).json()
    ask = app.serving.asked[-1]
    assert (ask.kind, ask.window, ask.country, ask.category, ask.count) == ("trending", "1h", "DE", "k", 1)
    assert (len(answer["items"]), answer["window"], answer["state_version"]) == (1, "1h", "0.0.7")
    await client.get("/api/v1/popular")
    assert app.serving.asked[-1].kind == "popular"


async def test_similar_users(app: StandIn, client: httpx.AsyncClient) -> None:
    answer = (await client.get("/api/v1/users/a%2Fb/similar?count=3")).json()
    assert (app.serving.asked[-1].user_id, app.serving.asked[-1].count) == ("a/b", 3)
    assert answer["similar_users"] == [{"user_id": "u2", "similarity": 0.5, "items_in_common": 3}]
    assert (answer["user_id"], answer["state_version"]) == ("a/b", "0.0.7")


async def test_health_metrics_and_trace(app: StandIn, client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/requests/rec_1/trace")).json()["request_id"] == "rec_1"
    async with app.client(None) as anonymous:
        assert (await anonymous.get("/health/live")).json() == {"status": "live"}
        assert (await anonymous.get("/health/ready")).json() == {"status": "ready"}
        app.serving.reasons = ["no bundle was trained yet", "the log is full"]
        answer = await anonymous.get("/health/ready")
        assert answer.status_code == 503
        assert [each["detail"] for each in answer.json()["errors"]] == app.serving.reasons
        text = (await anonymous.get("/metrics")).text
    assert 'kindred_http_requests_total{method="GET",route="/health/live",status="200"} 1.0' in text
    assert "kindred_http_request_seconds_bucket" in text


async def test_pictures_escape_titles(client: httpx.AsyncClient) -> None:
    await client.put("/api/v1/items/bad", json={"title": "<script>alert('x')</script> & \"friends\""})
    answer = await client.get("/api/v1/items/bad/thumbnail.svg")
    root = ElementTree.fromstring(answer.text)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        "svg", "title", "defs", "linearGradient", "stop", "rect", "g", "text",
    }  # fmt: skip
