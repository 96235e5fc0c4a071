"""Merges, handovers, removals, exposures and sessions: the same in any order of arrival that may happen."""

import math
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.features.acts import SMALL, START_TIME, acts, cuts, meaning

from kindred.core.position import START, Position
from kindred.features.changes import (
    Act,
    Erasure,
    Forgetting,
    Handing,
    Handoff,
    MergeInto,
    Rekeyed,
    Removal,
    Shown,
)
from kindred.features.counters import ENTRY
from kindred.features.groups import FoldConfig
from kindred.features.item_counters import CREDITED_CLICKS, CREDITED_CONVERSIONS, CREDITED_DWELL_MS, SUMS
from kindred.features.sessions import add_session, session_list
from kindred.features.user_fold import Person, fold_user, fold_users
from kindred.features.users import decode_user, encode_user

MINUTE = 60_000
CONFIG = FoldConfig()


def at(offset):
    """Return a position."""
    return Position(0, 0, offset)


def fold(changes, batches=(), config=CONFIG):
    """Fold changes batch by batch through the codec; return the last record and everything handed on."""
    record, folded, forgotten, out, forward, credits = None, START, 0, [], [], []
    for batch in cuts(changes, batches):
        (made,) = fold_users([Person("anon", record, folded, batch, forgotten)], config)
        forgotten = made.forgotten
        record, folded = decode_user(encode_user(made.record)), made.position or folded
        out += made.outgoing
        forward += made.forward
        credits += made.credits
    return record, out, forward, credits


@settings(max_examples=60, deadline=None)
@given(acts(duplicates=False, late=False), acts(duplicates=False, late=False), st.integers(0, 30), st.integers(0, 30))
def test_a_merge_gives_what_one_user_would_have(anonymous, known, sealed, handed):
    """Wherever in the known user's events the record arrives, and however the batches were cut."""
    both = [replace(act, event=act.event + 10_000) for act in known]
    last = START_TIME + 100_000
    anonymous, both = ([replace(act, arrival=last) for act in each] for each in (anonymous, both))
    changes = [*anonymous, MergeInto(at(len(anonymous)), "m1", "known")]
    record, out, _, _ = fold(changes, [sealed], SMALL)
    assert record.alias == "known"
    assert meaning(record)[:3] == ([], [], 0)
    (handing,) = out
    arriving = [*both[:handed], Handoff(START, "m1", "anon", handing.record), *both[handed:]]
    arriving = [replace(change, position=at(place)) for place, change in enumerate(arriving)]
    twice = [*arriving, Handoff(at(len(arriving)), "m1", "anon", handing.record)]
    merged = fold(twice, [handed], SMALL)[0]
    alone = [replace(act, position=at(place)) for place, act in enumerate([*anonymous, *both])]
    whole = fold(alone, [], SMALL)[0]
    expected = meaning(whole) if whole else ([], [], 0, None, {}, [])
    assert meaning(merged) == expected
    assert merged.merged == ["m1"]


def test_what_a_sealed_user_does_goes_to_the_known_one():
    """Every later event is told again under the known user's name, and counts there alone."""
    act = Act(at(1), 5, START_TIME, 1, "view", START_TIME, math.nan)
    shown = Shown(at(2), 6, START_TIME, START_TIME, (1, 2))
    changes = [MergeInto(at(0), "m1", "known"), act, shown, Removal(at(3), 1)]
    for batches in ([], [1], [1, 2]):
        record, out, forward, credits = fold(changes, batches)
        assert [type(each) for each in out] == [Handing, Rekeyed, Rekeyed, Rekeyed]
        assert [each.position.offset for each in out[1:]] == [1, 2, 3]
        assert forward == credits == []
        assert record.interactions == 0


def test_two_merges_into_one_another_come_to_an_end():
    """Both were accepted before either was folded: one user stays, with both histories, the other is their alias."""
    records, folded, queue = {"a": None, "b": None}, {"a": START, "b": START}, []
    for number, user in enumerate("ab"):
        queue.append((user, Act(START, number, START_TIME, number, "view", START_TIME, math.nan)))
    queue += [("a", MergeInto(START, "m1", "b")), ("b", MergeInto(START, "m2", "a"))]
    for place in range(50):
        if not queue:
            break
        user, change = queue.pop(0)
        change = replace(change, position=at(place))
        made = fold_user(user, records[user], folded[user], [change], CONFIG)
        records[user], folded[user] = made.record, made.position or folded[user]
        for out in made.outgoing:
            if isinstance(out, Handing):
                queue.append((out.into, Handoff(START, out.merge_id, user, out.record)))
            else:
                queue.append((out.into, change))
    assert not queue
    assert records["a"].alias is None
    assert records["b"].alias == "a"
    assert records["a"].seen_items().tolist() == [0, 1]
    assert records["a"].interactions == 2


def seen(number, arrival):
    """Return a view that arrived at some time."""
    return Act(at(number), number, arrival, number, "view", arrival, math.nan)


def test_a_handover_told_twice_counts_once_though_it_is_passed_on():
    """The second telling comes when whom it was meant for has been handed over, with what the first one brought."""
    first = fold([seen(0, 10), MergeInto(at(1), "m1", "b")])[1][0]
    told = Handoff(at(0), "m1", "a", first.record, 20)
    handing, passed = fold([told, MergeInto(at(1), "m2", "known"), replace(told, position=at(2))])[1]
    assert (type(passed), passed.into) == (Rekeyed, "known")
    record = fold([Handoff(at(0), "m2", "b", handing.record, 20), replace(told, position=at(1))])[0]
    assert (record.interactions, record.merged) == (1, ["m1", "m2"])


def test_who_is_forgotten_takes_their_anonymous_users_along():
    """Each of them, those of a chain too, once each; what follows from an erasure is told again to no effect."""
    first = fold([seen(0, 10), MergeInto(at(1), "m1", "b")])[1][0]
    second = fold([Handoff(at(0), "m1", "a", first.record, 20), MergeInto(at(1), "m2", "known")])[1][0]
    handed = [Handoff(at(0), "m2", "b", second.record, 30), Handoff(at(1), "m3", "c", first.record, 40)]
    for batches in ([], [1], [2]):
        record, out, _, _ = fold([*handed, Erasure(at(2), 50)], batches)
        assert record is None
        assert out == [Forgetting(at(2), user, 50) for user in ("a", "b", "c")]
    sealed = [MergeInto(at(0), "m1", "known"), Erasure(at(1), 50, follows=True), seen(2, 60)]
    again = [*sealed, Erasure(at(3), 50, follows=True)]
    for changes in (sealed, again):
        record, out, _, _ = fold(changes, [2])
        assert (record.alias, record.interactions, record.forgotten) == (None, 1, 50)
        assert [type(each) for each in out] == [Handing]
    assert fold([*again, Erasure(at(4), 55)])[0] is None, "a person's own request counts whenever it comes"


def test_what_was_on_its_way_to_who_is_forgotten_is_forgotten():
    """A record or an event that arrived before the request and is told after it; what arrives later counts."""
    brought = fold([seen(0, 10), MergeInto(at(1), "m1", "known")])[1][0]
    late = [Erasure(at(1), 50), Handoff(at(2), "m1", "anon", brought.record, 40), seen(3, 49), seen(4, 50)]
    record, out, _, _ = fold([seen(0, 5), *late], [1, 2])
    assert record.seen_items().tolist() == [4]
    assert out == [Forgetting(at(2), "anon", 50)]
    later = Handoff(at(2), "m1", "anon", brought.record, 51)
    record, out, _, _ = fold([Erasure(at(1), 50), later])
    assert (record.seen_items().tolist(), record.aliases, out) == ([0], ["anon"], [])


def test_the_first_merge_of_a_user_wins():
    """A second one into someone else is refused, one into the same user changes nothing."""
    changes = [MergeInto(at(0), "m1", "ann"), MergeInto(at(1), "m2", "bob"), MergeInto(at(2), "m3", "ann")]
    made = fold_user("anon", None, START, changes, CONFIG)
    assert (made.record.alias, made.refused, len(made.outgoing)) == ("ann", [at(1)], 1)


def test_removing_an_item_and_taking_back_a_like():
    """The item leaves rows and seen items; a like alone leaves the rest of them."""
    rows = [("view", 1), ("like", 1), ("view", 2)]
    changes = [Act(at(n), n, START_TIME, item, kind, START_TIME + n, math.nan) for n, (kind, item) in enumerate(rows)]
    unliked = fold([*changes, Removal(at(3), 1, reactions=True)])[0]
    assert unliked.rows().event_types() == ["view", "view"]
    assert unliked.seen_items().tolist() == [1, 2]
    removed = fold([*changes, Removal(at(3), 1)])[0]
    assert removed.rows().items.tolist() == removed.seen_items().tolist() == [2]


@given(st.lists(st.integers(0, 40), max_size=40), st.integers(0, 1_000))
def test_sessions_do_not_depend_on_order(minutes, seed):
    """Moments in any order give the intervals that their order in time gives; a late one joins two."""
    shuffled = minutes.copy()
    random.Random(seed).shuffle(shuffled)

    def sessions(order):
        intervals = b""
        for minute in order:
            intervals = add_session(intervals, minute * 10 * MINUTE, 30 * MINUTE, 60).intervals
        return session_list(intervals)

    assert sessions(shuffled) == sessions(sorted(minutes))


def credited(forward, code):
    """Return what items were credited with in all."""
    entries = np.concatenate([np.frombuffer(act.extra, ENTRY) for act in forward] or [np.empty(0, ENTRY)])
    return int(entries["amount"][entries["slot"] == SUMS.first + code].sum())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 12), max_size=4))
def test_attribution_does_not_depend_on_order(seed, batches):
    """Exposures and outcomes in any order of arrival give the same credits, each exposure once."""
    dice = random.Random(seed)
    told = []
    for number in range(12):
        when = START_TIME + dice.randrange(20) * 60 * MINUTE
        request = dice.randrange(1, 4)
        if dice.random() < 0.5:
            items = tuple(dice.sample(range(4), 2))
            told.append(Shown(START, 100 * number, 0, when, items, request, f"p{request}", 0, dice.random() < 0.5))
        else:
            kind = dice.choice(["click", "purchase", "view"])
            watch = 7.0 if kind == "view" else math.nan
            told.append(
                Act(START, number, 0, dice.randrange(4), kind, when, math.nan, watch, dice.choice([0, request]))
            )
    shuffled = told.copy()
    dice.shuffle(shuffled)

    def totals(order, cut):
        arrival = START_TIME + 21 * 60 * MINUTE
        placed = [replace(change, position=at(place), arrival=arrival) for place, change in enumerate(order)]
        _, _, forward, credits = fold(placed, cut)
        by_place = {}
        for credit in credits:
            before = by_place.get((credit.placement, credit.slot), np.zeros(4, int))
            counts = (credit.exposures, credit.clicks, credit.conversions, credit.dwell_ms)
            by_place[credit.placement, credit.slot] = before + counts
        codes = (CREDITED_CLICKS, CREDITED_CONVERSIONS, CREDITED_DWELL_MS)
        shown = {place: counts.tolist() for place, counts in by_place.items() if counts.any()}
        return [credited(forward, code) for code in codes], sum(act.exposed for act in forward), shown

    assert totals(told, []) == totals(shuffled, batches)


def test_a_click_is_credited_by_its_request_or_else_to_the_last_exposure():
    """By request where one is named, within a day, once per exposure."""
    changes = [
        Shown(at(0), 1, START_TIME, START_TIME, (1, 2), 7, "home"),
        Shown(at(1), 2, START_TIME, START_TIME + MINUTE, (1,), 8, "shop"),
        Act(at(2), 3, START_TIME, 1, "click", START_TIME + 2 * MINUTE, math.nan, request=7),
        Act(at(3), 4, START_TIME, 1, "click", START_TIME + 3 * MINUTE, math.nan, request=7),
        Act(at(4), 5, START_TIME, 1, "purchase", START_TIME + 4 * MINUTE, math.nan),
        Act(at(5), 6, START_TIME, 3, "click", START_TIME + 4 * MINUTE, math.nan),
    ]
    _, _, forward, credits = fold(changes)
    outcomes = [(c.placement, c.slot, c.clicks, c.conversions) for c in credits if not c.exposures]
    assert outcomes == [("home", 0, 1, 0), ("shop", 0, 0, 1)]
    assert credited(forward, CREDITED_CLICKS) == 1


def gained(credits):
    """Return by placement which exposures and clicks it was credited with in all."""
    totals = {}
    for credit in credits:
        exposures, clicks = totals.get(credit.placement, (0, 0))
        totals[credit.placement] = exposures + credit.exposures, clicks + credit.clicks
    return totals


def shown_and_clicked(many, config):
    """Show an item at each of `many` placements, a minute from one to the next, and click it after each."""
    changes = []
    for number in range(many):
        when = START_TIME + number * MINUTE
        changes += [
            Shown(at(2 * number), number + 1, when, when, (number,), number + 1, f"p{number}"),
            Act(at(2 * number + 1), many + number + 1, when, number, "click", when, math.nan, request=number + 1),
        ]
    return fold(changes, [100], config)


def test_a_placement_is_forgotten_with_its_last_exposure():
    """However many names a client makes up: each gets its own clicks, and a record keeps those that it may need."""
    record, _, _, credits = shown_and_clicked(600, replace(CONFIG, exposures=8, outcomes=1_000))
    assert gained(credits) == {f"p{number}": (1, 1) for number in range(600)}
    assert len(record.places) <= 9


def test_placements_over_the_limit_count_as_one_without_a_name():
    """Their exposures and their clicks go to the same place, and to none of the others."""
    record, _, _, credits = shown_and_clicked(300, replace(CONFIG, exposures=1_000, outcomes=1_000))
    assert gained(credits) == {**{f"p{number}": (1, 1) for number in range(254)}, "": (46, 46)}
    assert len(record.places) == 255


def test_a_merge_keeps_the_placements_of_both():
    """Numbers that were free at the known user's go to the anonymous one's placements, one to each."""
    config = replace(CONFIG, exposures=8)
    few = [Shown(at(number), number + 1, START_TIME, START_TIME, (number,), 0, f"a{number}") for number in range(3)]
    many = [Shown(at(n), n + 1, START_TIME, START_TIME - MINUTE * (20 - n), (n,), 0, f"k{n}") for n in range(20)]
    (_, (handing,), _, _) = fold([*few, MergeInto(at(3), "m1", "known")], config=config)
    record, *_ = fold([*many, Handoff(at(20), "m1", "anon", handing.record)], config=config)
    clicks = [
        Act(at(21 + item), 100 + item, START_TIME, item, "click", START_TIME + MINUTE, math.nan) for item in range(3)
    ]
    (made,) = fold_users([Person("known", record, at(20), clicks)], config)
    assert gained(made.credits) == {f"a{number}": (0, 1) for number in range(3)}
