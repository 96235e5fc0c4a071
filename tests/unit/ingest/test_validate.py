"""Every rule of the track call, each with the field that breaks it."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindred.core.config import decode
from kindred.core.errors import ConfigError, InvalidInput
from kindred.core.event import Interaction, decode_event, encode_event
from kindred.ingest.event_types import EventRules, EventTypeConfig, EventTypesConfig, MetadataRule
from kindred.ingest.plan import check_event
from kindred.ingest.validate import TrackCall, read_track

NOW = 1_700_000_000_000
RULES = EventRules()
GOOD = {"user_id": "u", "item_id": "i", "event_type": "view"}


def test_the_smallest_call():
    """Time is arrival, the id is made here."""
    event = read_track(GOOD, RULES, NOW)
    assert (event.user_id, event.item_id, event.event_type) == ("u", "i", "view")
    assert event.timestamp == event.ingested_at == NOW
    assert event.event_id.startswith("evt_")
    assert event.event_id != read_track(GOOD, RULES, NOW).event_id


def test_the_largest_call():
    """Everything given is kept."""
    body = {
        **GOOD,
        "user_id": 12345,
        "event_type": "rating",
        "timestamp": "2023-11-14T22:13:20+01:00",
        "event_id": "mine",
        "context": {"device": "tv", "page": "home", "position": 3, "session_id": 77, "request_id": "rec_1"},
        "metadata": {"rating": 4.5, "note": {"deep": [1, None, "x"]}},
    }
    event = read_track(body, RULES, NOW)
    assert event.user_id == "12345"
    assert event.timestamp == NOW - 3_600_000
    assert event.event_id == "mine"
    assert event.context.session_id == "77"
    assert event.context.position == 3
    assert event.metadata["rating"] == 4.5


def test_a_search_needs_no_item():
    """All other events do."""
    assert read_track({"user_id": "u", "event_type": "search"}, RULES, NOW).item_id == ""


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"user_id": None}, "/user_id", "required"),
        ({"item_id": None}, "/item_id", "required"),
        ({"event_type": None}, "/event_type", "required"),
        ({"user_id": ""}, "/user_id", "1 to 128"),
        ({"user_id": "x" * 129}, "/user_id", "has 129"),
        ({"user_id": "ü" * 128 + ""}, None, None),
        ({"user_id": "a\x00b"}, "/user_id", "control"),
        ({"user_id": "\ud800"}, "/user_id", "Unicode"),
        ({"user_id": True}, "/user_id", "true or false"),
        ({"user_id": 1.5}, "/user_id", "whole number"),
        ({"item_id": ["i"]}, "/item_id", "a list"),
        ({"event_type": "vew"}, "/event_type", "`view`"),
        ({"event_type": 3}, "/event_type", "string"),
        ({"timestamp": "yesterday"}, "/timestamp", "ISO-8601"),
        ({"timestamp": "2023-11-14T22:13:20"}, "/timestamp", "zone"),
        ({"timestamp": 1_700_000_000}, "/timestamp", "ISO-8601"),
        ({"timestamp": "1969-12-31T00:00:00Z"}, "/timestamp", "1970"),
        ({"timestamp": "2023-11-14T22:18:21Z"}, "/timestamp", "300 seconds"),
        ({"timestamp": "2023-11-14T22:18:20Z"}, None, None),
        ({"userid": "u"}, "/userid", "`user_id`"),
        ({"a/b~c": 1}, "/a~1b~0c", "unknown"),
        ({"context": []}, "/context", "object"),
        ({"context": {"positon": 1}}, "/context/positon", "`position`"),
        ({"context": {"position": -1}}, "/context/position", "whole number"),
        ({"context": {"position": 1.5}}, "/context/position", "whole number"),
        ({"context": {"device": "x" * 129}}, "/context/device", "128"),
        ({"metadata": "x"}, "/metadata", "object"),
        ({"metadata": {str(n): n for n in range(65)}}, "/metadata", "65 keys"),
        ({"metadata": {"x": 2**70}}, "/metadata", "cannot be kept"),
        ({"metadata": {"x": json.loads("[" * 900 + "]" * 900)}}, "/metadata", "nested"),
        ({"metadata": {"x": "y" * 9000}}, "/metadata", "8192"),
        ({"event_type": "rating"}, "/metadata/rating", "required"),
        ({"event_type": "rating", "metadata": {"rating": "5"}}, "/metadata/rating", "number"),
        ({"event_type": "rating", "metadata": {"rating": True}}, "/metadata/rating", "number"),
        ({"event_type": "rating", "metadata": {"rating": 10.1}}, "/metadata/rating", "at most 10"),
        ({"event_type": "rating", "metadata": {"rating": -0.1}}, "/metadata/rating", "at least 0"),
        ({"event_type": "rating", "metadata": {"rating": float("nan")}}, "/metadata/rating", "finite"),
        ({"event_type": "rating", "metadata": {"rating": float("inf")}}, "/metadata/rating", "finite"),
        ({"metadata": {"watch_duration": -1}}, "/metadata/watch_duration", "at least 0"),
        ({"event_type": "purchase", "metadata": {"price": "free"}}, "/metadata/price", "number"),
    ],
)
def test_each_rule_names_its_field(change, pointer, says):
    """The fault points at the field and says what to do; a None pointer means that it is accepted."""
    body = {**GOOD, **change}
    if pointer is None:
        assert isinstance(read_track(body, RULES, NOW), Interaction)
        return
    with pytest.raises(InvalidInput) as caught:
        read_track(body, RULES, NOW)
    assert [fault.pointer for fault in caught.value.faults] == [pointer]
    assert says in caught.value.faults[0].detail


def test_all_faults_are_named_at_once():
    """One answer is enough to mend a body."""
    body = {"user_id": "", "event_type": "vew", "timestamp": "x", "colour": 1, "context": {"position": "x"}}
    with pytest.raises(InvalidInput) as caught:
        read_track(body, RULES, NOW)
    pointers = {fault.pointer for fault in caught.value.faults}
    assert pointers == {"/user_id", "/event_type", "/timestamp", "/colour", "/context/position"}


@pytest.mark.parametrize("body", [None, [], "x", 3, True])
def test_a_body_that_is_no_object_is_refused(body):
    """Wrong JSON types have their sentence."""
    with pytest.raises(InvalidInput, match="must be an object"):
        read_track(body, RULES, NOW)


def test_a_fault_points_into_the_batch():
    """The pointer of a body goes before that of its field."""
    with pytest.raises(InvalidInput) as caught:
        read_track({**GOOD, "user_id": ""}, RULES, NOW, "/events/1")
    assert caught.value.faults[0].pointer == "/events/1/user_id"
    with pytest.raises(InvalidInput) as caught:
        read_track(7, RULES, NOW, "/events/2")
    assert caught.value.faults[0].pointer == "/events/2"


def test_event_types_are_configured():
    """More types with their own metadata, and a narrower rating."""
    rules = EventRules(
        decode(
            EventTypesConfig,
            {
                "types": {
                    "share": {"metadata": {"friends": {"required": True, "whole": True}}},
                    "rating": {"metadata": {"rating": {"maximum": 5}}},
                }
            },
            "events",
        )
    )
    assert "share" in rules.names
    assert read_track({**GOOD, "event_type": "share", "metadata": {"friends": 2}}, rules, NOW).event_type == "share"
    with pytest.raises(InvalidInput, match="whole number"):
        read_track({**GOOD, "event_type": "share", "metadata": {"friends": 2.5}}, rules, NOW)
    with pytest.raises(InvalidInput, match="at most 5"):
        read_track({**GOOD, "event_type": "rating", "metadata": {"rating": 5.5}}, rules, NOW)
    with pytest.raises(ConfigError, match="did you mean `metadata_keys`"):
        decode(EventTypesConfig, {"metadata_key": 1}, "events")
    assert MetadataRule().minimum == 0.0


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_fields = st.sampled_from([field.encode_name for field in msgspec.structs.fields(TrackCall)] + ["other"])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_fields, _json | st.sampled_from(["view", "rating", "u1"]), max_size=8))
def test_any_body_is_an_event_or_a_fault(body):
    """No body raises anything but InvalidInput, and what passes can be logged and folded."""
    try:
        event = read_track(json.loads(json.dumps(body)), RULES, NOW)
    except InvalidInput as error:
        faults = error.faults
    else:
        check_event(event)
        assert decode_event(encode_event(event)) == event
        return
    assert faults


@pytest.mark.parametrize("types", [{}, {"purchase": {}}, {"purchase": {"price": MetadataRule(minimum=None)}}])
@pytest.mark.parametrize("price", [1e10, -1e10, "many"])
def test_no_price_is_accepted_that_could_not_be_folded(
    types: dict[str, dict[str, MetadataRule]], price: object
) -> None:
    """However far the settings open the rules of an event type, what is accepted is folded later."""
    rules = EventRules(EventTypesConfig(types={name: EventTypeConfig(metadata=keys) for name, keys in types.items()}))
    with pytest.raises(InvalidInput) as caught:
        read_track({**GOOD, "event_type": "purchase", "metadata": {"price": price}}, rules, NOW)
    assert [fault.pointer for fault in caught.value.faults] == ["/metadata/price"]


def test_the_most_that_settings_allow_ahead_is_folded() -> None:
    """An hour is what the fold takes."""
    rules = EventRules(decode(EventTypesConfig, {"ahead": 3600}, "events"))
    check_event(read_track({**GOOD, "timestamp": "2023-11-14T23:13:20Z"}, rules, NOW))
    with pytest.raises(ConfigError, match="3600"):
        decode(EventTypesConfig, {"ahead": 3601}, "events")


def test_a_configured_name_that_no_event_may_have() -> None:
    """It is refused at the start, and not event by event."""
    with pytest.raises(ConfigError, match="64 characters"):
        EventRules(EventTypesConfig(types={"x" * 65: EventTypeConfig()}))


def test_a_flood_of_unknown_fields_is_answered_shortly() -> None:
    """The first twenty are named, beside the fields that are required."""
    with pytest.raises(InvalidInput) as caught:
        read_track({f"user_ix{number}": 1 for number in range(1000)}, RULES, NOW)
    assert len(caught.value.faults) == 22
