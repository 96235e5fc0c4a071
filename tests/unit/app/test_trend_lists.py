"""What servers know of trends: the lists of all partitions, merged, as long as they are fresh."""

import numpy as np

from kindred.adapters.memory.state import MemoryStateStore
from kindred.app.trend_lists import TrendLists
from kindred.core.clock import HOUR, FixedClock
from kindred.core.position import Position
from kindred.features.country_trends import PARTITIONS, country_trends_key, encode_country_trends, window_trends_key
from kindred.features.trending_list import TrendingList, encode_trending
from kindred.ports.state import StateRecord, StateWrite

NOW = 1_700_000_000_000


def listed(*scores):
    """Build a list of (ordinal, score) pairs, best first."""
    return TrendingList.of(
        NOW, np.array([each[0] for each in scores], np.int32), np.array([each[1] for each in scores], np.float32)
    )


async def write(state, number, records):
    """Store records at a later and later time."""
    position = Position(0, 0, NOW + number)
    await state.write([StateWrite(key, StateRecord(position, value)) for key, value in records.items()], position)


async def test_lists_of_all_partitions_are_one():
    """Best first over all of them, ties by ordinal; an absent part is no trouble."""
    state, clock = MemoryStateStore(), FixedClock(NOW)
    lists = TrendLists(state, clock)
    await lists.step()
    assert lists.board.of("1h").items.tolist() == []
    local = {"DE": listed((4, 2.0)), "US": listed((6, 1.0))}
    await write(
        state,
        1,
        {
            PARTITIONS: b"3",
            window_trends_key("1h"): encode_trending(listed((4, 9.0), (2, 3.0))),
            window_trends_key("1h", 2): encode_trending(listed((7, 5.0), (1, 3.0))),
            country_trends_key("1h"): encode_country_trends(NOW, local),
            country_trends_key("1h", 2): encode_country_trends(NOW, {"DE": listed((7, 3.0))}),
        },
    )
    await lists.step()
    assert lists.board.of("1h").items.tolist() == [4, 7, 1, 2]
    assert lists.board.in_country("1h", "de")[0].tolist() == [7, 4]
    assert lists.board.in_country("24h", "DE")[0].tolist() == []
    assert lists.board.knows("us")
    assert not lists.board.knows("FR")


async def test_a_newer_list_replaces_the_older_and_an_old_one_is_dropped():
    """Nothing has happened since: an hour's list says nothing two hours later."""
    state, clock = MemoryStateStore(), FixedClock(NOW)
    lists = TrendLists(state, clock)
    for number, item in enumerate((4, 5)):
        record = {window: encode_trending(listed((item, 1.0))) for window in map(window_trends_key, ("1h", "24h"))}
        await write(state, number, record)
        await lists.step()
        assert lists.board.of("1h").items.tolist() == [item]
    clock.time_ms += 2 * HOUR
    await lists.step()
    assert lists.board.of("1h").items.tolist() == []
    assert lists.board.of("24h").items.tolist() == [5]
