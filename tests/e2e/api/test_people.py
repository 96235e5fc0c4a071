"""Merging users, removing from a history, and reading it back, through a real server."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.e2e.platform.fixtures import StartServer
from tests.e2e.platform.server import eventually, track


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
