"""`kindred users export`: what the server's export says, and every event from log and lake."""

import json
from pathlib import Path

from tests.e2e.platform.fixtures import StartServer
from tests.e2e.platform.server import eventually, kindred, track


def exported(home: Path, user: str) -> dict[str, list[dict]]:
    """Return the lines of an export by kind."""
    lines = [json.loads(line) for line in kindred(home, "users", "export", user).stdout.splitlines()]
    assert lines[-1] == {"kind": "end", "lines": len(lines) - 1}
    found: dict[str, list[dict]] = {}
    for line in lines:
        found.setdefault(line.pop("kind"), []).append(line)
    return found


def test_an_export_has_every_event_once_wherever_it_stands(empty_home: Path, start_bare: StartServer) -> None:
    with start_bare(empty_home).client() as client:
        context = {"device": "tv", "session_id": "s-1"}
        track(client, "ann", "i1", context=context, metadata={"watch_duration": 5})
        track(client, "cookie", "i2")
        track(client, "bob", "i1")
        kindred(empty_home, "lake", "write")
        assert client.post("/api/v1/users/cookie/merge", json={"into": "ann"}).status_code in (200, 202)
        search = {"user_id": "ann", "event_type": "search", "metadata": {"query": "shoes"}}
        assert client.post("/api/v1/track", json=search).status_code == 202
        eventually(lambda: len(client.get("/api/v1/users/cookie/history").json()["history"]) == 2)
        found = eventually(lambda: (said := exported(empty_home, "ann"))["person"][0]["merged_users"] and said)
    events = {(each["user_id"], each.get("item_id"), each["place"]) for each in found["event"] if "item_id" in each}
    assert events == {("ann", "i1", "lake"), ("cookie", "i2", "lake"), ("ann", "", "log")}
    assert [each["what"] for each in found["event"]].count("merged") == 1
    (first,) = [each for each in found["event"] if each.get("item_id") == "i1"]
    assert first["context"] == context
    assert first["metadata"] == {"watch_duration": 5}
    assert {row["item_id"] for row in found["interaction"]} == {"i1", "i2"}
    assert exported(empty_home, "nobody").keys() == {"person", "elsewhere", "end"}
