"""Values of the replay equal those of the live fold, and windows equal a count of the raw events."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.features.acts import START_TIME, acts

from kindred.core.clock import DAY, HOUR
from kindred.core.item import Item
from kindred.core.position import Position
from kindred.core.profile import Profile
from kindred.core.query import Context
from kindred.features.changes import Erasure, Handoff, MergeInto, ProfileChange, Removal, Shown
from kindred.features.items import decode_item, encode_item
from kindred.features.offline import Arrival, Moment, Replay, values_at
from kindred.features.users import decode_user, encode_user
from kindred.features.values.attributes import attributes_of

ORDINALS = np.arange(10, dtype=np.int32)
CATALOGUE = attributes_of(
    [
        Item(item_id=str(n), categories=["AB"[n % 2], "C"], tags=["xyz"[n % 3]], price=n + 0.5, created=START_TIME - n)
        for n in range(8)
    ]
)


@st.composite
def histories(draw):
    """Draw changes of an anonymous user `a`, who turns out to be `k`, and of `k`, in order of arrival."""
    found = []
    for number, act in enumerate(draw(acts(most=40))):
        user = draw(st.sampled_from(["a", "k"]))
        position = Position(0, 0, number)
        change = replace(act, position=position)
        match draw(st.integers(0, 11)):
            case 0:
                change = Removal(position, draw(st.integers(0, 9)), draw(st.booleans()))
            case 1:
                change = Shown(position, 900 + number, act.arrival, act.timestamp, (1, 2, 3), 0, "home")
            case 2:
                change = ProfileChange(position, Profile(user_id=user, timezone="Asia/Tokyo", birth_year=1990))
            case 3 if draw(st.booleans()):
                change = Erasure(position)
            case 4:
                user, change = "a", MergeInto(position, "m", "k")
        found.append(Arrival(act.arrival, user, change))
    return handed_over(found)


def handed_over(arrivals):
    """Put the handoff that a merge makes behind it, as the consumer does, a millisecond later."""
    replay, whole = Replay(), []
    for place, (arrival, user, change) in enumerate(arrivals):
        moved = replace(change, position=Position(0, 0, 2 * place))
        whole.append(Arrival(arrival, user, moved))
        for fold in replay.fold(whole[-1:]):
            for out in fold.outgoing:
                if hasattr(out, "record"):
                    position = Position(0, 0, 2 * place + 1)
                    whole.append(Arrival(arrival + 1, out.into, Handoff(position, out.merge_id, user, out.record)))
                    replay.fold(whole[-1:])
    return whole


def plain(values):
    """Return values in a form that can be compared."""
    entities = (values.user, values.item, values.pair, values.context)
    return [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in entity.items()}
        for entity in entities
    ]


def through_codecs(replay):
    """Write and read every record, as the consumer does between batches."""
    replay.users = {user: decode_user(encode_user(record)) for user, record in replay.users.items()}
    replay.items = {item: decode_item(encode_item(record)) for item, record in replay.items.items()}


@settings(max_examples=60)
@given(histories(), st.data())
def test_the_replay_gives_what_was_served_at_every_moment_of_arrival(arrivals, data):
    """Late events, duplicates, removals, erasures and merges included; batches are cut at random."""
    live, served, moments, batch = Replay(), [], [], []
    for number, arrival in enumerate(arrivals):
        batch.append(arrival)
        last = number + 1 == len(arrivals) or arrivals[number + 1].arrival > arrival.arrival
        if not last and data.draw(st.booleans()):
            live.fold(batch)
            through_codecs(live)
            batch = []
        if last:
            live.fold(batch)
            through_codecs(live)
            batch = []
            for user in ("a", "k"):
                moment = Moment(user, ORDINALS, Context(time=arrival.arrival))
                moments.append(moment)
                served.append(plain(live.values(moment, CATALOGUE)))
    chosen = data.draw(st.lists(st.sampled_from(range(len(moments))), unique=True)) if moments else []
    assert [plain(values) for _, values in values_at(arrivals, moments, CATALOGUE)] == served
    some = {id(moments[n]): served[n] for n in chosen}
    for moment, values in values_at(arrivals, [moments[n] for n in chosen], CATALOGUE):
        assert plain(values) == some[id(moment)]


@settings(max_examples=60)
@given(acts(most=40, duplicates=False, late=False), st.sampled_from([0, 1_000, HOUR, 3 * HOUR, 26 * HOUR, 40 * DAY]))
def test_windows_equal_a_count_of_the_raw_events(found, later):
    """Whole buckets: five minutes for an hour, hours for a day, days for longer ones."""
    as_of = START_TIME + 60_000 + later
    arrivals = [Arrival(act.arrival, "u", act) for act in found]
    ((_, values),) = values_at(arrivals, [Moment("u", ORDINALS, Context(time=as_of))], CATALOGUE)

    def count(kind, width, length, item=None):
        buckets = range((as_of - length) // width, as_of // width + 1)
        return sum(
            act.event_type == kind and item in (None, act.item) and act.timestamp // width in buckets for act in found
        )

    five = HOUR // 12
    for what, kind in (("views", "view"), ("clicks", "click"), ("ratings", "rating")):
        assert values.user[f"{what}_total"] == sum(act.event_type == kind for act in found)
        for window, width, length in (("1h", five, HOUR), ("24h", HOUR, DAY), ("90d", DAY, 90 * DAY)):
            assert values.user[f"{what}_{window}"] == count(kind, width, length)
    for item in ORDINALS.tolist():
        for window, width, length in (
            ("1h", five, HOUR),
            ("24h", HOUR, DAY),
            ("7d", DAY, 7 * DAY),
            ("30d", DAY, 30 * DAY),
        ):
            expected = math.log1p(count("view", width, length, item))
            assert math.isclose(values.item[f"views_{window}"][item], expected)
        assert values.item["clicks_24h"][item] == count("click", HOUR, DAY, item)
        assert values.item["conversions_24h"][item] == count("purchase", HOUR, DAY, item)
    days = {act.timestamp // DAY for act in found if act.event_type != "impression"}
    assert values.user["active_days"] == len(days & set(range(as_of // DAY - 90, as_of // DAY + 1)))
