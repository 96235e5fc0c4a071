"""Merging users, removing from a history, and reading it back, through a real server."""

import json
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from tests.e2e.api.stand_in import stand_in
from tests.e2e.platform.fixtures import StartServer
from tests.e2e.platform.server import eventually, ids, kindred, recommend, track

from kindred.api.routes import people
from kindred.core.event import Event
from kindred.core.position import Position
from kindred.features.groups import user_key
from kindred.features.users import UserRecord, encode_user
from kindred.ports.interactions import InteractionRow
from kindred.ports.state import StateRecord, StateWrite


@pytest.fixture
def person(empty_home: Path, start_bare: StartServer) -> Iterator[httpx.Client]:
    with start_bare(empty_home).client() as client:
        yield client


def merge(client: httpx.Client, user: str, into: str) -> httpx.Response:
    return client.post(f"/api/v1/users/{user}/merge", json={"into": into})


def test_a_merge_is_recorded_once_and_conflicts_are_refused(person: httpx.Client) -> None:
    track(person, "anonymous", "a")
    first = merge(person, "anonymous", "known")
    assert first.status_code in (200, 202), first.text
    assert (first.json()["user_id"], first.json()["into"]) == ("anonymous", "known")
    again = eventually(lambda: (r := merge(person, "anonymous", "known")).json()["status"] == "unchanged" and r)
    assert again.status_code == 200
    assert again.json()["position"] == first.json()["position"]
    for user, into in (("anonymous", "another"), ("known", "anonymous"), ("known", "known")):
        refused = merge(person, user, into)
        assert refused.status_code == 409, (user, into)
        assert refused.headers["content-type"].startswith("application/problem+json")
    assert merge(person, "early", "anonymous").json()["into"] == "known"
    assert merge(person, "early", "").status_code == 400


def test_a_merged_user_has_the_profile_of_the_known_one(person: httpx.Client) -> None:
    """Read under either name, and written under either name."""
    assert person.put("/api/v1/users/cookie", json={"country": "DE"}).status_code in (200, 202)
    merge(person, "cookie", "mia")

    def country(user: str) -> str | None:
        found = person.get(f"/api/v1/users/{user}").json()
        return found.get("country") if found.get("user_id") == "mia" else None

    assert eventually(lambda: country("mia") == "DE")
    assert country("cookie") == "DE"
    person.put("/api/v1/users/cookie", json={"country": "FR"})
    assert eventually(lambda: country("mia") == country("cookie") == "FR")


@pytest.mark.parametrize(("winner", "status"), [("another", 409), ("known", 200)])
async def test_a_merge_that_came_second_in_the_log_is_told_so(winner: str, status: int) -> None:
    """Another server took a merge of the same user while this one appended its own."""
    app = await stand_in()
    sealed = UserRecord(alias=winner, sealed=Position(0, 0, 5))

    async def record(events: Sequence[Event]) -> list[Position]:
        write = StateWrite(user_key("anonymous"), StateRecord(Position(0, 0, 5), encode_user(sealed)))
        await app.stores.state.write([write], Position(0, 0, 6))
        return [Position(0, 0, 6)]

    app.journal.record = record  # type: ignore[method-assign]
    async with app.client() as client:
        answer = await client.post("/api/v1/users/anonymous/merge", json={"into": "known"})
    assert answer.status_code == status
    assert (winner in answer.json()["detail"]) if status == 409 else answer.json()["status"] == "stored"


def test_removals_are_recorded(person: httpx.Client) -> None:
    track(person, "u", "a")
    for part in ("history", "reactions"):
        done = person.delete(f"/api/v1/users/u/{part}/a%2Fb")
        assert done.status_code == {"stored": 200, "queued": 202}[done.json()["status"]]
        assert (done.json()["user_id"], done.json()["item_id"]) == ("u", "a/b")


def test_history_is_paged_by_whole_milliseconds_and_removed_from(person: httpx.Client) -> None:
    for item, second in (("a", 1), ("b", 2), ("c", 2), ("d", 3)):
        track(person, "u", item, timestamp=f"2026-01-01T00:00:0{second}Z")

    def read(**query: int) -> dict:
        return person.get("/api/v1/users/u/history", params=query).json()

    eventually(lambda: len(read()["history"]) == 4)
    first = read(limit=2)
    assert first["history"][0]["item_id"] == "d"
    assert {row["item_id"] for row in first["history"]} == {"d", "b", "c"}
    rest = read(limit=2, before=first["next_before"])
    assert [row["item_id"] for row in rest["history"]] == ["a"]
    assert rest["next_before"] is None
    person.delete("/api/v1/users/u/history/b")
    eventually(lambda: {row["item_id"] for row in read()["history"]} == {"a", "c", "d"})


def items(client: httpx.Client, user: str, **query: int) -> list[str]:
    """Return the items of a page of a history."""
    return [row["item_id"] for row in client.get(f"/api/v1/users/{user}/history", params=query).json()["history"]]


def test_paging_goes_on_where_it_was_while_events_arrive(person: httpx.Client) -> None:
    for number in range(6):
        track(person, "u", f"i{number}", timestamp=f"2026-01-01T00:00:0{number}Z")
    eventually(lambda: len(items(person, "u")) == 6)
    first = person.get("/api/v1/users/u/history", params={"limit": 2}).json()
    track(person, "u", "newer")
    eventually(lambda: items(person, "u")[0] == "newer")
    second = person.get("/api/v1/users/u/history", params={"limit": 2, "before": first["next_before"]}).json()
    third = person.get("/api/v1/users/u/history", params={"limit": 2, "before": second["next_before"]}).json()
    seen = [row["item_id"] for page in (first, second, third) for row in page["history"]]
    assert seen == [f"i{number}" for number in reversed(range(6))]
    assert (third["next_before"], third["cut"]) == (None, False)


async def test_more_rows_of_one_moment_than_a_page_may_have_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is cut, says so, and goes on behind that moment; the export has all."""
    monkeypatch.setattr(people, "LONGEST_PAGE", 4)
    app = await stand_in()
    moments = [9, *[5] * 6, 3]
    rows = [InteractionRow(bytes([n] * 16), "u", 0, "view", at, math.nan) for n, at in enumerate(moments)]
    await app.stores.interactions.add(rows, Position(0, 0, 0))
    async with app.client() as client:
        first = (await client.get("/api/v1/users/u/history", params={"limit": 2})).json()
        rest = (await client.get("/api/v1/users/u/history", params={"before": first["next_before"]})).json()
        lines = (await client.get("/api/v1/users/u/export")).text.splitlines()
    assert (len(first["history"]), first["cut"], first["next_before"]) == (4, True, 5)
    assert (len(rest["history"]), rest["cut"], rest["next_before"]) == (1, False, None)
    assert sum(json.loads(line)["kind"] == "interaction" for line in lines) == len(moments)


@pytest.mark.parametrize("cursor", ["abc", "-1", "1.5", "9" * 30, ""])
def test_a_cursor_that_is_none_is_named(person: httpx.Client, cursor: str) -> None:
    refused = person.get("/api/v1/users/u/history", params={"before": cursor})
    assert refused.status_code == 400
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/before"]


def exported(client: httpx.Client, user: str) -> dict[str, list[dict]]:
    """Return the lines of an export by kind."""
    answer = client.get(f"/api/v1/users/{user}/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson"), answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[-1] == {"kind": "end", "lines": len(lines) - 1}
    found: dict[str, list[dict]] = {}
    for line in lines:
        found.setdefault(line.pop("kind"), []).append(line)
    return found


def test_an_export_holds_everything_whatever_the_size_of_pages(person: httpx.Client) -> None:
    person.put("/api/v1/users/u", json={"country": "DE", "attributes": {"plan": "basic"}})
    same = [
        {"user_id": "u", "item_id": f"same{n}", "event_type": "view", "timestamp": "2026-01-01T00:00:00Z"}
        for n in range(700)
    ]
    apart = [
        {
            "user_id": "u",
            "item_id": f"i{n}",
            "event_type": "like",
            "timestamp": f"2026-01-02T00:{n // 60:02}:{n % 60:02}Z",
        }
        for n in range(700)
    ]
    for events in (same, apart):
        assert person.post("/api/v1/track/batch", json={"events": events}).json()["accepted"] == 700
    track(person, "u", "rated", "rating", metadata={"rating": 4.5})
    track(person, "anon", "before")
    assert merge(person, "anon", "u").status_code in (200, 202)
    found = eventually(lambda: (lines := exported(person, "u"))["person"][0]["merged_users"] and lines)
    assert {row["item_id"] for row in found["interaction"]} == (
        {f"same{n}" for n in range(700)} | {f"i{n}" for n in range(700)} | {"rated", "before"}
    )
    assert all(later["timestamp"] >= earlier["timestamp"] for later, earlier in pairwise(found["interaction"]))
    assert [row["value"] for row in found["interaction"] if row["item_id"] == "rated"] == [4.5]
    assert found["profile"] == [{"user_id": "u", "country": "DE", "attributes": {"plan": "basic"}}]
    (told,) = found["person"]
    assert (told["user_id"], told["interactions"], told["merged_users"]) == ("u", 2, ["anon"]), (
        "months late, to history alone"
    )
    assert found["features"][0]["values"]["ratings_total"] == 1
    assert {each["place"] for each in found["elsewhere"]} == {"log", "lake", "traces", "dead_letters"}
    assert exported(person, "anon")["person"][0]["user_id"] == "u"
    assert person.delete("/api/v1/users/u").status_code in (200, 202)
    gone = eventually(lambda: not (lines := exported(person, "u"))["person"][0]["known"] and lines)
    assert gone.keys() == {"person", "elsewhere", "end"}
    # The anonymous user is forgotten with the known one, and stands for nobody any more.
    eventually(lambda: exported(person, "anon")["person"][0]["user_id"] == "anon")
    assert not exported(person, "anon")["person"][0]["known"]


def test_a_merged_user_is_answered_as_the_known_one(home: Path, start: StartServer) -> None:
    """Slates, similar items, history and features, asked for under the anonymous name."""
    with start(home).client() as client:
        liked = ["1", "260", "1196", "1210", "2571", "1198"]
        for item in liked[:3]:
            track(client, "known", item, "like")
        for item in liked[3:]:
            track(client, "anonymous", item, "like")
        assert merge(client, "anonymous", "known").status_code in (200, 202)
        eventually(lambda: exported(client, "known")["person"][0]["merged_users"])
        assert set(items(client, "known")) == set(liked)
        assert items(client, "known") == items(client, "anonymous")
        slates = [recommend(client, user, count=20) for user in ("known", "anonymous")]
        assert ids(slates[0]) == ids(slates[1])
        assert not set(liked) & set(ids(slates[1]))
        assert slates[0]["strategy"] == slates[1]["strategy"] == "standard"
        near = [
            client.get("/api/v1/items/260/similar", params={"user_id": user, "count": 20}).json()["similar_items"]
            for user in ("known", "anonymous")
        ]
        assert near[0] == near[1]
        assert not {"1196", "1210"} & {row["item_id"] for row in near[1]}
        shown = [
            json.loads(kindred(home, "features", "show", user, "--json").stdout)["user"]
            for user in ("known", "anonymous")
        ]
        favourites = [[name for name, _ in values.pop("favourite_categories")] for values in shown]
        assert favourites[0] == favourites[1] != []
        values = exported(client, "anonymous")["features"][0]["values"]
        for other in (shown[1], values):
            assert other.keys() == shown[0].keys()
            unlike = {name for name, value in other.items() if value != pytest.approx(shown[0][name])}
            assert unlike <= {"current_session_duration", "engagement_score"}, (
                "what changes from one moment to the next"
            )
        track(client, "anonymous", "318", "like")
        eventually(lambda: "318" in items(client, "known"))
