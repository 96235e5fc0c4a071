"""From events to changes: ordinals, hashes, countries, and what counts as shown."""

import math

import pytest

from kindred.core.event import (
    EventContext,
    HandedOver,
    HistoryRemoved,
    Interaction,
    Merged,
    ProfileErased,
    ProfileUpdated,
    Served,
)
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.features.changes import (
    Act,
    Erasure,
    Handoff,
    MergeInto,
    ProfileChange,
    Removal,
    Shown,
    request_hash,
)
from kindred.features.groups import FoldConfig
from kindred.ingest.exposures import EXPOSURE, Exposures
from kindred.ingest.user_changes import country_of, user_changes, wanted_items

NOW = 1_700_000_000_000
STAMP = {"event_id": "e", "timestamp": NOW, "ingested_at": NOW + 5}
ORDINALS = {"a": 1, "b": 2, "c": 3}
SLATE = {"bundle": "b1", "propensities": [], "sources": []}


def changes(*events, exposures=None, config=None):
    """Return the changes of events that stand one behind the other, by user."""
    people = [(Position(0, 2, n), event) for n, event in enumerate(events)]
    return user_changes(people, ORDINALS, exposures or Exposures({}, ()), config or FoldConfig())


def did(user="u", item="a", kind="view", **other):
    return Interaction(**{**STAMP, "user_id": user, "item_id": item, "event_type": kind, **other})


def shown(placement="home", **other):
    return did(kind="impression", context=EventContext(placement=placement, **other))


def slate(placement="home", items=("a", "c"), **other):
    return Served(
        **{**STAMP, **SLATE, "user_id": "u", "request_id": "r", "placement": placement, "items": list(items)}, **other
    )


def test_a_surface_that_is_not_configured_is_counted_without_a_name():
    """Clients write what they like; the placement of a slate is the server's own word."""
    exposures = Exposures({}, ())
    some = FoldConfig(placements=("home",))
    told = [shown("home"), shown("x" * 255), shown(""), slate("cart")]
    found = changes(*told, exposures=exposures, config=some)["u"]
    assert [change.placement for change in found] == ["home", "", "", "cart"]
    assert list(exposures.new) == ["home"]
    assert changes(shown("any"))["u"][0].placement == "any"


def test_every_kind_of_event_has_its_change():
    found = changes(
        did(),
        ProfileUpdated(**STAMP, profile=Profile(user_id="u", country="DE")),
        ProfileErased(**STAMP, user_id="u"),
        HistoryRemoved(**STAMP, user_id="u", item_id="b", reactions=True),
        Merged(**{**STAMP, "event_id": "m1"}, user_id="u", into="k"),
        HandedOver(**STAMP, user_id="k", merge_id="m1", source="u", record=b"r"),
        slate(),
    )
    assert [type(change) for change in found["u"]] == [Act, ProfileChange, Erasure, Removal, MergeInto, Shown]
    assert [change.position.offset for change in found["u"]] == [0, 1, 2, 3, 4, 6]
    assert found["u"][3] == Removal(Position(0, 2, 3), 2, True)
    assert found["u"][4] == MergeInto(Position(0, 2, 4), "m1", "k")
    assert found["k"] == [Handoff(Position(0, 2, 5), "m1", "u", b"r", STAMP["ingested_at"])]


def test_an_act_carries_what_its_context_says():
    context = EventContext(request_id="r7", device="tv", location="de-BE-Berlin", placement="home", position=4)
    ((act,),) = changes(
        did(context=context, metadata={"watch_duration": 30, "total_duration": 60}),
    ).values()
    assert (act.item, act.value, act.watch, act.request) == (1, 0.5, 30.0, request_hash("r7"))
    assert (act.device, act.country, act.arrival, act.timestamp) == ("tv", "DE", NOW + 5, NOW)
    ((plain,),) = changes(did(item="", kind="search")).values()
    assert (plain.item, plain.request, plain.device, plain.country) == (-1, 0, "", "")
    assert math.isnan(plain.watch)
    assert plain.event == act.event


@pytest.mark.parametrize("seconds", [True, "3", -1, 1e300, None, math.nan])
def test_no_number_of_seconds_is_none(seconds):
    ((act,),) = changes(did(metadata={"watch_duration": seconds})).values()
    assert math.isnan(act.watch)


def test_an_impression_is_shown_by_a_client():
    """One item or several, from the slot that its context names; without items it is nothing, but still someone's."""
    several = did(item="", kind="impression", metadata={"items": ["b", "a"]}, context=EventContext(location="US"))
    found = changes(shown(position=3), several, did(item="", kind="impression"))["u"]
    assert [change.items for change in found] == [(1,), (2, 1)]
    assert (found[0].first, found[0].placement, found[0].client) == (3, "home", True)
    assert found[1].country == "US"
    assert changes(did(user="nobody", item="", kind="impression")) == {"nobody": []}


def test_the_server_tells_until_a_client_does():
    """The first client impression of a placement ends it, for that placement alone."""
    found = changes(slate(), shown(), slate(), slate("cart"), shown("cart"), slate("cart"))["u"]
    assert [(change.position.offset, change.client) for change in found] == [
        (0, False),
        (1, True),
        (3, False),
        (4, True),
    ]
    assert found[0].items == (1, 3)


def test_the_switch_is_kept_where_it_happened():
    """A replay of what stands before it counts the server's slates again, a later batch does not."""
    exposures = Exposures({}, ())
    changes(slate(), shown(), exposures=exposures)
    assert exposures.new == {"home": Position(0, 2, 1)}
    (write,) = exposures.writes(2)
    assert write.key == (EXPOSURE, "home/2")
    assert write.record == (Position(0, 2, 1), b"0.2.1")
    again = Exposures(exposures.new, ())
    assert [change.client for change in changes(slate(), shown(), slate(), exposures=again)["u"]] == [False, True]
    assert again.new == {}


def test_what_was_no_exposure_is_none():
    """Prefetched, told by clients alone, or empty."""
    assert changes(slate(exposure=False))["u"] == []
    assert changes(slate(), exposures=Exposures({}, ("home",)))["u"] == []
    assert changes(slate(items=()))["u"] == []


def test_an_item_without_an_id_is_shown_by_its_ordinal():
    """As a server writes it that does not know the id."""
    (shown_items,) = changes(slate(items=("#77", "b")))["u"]
    assert shown_items.items == (77, 2)


def test_what_is_named_by_id_needs_an_ordinal():
    people = [
        (Position(0, 0, 0), event)
        for event in (
            did(),
            did(item="", kind="impression", metadata={"items": ["b", "c"]}),
            HistoryRemoved(**STAMP, user_id="u", item_id="d"),
            slate(items=("x", "#5")),
            slate(items=("z",), exposure=False),
        )
    ]
    assert wanted_items(people) == ["a", "b", "c", "d", "x"]


@pytest.mark.parametrize(
    ("location", "country"),
    [(None, ""), ("", ""), ("DE", "DE"), ("us-CA", "US"), ("DEU", ""), ("d1", ""), ("-DE", ""), ("ÄÖ", "")],
)
def test_a_country_is_the_two_letters_in_front(location, country):
    assert country_of(location) == country
