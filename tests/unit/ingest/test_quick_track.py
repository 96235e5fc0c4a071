"""The quick reader accepts what the careful one accepts, with the same event, and nothing else."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindred.core.config import decode
from kindred.core.errors import InvalidInput
from kindred.core.event import Interaction
from kindred.ingest.event_types import EventRules, EventTypesConfig
from kindred.ingest.quick_track import quick_event, quick_events
from kindred.ingest.validate import read_track

NOW = 1_700_000_000_000
RULES = EventRules(
    decode(
        EventTypesConfig,
        {
            "types": {
                "share": {"metadata": {"to": {"type": "string", "required": True, "choices": ["a", "b"]}}},
                "like": {"other_metadata": False},
            }
        },
        "events",
    )
)
GOOD = {"user_id": "u", "item_id": "i", "event_type": "view"}


def careful(body: bytes) -> Interaction | None:
    """Read as the framework's way does; None for what it refuses."""
    try:
        return read_track(msgspec.json.decode(body), RULES, NOW)
    except (InvalidInput, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def same(one: Interaction | None, other: Interaction | None) -> bool:
    """Compare two events, but for ids that were made here."""
    if one is None or other is None:
        return one is other
    if one.event_id.startswith("evt_") and other.event_id.startswith("evt_"):
        other = msgspec.structs.replace(other, event_id=one.event_id)
    return one == other


_id = (
    st.text(max_size=3)
    | st.text("abc\x00é😀", min_size=1, max_size=130)
    | st.integers(-5, 2**70)
    | st.sampled_from(["u", "x" * 128, "x" * 129, "é" * 128, "é" * 129])
)
_wrong = st.none() | st.booleans() | st.floats(allow_nan=False) | st.lists(_id, max_size=2) | st.just({})
_number = st.integers(-2, 400) | st.floats(-1, 400) | st.just(10**30) | _wrong | st.just("3")
_context = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("device", "page", "session_id", "request_id", "location", "placement"), _id | _wrong),
        "position": st.integers(-1, 2**32) | _wrong,
        "other": _id,
    },
)
_metadata = st.fixed_dictionaries(
    {},
    optional={
        "rating": _number,
        "price": _number,
        "watch_duration": _number,
        "total_duration": _number,
        "items": st.lists(_id | _wrong, max_size=3) | st.just(["a"] * 101) | _wrong,
        "to": st.sampled_from(["a", "b", "c", 1]),
        "free": _wrong | st.dictionaries(_id.map(str), _wrong, max_size=2) | st.just("y" * 9000),
    },
)
_body = st.fixed_dictionaries(
    {
        "user_id": _id,
        "event_type": st.sampled_from(["view", "rating", "purchase", "search", "impression", "share", "like", "nope"]),
    },
    optional={
        "item_id": _id | _wrong,
        "event_id": _id | _wrong,
        "timestamp": st.sampled_from(
            ["2023-11-14T22:13:20+01:00", "2023-11-14T22:13:20Z", "2023-11-14", "1969-01-01T00:00:00Z", "x", "", 5]
        )
        | _wrong,
        "context": _context | _wrong,
        "metadata": _metadata | _wrong,
        "other": _id,
    },
)


@settings(max_examples=1_000, deadline=None)
@given(_body)
def test_the_quick_reader_accepts_exactly_what_the_careful_one_accepts(body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    assert same(quick_event(data, RULES, NOW), careful(data))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=30) | _body.map(lambda body: json.dumps(body).encode()[:-3]))
def test_bytes_that_are_no_call_are_left_to_the_careful_reader(data: bytes) -> None:
    quick = quick_event(data, RULES, NOW)
    assert quick is None or same(quick, careful(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"user_id": "\xff", "item_id": "i", "event_type": "view"}',
        b'{"user_id": "\\ud800", "item_id": "i", "event_type": "view"}',
        b'{"user_id": "u", "item_id": "i", "event_type": "view", "metadata": {"x": ' + b"[" * 900 + b"]" * 900 + b"}}",
        b'{"user_id": "u", "item_id": "i", "event_type": "view", "metadata": {"x": NaN}}',
        b'{"user_id": "u", "item_id": "i", "event_type": "view"} x',
        b'{"user_id": 1.0, "item_id": "i", "event_type": "view"}',
    ],
)
def test_what_no_reader_accepts(data: bytes) -> None:
    assert quick_event(data, RULES, NOW) is None
    assert careful(data) is None


def test_the_last_of_a_repeated_field_counts_in_both() -> None:
    data = b'{"user_id": "a", "item_id": "i", "event_type": "view", "user_id": "b"}'
    found = quick_event(data, RULES, NOW)
    assert found is not None
    assert found.user_id == "b"
    assert same(found, careful(data))


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_batch_is_read_as_its_events_and_whole_or_not_at_all(wrapped: bool) -> None:
    def read(events: list[Any]) -> list[Interaction] | None:
        return quick_events(json.dumps({"events": events} if wrapped else events).encode(), RULES, NOW, 3)

    found = read([GOOD, {**GOOD, "user_id": 7}])
    assert found is not None
    assert [event.user_id for event in found] == ["u", "7"]
    for bad in ([], [GOOD] * 4, [GOOD, {**GOOD, "event_type": "nope"}], [GOOD, 5]):
        assert read(bad) is None
