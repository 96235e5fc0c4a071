"""Event types by configuration, through HTTP: what breaks a rule is refused, and the answer says what to mend."""

from typing import Any

import httpx
import pytest
from tests.e2e.api.stand_in import StandIn, stand_in

from kindred.api.server import create_asgi
from kindred.core.config import decode
from kindred.ingest.event_types import EventRules, EventTypesConfig

TYPES = {
    "booking": {
        "weight": 4.0,
        "other_metadata": False,
        "metadata": {
            "nights": {"required": True, "minimum": 1.0, "maximum": 30.0, "whole": True},
            "room": {"type": "string", "choices": ["single", "double"]},
            "note": {"type": "string", "max_length": 5},
            "extras": {"type": "ids", "max_items": 2},
            "paid": {"type": "boolean"},
        },
    },
    "view": {"metadata": {"total_duration": {"required": True, "minimum": 1.0}}},
}
BAD = [
    ("booking", {}, "nights", "is required for this event type"),
    ("booking", {"nights": "2"}, "nights", "must be a number, is a string"),
    ("booking", {"nights": 0}, "nights", "must be at least 1"),
    ("booking", {"nights": 31}, "nights", "must be at most 30"),
    ("booking", {"nights": 1.5}, "nights", "must be a whole number"),
    ("booking", {"nights": True}, "nights", "must be a number, is true or false"),
    ("booking", {"nights": 1, "room": "singel"}, "room", "`single`"),
    ("booking", {"nights": 1, "room": 7}, "room", "must be a string, is a number"),
    ("booking", {"nights": 1, "note": "too long"}, "note", "at most 5 characters, has 8"),
    ("booking", {"nights": 1, "extras": ["a", "b", "c"]}, "extras", "1 to 2 ids, has 3"),
    ("booking", {"nights": 1, "extras": ["a", ""]}, "extras", "number 2"),
    ("booking", {"nights": 1, "paid": "yes"}, "paid", "must be true or false, is a string"),
    ("booking", {"nights": 1, "nigths": 1}, "nigths", "`nights`"),
    ("view", {"watch_duration": 5}, "total_duration", "is required for this event type"),
    ("view", {"watch_duration": -1, "total_duration": 60}, "watch_duration", "must be at least 0"),
    ("purchase", {"price": -1}, "price", "must be at least 0"),
]
GOOD = [
    ("booking", {"nights": 2, "room": "double", "note": "sea", "extras": ["bed", 7], "paid": True}),
    ("view", {"watch_duration": 5, "total_duration": 60, "player": {"speed": 2}}),
    ("purchase", {"price": 0}),
]


@pytest.fixture
async def app() -> StandIn:
    """Return an application with types of its own."""
    made = await stand_in()
    made.asgi = create_asgi(made, EventRules(decode(EventTypesConfig, {"types": TYPES}, "events")))
    return made


def body(event_type: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return a call."""
    return {"user_id": "u", "item_id": "movie_1", "event_type": event_type, "metadata": metadata}


@pytest.mark.parametrize(("event_type", "metadata", "key", "says"), BAD)
async def test_a_broken_rule_names_the_key_and_the_fix(
    app: StandIn, client: httpx.AsyncClient, event_type: str, metadata: dict[str, Any], key: str, says: str
) -> None:
    answer = await client.post("/api/v1/track", json=body(event_type, metadata))
    assert answer.status_code == 400
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == f"/metadata/{key}"
    assert says in fault["detail"]
    assert app.journal.events == []


async def test_in_a_batch_the_good_ones_are_taken(app: StandIn, client: httpx.AsyncClient) -> None:
    calls = [body(*good) for good in GOOD] + [body(event_type, metadata) for event_type, metadata, _, _ in BAD]
    answer = (await client.post("/api/v1/track/batch", json={"events": calls})).json()
    assert (answer["accepted"], answer["rejected"]) == (len(GOOD), len(BAD))
    for (_, _, key, says), result in zip(BAD, answer["results"][len(GOOD) :], strict=True):
        (fault,) = result["errors"]
        assert fault["pointer"].endswith(f"/metadata/{key}")
        assert says in fault["detail"]
    assert [(event.event_type, event.metadata) for event in app.journal.events] == GOOD


async def test_a_type_that_is_not_declared_is_refused_by_its_nearest_name(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/track", json=body("boking", {"nights": 1}))
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/event_type"
    assert "`booking`" in fault["detail"]
