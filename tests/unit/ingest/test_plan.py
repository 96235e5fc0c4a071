"""From log records to a plan: order, dead letters, import markers."""

import pytest

from kindred.core.errors import InvalidInput
from kindred.core.event import (
    Imported,
    Interaction,
    ItemDeleted,
    ItemUpserted,
    ProfileErased,
    ProfileUpdated,
    encode_event,
)
from kindred.core.item import Item
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.groups import Act, Erasure, ProfileChange
from kindred.ingest.plan import check_event, event_value, plan, user_changes
from kindred.ports.log import LogRecord

NOW = 1_700_000_000_000
STAMP = {"event_id": "e", "timestamp": NOW, "ingested_at": NOW}


def view(user="u", item="i", **other):
    """Build an interaction."""
    return Interaction(**{**STAMP, "user_id": user, "item_id": item, "event_type": "view", **other})


def records(*events):
    """Number events or bytes as log records."""
    return [
        LogRecord(Position(0, 0, n), event if isinstance(event, bytes) else encode_event(event))
        for n, event in enumerate(events)
    ]


def test_records_are_sorted_by_what_they_concern():
    """The last word on an item counts; people's changes keep the log's order."""
    made = plan(
        records(
            ItemUpserted(**STAMP, item=Item(item_id="i", title="old")),
            view(),
            ProfileErased(**STAMP, user_id="u"),
            ItemDeleted(**STAMP, item_id="i"),
            ProfileUpdated(**STAMP, profile=Profile(user_id="u")),
        )
    )
    assert made.end == Position(0, 0, 4)
    assert made.items == {"i": (Position(0, 0, 3), None)}
    changes = user_changes(made, {"i": 4})["u"]
    assert [type(change) for change in changes] == [Act, Erasure, ProfileChange]
    assert [change.position.offset for change in changes] == [1, 2, 4]


def test_unreadable_records_become_letters_and_the_rest_is_planned():
    """Bytes, unknown tags, broken ids and absurd times are set apart, each with its reason."""
    made = plan(
        records(
            b"\xff\x00",
            view(),
            view(user="x" * 300),
            view(timestamp=NOW + 10**10),
            view(event_type="rating", metadata={"rating": "five"}),
            view(event_type=""),
            view(),
        )
    )
    assert [letter.position.offset for letter in made.letters] == [0, 2, 3, 4, 5]
    assert all(letter.reason.startswith("unreadable: ") for letter in made.letters)
    assert len(made.interactions) == 2
    assert made.end == Position(0, 0, 6)


def test_an_import_marker_is_planned_alone():
    """What stands before it is folded first."""
    marker = Imported(**STAMP, import_id="m", source="s")
    first = plan(records(view(), marker, view()))
    assert first.end == Position(0, 0, 0)
    assert first.marker is None
    second = plan(records(view(), marker, view())[1:])
    assert second.marker == (Position(0, 0, 1), marker)
    assert second.end == Position(0, 0, 1)
    assert second.interactions == []


@pytest.mark.parametrize(
    ("kind", "metadata", "value"),
    [("rating", {"rating": 4}, 4.0), ("purchase", {"price": 9.5}, 9.5), ("rating", {"rating": 3.5, "price": 1}, 3.5)],
)
def test_an_event_has_one_value(kind, metadata, value):
    """The rating of a rating, the price of a purchase."""
    assert event_value(view(event_type=kind, metadata=metadata)) == value


def test_other_events_have_no_value():
    """A view's metadata is not read."""
    assert str(event_value(view(metadata={"rating": 4}))) == "nan"
    with pytest.raises(InvalidInput, match="rating"):
        check_event(view(event_type="rating", metadata={"rating": 1e300}))
