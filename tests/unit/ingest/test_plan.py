"""From log records to a plan: order, dead letters, import markers."""

import pytest
from msgspec.structs import replace

from kindred.core.errors import InvalidInput
from kindred.core.event import (
    HandedOver,
    HistoryRemoved,
    Imported,
    Interaction,
    ItemDeleted,
    ItemSwitchedOff,
    ItemUpserted,
    Merged,
    ProfileErased,
    ProfileUpdated,
    Served,
    encode_event,
)
from kindred.core.item import Item
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.ingest.plan import check_event, event_value, plan, shown_ids
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
    assert [type(event) for _, event in made.people] == [Interaction, ProfileErased, ProfileUpdated]
    assert [position.offset for position, _ in made.people] == [1, 2, 4]


def test_what_is_switched_off_stays_as_it_was_last_described():
    """Whatever stands before or behind in the run; of items that the run does not describe only the id is known."""
    on, other = (Item(item_id="i", title=title) for title in ("on", "other"))
    off = ItemSwitchedOff(**STAMP, item_id="i")
    upserts = [ItemUpserted(**STAMP, item=each) for each in (on, other)]
    deleted = ItemDeleted(**STAMP, item_id="i")
    made = plan(records(upserts[0], off))
    assert (made.items["i"], made.switched_off) == ((Position(0, 0, 1), replace(on, active=False)), {})
    assert plan(records(off)).switched_off == {"i": Position(0, 0, 0)}
    for behind, item in ((upserts[1], other), (deleted, None)):
        made = plan(records(off, behind))
        assert (made.items, made.switched_off) == ({"i": (Position(0, 0, 1), item)}, {})
    assert plan(records(deleted, off)).items == {"i": (Position(0, 0, 0), None)}


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
    assert len(made.people) == 2
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
    assert second.people == []


@pytest.mark.parametrize(
    ("kind", "metadata", "value"),
    [("rating", {"rating": 4}, 4.0), ("purchase", {"price": 9.5}, 9.5), ("rating", {"rating": 3.5, "price": 1}, 3.5)],
)
def test_an_event_has_one_value(kind, metadata, value):
    """The rating of a rating, the price of a purchase."""
    assert event_value(view(event_type=kind, metadata=metadata)) == value


def test_the_value_of_other_events_is_the_watched_share():
    """Of any other type: what is not watched has none, whatever else stands in the metadata."""
    assert event_value(view(metadata={"watch_duration": 30, "total_duration": 120})) == 0.25
    assert str(event_value(view(metadata={"rating": 4}))) == "nan"
    assert str(event_value(view())) == "nan"
    with pytest.raises(InvalidInput, match="rating"):
        check_event(view(event_type="rating", metadata={"rating": 1e300}))


def test_an_impression_shows_one_item_or_several():
    """Its ids are checked as all ids are."""
    assert shown_ids(view(item="", metadata={"items": ["a", "b"]})) == ["a", "b"]
    assert shown_ids(view(item="i", metadata={"items": ["a"]})) == []
    assert shown_ids(view(item="")) == []
    for wrong in ("a", ["a"] * 101, [""], [4], ["x" * 300]):
        with pytest.raises(InvalidInput, match=r"/metadata/items|1 to 128|at most"):
            check_event(view(item="", event_type="impression", metadata={"items": wrong}))


@pytest.mark.parametrize(
    "event",
    [
        Merged(**STAMP, user_id="a", into="a"),
        Merged(**STAMP, user_id="a", into=""),
        HandedOver(**STAMP, user_id="b", merge_id="m", source="", record=b""),
        HistoryRemoved(**STAMP, user_id="a", item_id=""),
        Served(
            **STAMP,
            user_id="a",
            request_id="r",
            placement="p",
            bundle="b",
            items=["i"] * 1_001,
            propensities=[],
            sources=[],
        ),
    ],
)
def test_what_could_break_a_record_is_refused(event):
    """A user merged into itself, an id that is none, a slate without end."""
    with pytest.raises(InvalidInput):
        check_event(event)
