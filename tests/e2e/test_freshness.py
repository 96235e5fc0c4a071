"""What was accepted is in the answers soon after: events, new and edited items, deletions, erased users."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.e2e.platform.fixtures import copy_folder
from tests.e2e.platform.inside import EVERYTHING, opened, user_record
from tests.e2e.platform.server import Server, eventually, ids, recommend, slate_after, track

VECTOR_SOURCES = {"als", "content"}


@pytest.fixture(scope="module")
def server(trained_home: Any, trained_token: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a copy of the trained folder; every test uses users and items of its own."""
    with Server(copy_folder(trained_home, tmp_path_factory.mktemp("fresh") / "home"), trained_token) as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """Return a client of that server."""
    with server.client() as found:
        yield found


def put_item(client: httpx.Client, item_id: str, **fields: Any) -> None:
    """Create or replace an item and see that it is stored."""
    answer = client.put(f"/api/v1/items/{item_id}", json=fields)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "stored"


def similar(client: httpx.Client, item_id: str, **params: Any) -> list[str]:
    """Return the ids of items like another."""
    answer = client.get(f"/api/v1/items/{item_id}/similar", params={"count": 20, **params})
    return [row["item_id"] for row in answer.json()["similar_items"]] if answer.status_code == 200 else []


def moved_by(said: dict[str, Any], before: list[str], item_id: str) -> list[dict[str, Any]]:
    """Return the newcomers of a slate whose anchor is the item, or which a vector of the user proposed."""
    return [
        row
        for row in said["recommendations"]
        if row["item_id"] not in before
        and (row["anchor_item_id"] == item_id or VECTOR_SOURCES.intersection(row["sources"]))
    ]


def test_each_event_of_a_new_user_changes_the_next_slate(client: httpx.Client) -> None:
    user = "fresh-newcomer"
    before = recommend(client, user)
    assert before["strategy"] == "cold_start_user"
    for event_type, metadata in (("rating", {"rating": 5.0}), ("like", {}), ("view", {})):
        chosen = ids(before)[0]
        after = slate_after(client, user, track(client, user, chosen, event_type, metadata=metadata))
        assert chosen not in ids(after)
        assert ids(after) != [item for item in ids(before) if item != chosen]
        assert moved_by(after, ids(before), chosen)
        before = after


def test_an_event_of_a_known_user_changes_the_next_slate(client: httpx.Client) -> None:
    before = recommend(client, "1")
    assert before["strategy"] == "standard"
    chosen = ids(before)[3]
    after = slate_after(client, "1", track(client, "1", chosen, "rating", metadata={"rating": 5.0}))
    assert chosen not in ids(after)
    assert ids(after) != ids(before)
    assert moved_by(after, ids(before), chosen)


def test_a_known_users_dislike_hides_the_item_and_keeps_nothing_like_it_as_its_reason(client: httpx.Client) -> None:
    before = recommend(client, "2")
    chosen = ids(before)[0]
    after = slate_after(client, "2", track(client, "2", chosen, "dislike"), filters={"exclude_seen": False})
    assert chosen not in ids(after)
    assert all(row["anchor_item_id"] != chosen for row in after["recommendations"])


def test_a_new_item_is_recommendable_as_new_and_by_content_without_training(client: httpx.Client) -> None:
    like = client.get("/api/v1/items/1").json()
    wanted = {"title": "Toy Story 5", "categories": like["categories"], "tags": [*like["tags"], "just-made"]}
    put_item(client, "brand-new", **wanted)
    eventually(lambda: "brand-new" in similar(client, "1", metric="content"))
    assert "1" in similar(client, "brand-new", metric="content")
    user = "fresh-of-new-items"
    position = track(client, user, "1", "rating", metadata={"rating": 5.0})
    said = slate_after(client, user, position, filters={"tags": ["just-made"]})
    assert ids(said) == ["brand-new"]
    assert {"content", "new"} <= set(said["recommendations"][0]["sources"])
    explored = eventually(
        lambda: [
            found
            for _ in range(20)
            for found in recommend(client, "fresh-nobody", exploration=1.0, count=100)["recommendations"]
            if found["item_id"] == "brand-new"
        ]
    )
    assert "new" in explored[0]["sources"]


def test_an_item_of_an_unseen_category_fills_the_slate_of_that_category(client: httpx.Client) -> None:
    put_item(client, "odd-one", title="An odd thing", category="oddities")
    filters = {"category": "oddities"}
    said = eventually(lambda: (r := recommend(client, "fresh-odd", filters=filters))["recommendations"] and r)
    assert ids(said) == ["odd-one"]
    assert any(reason.startswith("under_filled") for reason in said["degraded"])


def test_an_edited_item_obeys_filters_by_what_it_is_now(client: httpx.Client) -> None:
    put_item(client, "mover", title="A mover", category="here")
    eventually(lambda: ids(recommend(client, "fresh-mover", filters={"category": "here"})) == ["mover"])
    put_item(client, "mover", title="A mover", category="there")
    eventually(lambda: ids(recommend(client, "fresh-mover", filters={"category": "there"})) == ["mover"])
    assert not ids(recommend(client, "fresh-mover", filters={"category": "here"}))


def test_an_item_of_the_bundle_that_changes_category_obeys_filters(client: httpx.Client) -> None:
    popular = ids(recommend(client, "fresh-editor", filters={"category": "Drama"}, count=5))[0]
    put_item(client, popular, title="Another title", category="Elsewhere")
    wanted = {"category": "Elsewhere"}
    eventually(lambda: ids(recommend(client, "fresh-editor", filters=wanted)) == [popular])
    assert popular not in ids(recommend(client, "fresh-editor", filters={"category": "Drama"}, count=100))


def test_a_deleted_item_is_never_shown_again(client: httpx.Client) -> None:
    victim = ids(recommend(client, "fresh-reader"))[0]
    liked = similar(client, victim, metric="collaborative")[0]
    assert client.delete(f"/api/v1/items/{victim}").json()["status"] == "deleted"
    assert client.get(f"/api/v1/items/{victim}").status_code == 404
    eventually(lambda: victim not in ids(recommend(client, "fresh-reader", count=100)))
    for number in range(30):
        assert victim not in ids(recommend(client, f"fresh-reader-{number}", count=100, exploration=0.5))
    assert victim not in similar(client, liked, metric="collaborative")
    for listing in ("popular", "trending"):
        rows = client.get(f"/api/v1/{listing}", params={"count": 100}).json()["items"]
        assert victim not in [row["item_id"] for row in rows]
    assert client.get(f"/api/v1/items/{victim}/similar").status_code == 404


async def test_an_erased_user_leaves_nothing_and_starts_from_nothing(client: httpx.Client, server: Server) -> None:
    user = "fresh-forgotten"
    client.put(f"/api/v1/users/{user}", json={"country": "NO"}).raise_for_status()
    for item in ("1", "2", "3", "5", "6", "7"):
        last = track(client, user, item, "rating", metadata={"rating": 5.0})
    # What a server showed is told to the log a moment later: after the erasure it would be news of this user.
    assert slate_after(client, user, last, prefetch=True)["strategy"] == "standard"
    assert client.delete(f"/api/v1/users/{user}").json()["status"] == "erased"
    assert client.get(f"/api/v1/users/{user}").status_code == 404
    async with opened(server.home) as stores:
        assert await user_record(stores, user) is None
        assert not await stores.interactions.by_user(user, EVERYTHING)
    assert recommend(client, user)["strategy"] == "cold_start_user"
    said = slate_after(client, user, track(client, user, "50", "view"))
    assert said["strategy"] == "cold_start_user"
    assert {"1", "2", "3"}.isdisjoint({row["anchor_item_id"] for row in said["recommendations"]})
    async with opened(server.home) as stores:
        record = await user_record(stores, user)
        assert record is not None
        assert record.interactions == 1
        assert len(await stores.interactions.by_user(user, EVERYTHING)) == 1


def test_the_same_event_twice_is_one_event(client: httpx.Client) -> None:
    user = "fresh-twice"
    first = track(client, user, "1", "view", event_id="only-once")
    second = track(client, user, "2", "view", event_id="only-once")
    said = slate_after(client, user, max(first, second), count=100)
    assert "1" not in ids(said)
    time.sleep(0.05)
    later = slate_after(client, user, track(client, user, "1", "view"), count=100, filters={"exclude_seen": True})
    assert {row["anchor_item_id"] for row in later["recommendations"]} <= {None, "1"}


def test_a_burst_of_a_cold_item_trends_in_all_in_its_category_and_in_its_country(client: httpx.Client) -> None:
    put_item(client, "sudden", title="A sudden thing", category="suddenly")
    put_item(client, "quiet", title="A quiet thing", category="suddenly")
    put_item(client, "northern", title="A northern thing", category="northern")
    for number in range(9):
        track(client, f"fresh-crowd-{number}", "sudden", "view", context={"location": "IS-RVK"})
        track(client, f"fresh-crowd-{number}", "northern", "view", context={"location": "NO"})
    track(client, "fresh-crowd-0", "quiet", "view", context={"location": "IS-RVK"})

    def trending(**params: Any) -> list[str]:
        answer = client.get("/api/v1/trending", params={"count": 50, **params})
        assert answer.status_code == 200, answer.text
        return [row["item_id"] for row in answer.json()["items"]]

    for window in ("1h", "24h"):
        eventually(lambda window=window: "sudden" in trending(window=window))
        assert trending(window=window, category="suddenly") == ["sudden"]
        eventually(lambda window=window: "northern" in trending(window=window, country="NO"))
        assert "sudden" in trending(window=window, country="IS")
        assert "sudden" not in trending(window=window, country="NO")
    assert "sudden" in trending(window="7d", category="suddenly")
    assert "sudden" not in trending(window="1h", category="here")
