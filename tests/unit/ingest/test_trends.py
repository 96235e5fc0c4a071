"""The trend board: what rises, what falls out, what is written when, by category and by country."""

import math

import numpy as np
import pytest

from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.adapters.memory.state import MemoryStateStore
from kindred.core.clock import DAY, HOUR
from kindred.core.errors import StoreUnavailable
from kindred.core.item import Item
from kindred.core.position import Position
from kindred.features.changes import ItemAct
from kindred.features.country_trends import PARTITIONS, decode_country_trends, window_trends_key
from kindred.features.groups import FoldConfig, item_country_key, item_key
from kindred.features.item_acts import Touched
from kindred.features.item_countries import CountryRecord, encode_country
from kindred.features.items import ItemRecord, encode_item, fold_items
from kindred.features.trending_list import decode_trending
from kindred.ingest.items import items_active
from kindred.ingest.trends import TrendBoard, TrendsConfig
from kindred.ports.state import StateRecord, StateWrite

NOW = 1_700_000_000_000 // DAY * DAY + 12 * HOUR


def item(times):
    """Build a record of views."""
    acts = [ItemAct(Position(0, 0, n), 0, "view", time) for n, time in enumerate(times)]
    (record,) = fold_items([Touched(ItemRecord(), acts)], FoldConfig())
    return record


def viewed(times):
    """Return the activity of views."""
    return items_active([item(times)])[0]


async def lists(board, now):
    """Return ordinals by window."""
    writes = await board.writes_if_due(now)
    found = {write.key.key: write.record.value for write in writes}
    return {window: decode_trending(found[window]).columns()[0].tolist() for window in ("1h", "24h", "7d")}


async def local(board, now):
    """Return ordinals by country in the shortest window."""
    (value,) = [write.record.value for write in await board.writes_if_due(now) if write.key.key == "1h@countries"]
    found = decode_country_trends(value).countries
    return {country: each.columns()[0].tolist() for country, each in found.items()}


async def test_a_rise_trends_and_steady_items_do_not():
    """Twenty views now beat a hundred spread over weeks."""
    board = TrendBoard()
    steady = viewed([NOW - n * 6 * HOUR for n in range(100)])
    board.update({3: viewed([NOW] * 20), 5: steady, 8: viewed([NOW])})
    found = await lists(board, NOW)
    assert found["1h"] == [3]
    assert found["24h"][0] == 3
    assert await board.writes_if_due(NOW + 10_000) == []


QUARTER_PAST = NOW + HOUR // 4
BURST = [*[QUARTER_PAST] * 20, *[NOW - HOUR // 2] * 8, *[NOW - 3 * DAY] * 48]
SCORES = {
    # Of the hour before, three quarters are still inside; the 50 others came in the 84 hours before those.
    "1h": (26 - 50 / 84) / math.sqrt(50 / 84 + 5),
    # Known for 3 days and 13 hours: 48 came in the 61 hours before the last 24.
    "24h": (28 - 48 * 24 / 61) / math.sqrt(48 * 24 / 61 + 5),
    # Nothing came before.
    "7d": 76 / math.sqrt(5),
}
COLD = 4 / math.sqrt(5)
"""Four events of an item that nobody knew."""


@pytest.mark.parametrize("window", SCORES)
async def test_scores_are_the_surprise_against_an_items_own_baseline(window):
    """(count - expected) / sqrt(expected + 5), in all and in a country; a new item is expected to do nothing."""
    board = TrendBoard()
    records = {7: viewed(BURST), 9: viewed([QUARTER_PAST] * 4), 4: viewed([QUARTER_PAST] * 2 + [NOW - 30 * DAY] * 900)}
    board.update(records, {(7, "DE"): records[7], (9, "FR"): records[9]})
    found = {write.key.key: write.record.value for write in await board.writes_if_due(QUARTER_PAST)}
    items, scores = decode_trending(found[window]).columns()
    assert items.tolist() == [7, 9]
    assert scores.tolist() == pytest.approx([SCORES[window], COLD], rel=1e-6)
    local = decode_country_trends(found[f"{window}@countries"]).countries
    assert {country: [*map(np.ndarray.tolist, each.columns())] for country, each in local.items()} == {
        "DE": [[7], pytest.approx([SCORES[window]], rel=1e-6)],
        "FR": [[9], pytest.approx([COLD], rel=1e-6)],
    }


async def test_time_empties_the_windows_without_any_event():
    """Lists are made anew after the refresh, though nothing changed; their position is the time."""
    board = TrendBoard(TrendsConfig(refresh=60.0))
    board.update({3: viewed([NOW] * 20)})
    assert (await lists(board, NOW))["1h"] == [3]
    assert await board.writes_if_due(NOW + 59_000) == []
    later = await board.writes_if_due(NOW + 3 * HOUR)
    assert {write.record.position for write in later} == {Position(0, 0, NOW + 3 * HOUR)}
    board.update({4: viewed([NOW + 3 * HOUR] * 9)})
    assert (await lists(board, NOW + 3 * HOUR + 1000))["1h"] == [4]
    assert await lists(board, NOW + 40 * DAY) == {"1h": [], "24h": [], "7d": []}


async def test_lists_are_bounded_and_ties_go_by_ordinal():
    """The best so many, in a fixed order."""
    board = TrendBoard(TrendsConfig(listed=3))
    board.update({n: viewed([NOW] * 9) for n in (9, 4, 7, 2)})
    assert (await lists(board, NOW))["1h"] == [2, 4, 7]


async def test_the_best_of_every_category_are_listed():
    """By the primary category, behind what is listed anyway, best first."""
    catalog = MemoryCatalog()
    names = ["big", "big", "big", "small", "small", "big"]
    await catalog.upsert([Item(item_id=f"i{n}", categories=[name]) for n, name in enumerate(names)], NOW)
    board = TrendBoard(TrendsConfig(listed=2, per_category=1), catalog=catalog)
    board.update({n: viewed([NOW] * (20 - n)) for n in range(6)})
    assert (await lists(board, NOW))["1h"] == [0, 1, 3]


async def test_countries_have_lists_of_their_own():
    """An item trends where it rises; an empty country is not named."""
    board = TrendBoard(TrendsConfig(per_country=2))
    board.update(
        {},
        {
            **{(n, "DE"): viewed([NOW] * (5 + n)) for n in range(4)},
            (2, "US"): viewed([NOW] * 5),
            (3, "FR"): viewed([NOW]),
        },
    )
    assert await local(board, NOW) == {"DE": [3, 2], "US": [2]}


async def test_writing_is_paced():
    """Once a second, and only when something changed."""
    board = TrendBoard()
    assert not board.due(NOW)
    board.update({1: viewed([NOW] * 5)})
    await lists(board, NOW)
    board.update({1: viewed([NOW] * 6)})
    assert not board.due(NOW + 999)
    assert board.due(NOW + 1000)


async def test_a_clock_set_back_does_not_stop_the_lists():
    """What is written stands behind what was written before, though the time says otherwise; it says the time."""
    state, board = MemoryStateStore(), TrendBoard()
    for change in (HOUR, 0, 1000):
        board.update({change: viewed([NOW] * 5)})
        assert board.due(NOW + change)
        writes = await board.writes_if_due(NOW + change)
        await state.write(writes, Position(0, 0, change))
        (written,) = (await state.read([window_trends_key("1h")])).records
        assert decode_trending(written.value).as_of == NOW + change
    assert not board.due(NOW + 1500)


async def test_another_owner_goes_on_behind_what_stands():
    """The clock of who owned the lists before may have gone ahead."""
    state, ahead, board = await stored({3: [NOW] * 20}), TrendBoard(), TrendBoard()
    ahead.update({3: viewed([NOW] * 20)})
    await state.write(await ahead.writes_if_due(NOW + HOUR), Position(0, 0, 10))
    board.begin(state)
    writes = await board.writes_if_due(NOW)
    await state.write(writes, Position(0, 0, 11))
    view = await state.read([write.key for write in writes])
    assert [each.value for each in view.records] == [write.record.value for write in writes]


async def stored(views, local=None):
    """Return a state that holds records of items by the times of their views, and records by country."""
    state = MemoryStateStore()
    position = Position(0, 0, 9)
    keyed = {item_key(n): encode_item(item(times)) for n, times in views.items()}
    for where, times in (local or {}).items():
        keyed[item_country_key(*where)] = encode_country(CountryRecord(viewed(times)))
    await state.write([StateWrite(key, StateRecord(position, value)) for key, value in keyed.items()], position)
    return state


async def test_loading_reads_every_item():
    """A fresh board gives the lists of the one that wrote the records."""
    views = {n: [NOW] * (n + 3) for n in range(5)}
    state = await stored(views, {(4, "DE"): views[4]})
    live, loaded = TrendBoard(), TrendBoard()
    live.update({n: viewed(times) for n, times in views.items()})
    loaded.begin(state)
    assert await lists(loaded, NOW) == await lists(live, NOW)
    again = TrendBoard()
    again.begin(state)
    assert await local(again, NOW) == {"DE": [4]}


async def test_what_was_folded_meanwhile_is_newer_than_what_is_read():
    """The scan may come to a record long after a fold has changed it, or before."""
    state = await stored({n: [NOW] * 5 for n in range(3)})
    board = TrendBoard()
    board.update({1: viewed([NOW] * 30)})
    await board.load(state)
    assert (await lists(board, NOW))["1h"] == [1, 0, 2]


async def test_a_board_that_cannot_be_loaded_says_so_and_writes_nothing():
    """An incomplete list would hide what trends."""

    class Broken(MemoryStateStore):
        async def scan(self, group):
            raise StoreUnavailable("the disk is gone")
            yield

    board = TrendBoard()
    board.begin(Broken())
    board.update({1: viewed([NOW] * 5)})
    with pytest.raises(StoreUnavailable, match="gone"):
        await board.writes_if_due(NOW)


async def test_a_partition_lists_its_own_items():
    """Under a key of its own; the first partition says how many there are."""
    state = await stored({n: [NOW] * 5 for n in range(6)})
    keys = []
    for partition in range(2):
        board = TrendBoard(partition=partition, partitions=2, mine=lambda ordinal, part=partition: ordinal % 2 == part)
        board.begin(state)
        writes = {write.key: write.record.value for write in await board.writes_if_due(NOW)}
        keys.append(set(writes))
        items = decode_trending(writes[window_trends_key("1h", partition)]).columns()[0].tolist()
        assert items == [partition, partition + 2, partition + 4]
        assert writes.get(PARTITIONS) == (b"2" if partition == 0 else None)
    assert not keys[0] & keys[1]
