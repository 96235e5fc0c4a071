"""What new users choose goes through the log; bad choices are named one by one and leave nothing behind."""

import httpx
import pytest
from tests.e2e.api.stand_in import StandIn

from kindred.core.event import Interaction, ProfileUpdated

PATH = "/api/v1/users/u/preferences"


async def test_choices_become_events_and_a_profile(app: StandIn, client: httpx.AsyncClient) -> None:
    await client.put("/api/v1/users/u", json={"country": "de", "preferred_tags": ["old"]})
    body = {"likes": ["movie_0", "movie_0"], "dislikes": ["movie_1"], "categories": ["action", "action", "none yet"]}
    answer = await client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["status"], answer.json()["user_id"]) == (200, "stored", "u")
    acts = [event for event in app.journal.events if isinstance(event, Interaction)]
    assert [(act.item_id, act.event_type) for act in acts] == [("movie_0", "like"), ("movie_1", "dislike")]
    assert isinstance(app.journal.events[-1], ProfileUpdated)
    profile = (await client.get("/api/v1/users/u")).json()
    assert profile["country"] == "DE"
    assert (profile["preferred_categories"], profile["preferred_tags"]) == (["action", "none yet"], ["old"])
    await client.post(PATH, json={"tags": []})
    profile = (await client.get("/api/v1/users/u")).json()
    assert (profile["preferred_categories"], profile["preferred_tags"]) == (["action", "none yet"], [])


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, [""]),
        ({"likes": ["movie_0", "nope"], "dislikes": ["neither"]}, ["/likes/1", "/dislikes/0"]),
        ({"likes": ["movie_0"], "dislikes": ["movie_1", "movie_0"]}, ["/dislikes/1"]),
        ({"likes": ["x" * 129]}, ["/likes/0"]),
        ({"likes": [f"i{n}" for n in range(101)]}, ["/likes"]),
        ({"categories": ["a\u0000b"]}, ["/categories/0"]),
        ({"tags": [""]}, ["/tags/0"]),
        ({"favourites": ["movie_0"]}, ["/favourites"]),
    ],
)
async def test_bad_choices_are_named(
    app: StandIn, client: httpx.AsyncClient, body: dict[str, list[str]], pointers: list[str]
) -> None:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 400
    assert [fault["pointer"] for fault in answer.json()["errors"]] == pointers
    assert app.journal.events == []


async def test_starters_are_a_list_like_others(app: StandIn, client: httpx.AsyncClient) -> None:
    answer = (await client.get("/api/v1/onboarding/items?count=2&country=de&category=k")).json()
    ask = app.serving.asked[-1]
    assert (ask.kind, ask.country, ask.category, ask.count) == ("starters", "DE", "k", 2)
    assert [each["item_id"] for each in answer["items"]] == ["movie_0", "movie_1"]
