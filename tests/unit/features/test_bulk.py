"""The vectorised folds against the live ones."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.unit.features.acts import SMALL, acts, cuts, meaning

from kindred.core.position import START, Position
from kindred.core.profile import Profile
from kindred.features.bulk import ItemTally, bulk_users
from kindred.features.changes import Act, ItemAct, Shown
from kindred.features.history import HistoryRows
from kindred.features.item_blocks import ACTIVE_HOURS, kept_buckets, read_blocks
from kindred.features.items import ItemRecord, fold_item
from kindred.features.user_fold import fold_user
from kindred.features.users import merge_user

NAMES = ("dislike", "impression", "view", "rating", "click", "search", "purchase")


def columns(all_acts) -> HistoryRows:
    """Turn acts into columns in the order given, as an import would."""
    return HistoryRows(
        np.array([act.item for act in all_acts], np.int32),
        np.array([act.timestamp for act in all_acts], np.int64),
        np.array([NAMES.index(act.event_type) for act in all_acts], np.uint8),
        np.array([act.value for act in all_acts], np.float32),
        NAMES,
    )


def on_time(all_acts: list[Act]) -> list[Act]:
    """Let imported rows arrive when they happened, and leave out those without an item."""
    kept = [replace(act, arrival=act.timestamp) for act in all_acts if act.item >= 0]
    return [replace(act, position=Position(0, 0, place)) for place, act in enumerate(kept)]


def told(all_acts: list[Act]) -> list[Act | Shown]:
    """Tell impressions as what was shown."""
    return [
        Shown(act.position, act.event, act.arrival, act.timestamp, (act.item,))
        if act.event_type == "impression"
        else act
        for act in all_acts
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(acts(duplicates=False).map(on_time), min_size=1, max_size=4))
def test_bulk_users_equal_live_users(users):
    """One vectorised fold of several users says what folding event by event says."""
    starts = np.cumsum([0, *map(len, users)]).astype(np.int64)
    records = list(bulk_users(columns([act for user in users for act in user]), starts, [], SMALL))
    assert len(records) == len(users)
    for record, user in zip(records, users, strict=True):
        live = fold_user("u", None, START, told(user), SMALL).record
        assert meaning(record) == meaning(live) or (live is None and meaning(record) == ([], [], 0, None, {}, []))


@settings(max_examples=60, deadline=None)
@given(acts(duplicates=False).map(on_time), st.integers(0, 30))
def test_a_bulk_fold_joins_a_live_record(all_acts, cut):
    """Some rows live, the others imported, is all of them live."""
    live, imported = all_acts[:cut], all_acts[cut:]
    before = fold_user("u", None, START, told(live), SMALL).record
    starts = np.array([0, len(imported)], np.int64)
    (added,) = bulk_users(columns(imported), starts, [Profile(user_id="u", country="DE")], SMALL)
    joined = merge_user(before, added, SMALL)
    whole = fold_user("u", None, START, told(all_acts), SMALL).record
    assert joined.profile == Profile(user_id="u", country="DE")
    assert meaning(joined)[:3] == (meaning(whole)[:3] if whole else ([], [], 0))
    assert meaning(joined)[4:] == (meaning(whole)[4:] if whole else ({}, []))
    assert joined.recent_events == (before.recent_events if before else b"")


@settings(max_examples=60, deadline=None)
@given(acts(duplicates=False).map(on_time), st.lists(st.integers(0, 30), max_size=4))
def test_a_tally_in_parts_equals_the_live_items(all_acts, points):
    """Items counted by columns, part by part, are items counted one by one."""
    tally = ItemTally(SMALL)
    for part in cuts(all_acts, points):
        tally.add(columns(part))
    live: dict[int, ItemRecord] = {}
    for act in all_acts:
        exposed = act.event_type in SMALL.impressions
        one = ItemAct(act.position, act.item, act.event_type, act.timestamp, act.value, exposed=exposed)
        folded = fold_item(live.get(act.item, ItemRecord()), [one], SMALL)
        assert folded is not None
        live[act.item] = folded
    imported = {item: imported_item(data) for item, data in tally.counters()}
    assert {item: (record.cells, record.types) for item, record in imported.items()} == {
        item: (record.cells, record.types) for item, record in live.items()
    }


def imported_item(counters: bytes) -> ItemRecord:
    """Return the record that an import of counters makes."""
    record = fold_item(ItemRecord(), [ItemAct(Position(0, 0, 0), 0, "", -1, extra=counters)], SMALL)
    assert record is not None
    return record


def test_rows_without_time_are_the_oldest_and_fill_no_bucket():
    """-1 sorts behind every time; windows never see it."""
    rows = HistoryRows(
        np.array([4, 5], np.int32),
        np.array([-1, 10], np.int64),
        np.zeros(2, np.uint8),
        np.full(2, np.nan, np.float32),
        ("view",),
    )
    (record,) = bulk_users(rows, np.array([0, 2], np.int64), [], SMALL)
    assert record.rows().items.tolist() == [5, 4]
    tally = ItemTally(SMALL)
    tally.add(rows)
    found = {item: imported_item(data) for item, data in tally.counters()}
    assert found[4].count("view") == found[5].count("view") == 1
    blocks = read_blocks([found[4].cells, found[5].cells])
    assert kept_buckets(blocks, ACTIVE_HOURS).counts.sum(axis=2).tolist() == [[0], [1]]


def test_a_user_without_rows_keeps_the_profile():
    """An import of profiles alone makes records of them."""
    profile = Profile(user_id="u")
    records = list(bulk_users(HistoryRows.empty(), np.zeros(3, np.int64), [profile, None], SMALL))
    assert [record.profile for record in records] == [profile, None]
    assert records[0].interactions == 0
