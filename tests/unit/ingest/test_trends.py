"""The trend board: what rises, what falls out, what is written when."""

from kindred.adapters.memory.state import MemoryStateStore
from kindred.core.clock import DAY, HOUR
from kindred.core.position import START, Position
from kindred.features.groups import Act, FoldConfig, item_key
from kindred.features.items import ItemRecord, encode_item, fold_item
from kindred.features.trending_list import decode_trending
from kindred.ingest.trends import TrendBoard, TrendsConfig
from kindred.ports.state import StateRecord, StateWrite

NOW = 1_700_000_000_000 // DAY * DAY + 12 * HOUR


def viewed(times):
    """Build a record of views."""
    acts = [Act(Position(0, 0, n), n, t, 0, "view", t, float("nan")) for n, t in enumerate(times)]
    return fold_item(ItemRecord(), START, acts, FoldConfig()) or ItemRecord()


def lists(board, now):
    """Return ordinals by window."""
    writes = board.writes(now, Position(0, 0, 1))
    return {write.key.key: decode_trending(write.record.value).columns()[0].tolist() for write in writes}


def test_a_rise_trends_and_steady_items_do_not():
    """Twenty views now beat a hundred spread over weeks."""
    board = TrendBoard()
    steady = viewed([NOW - n * 6 * HOUR for n in range(100)])
    board.update({3: viewed([NOW] * 20), 5: steady, 8: viewed([NOW])})
    assert board.due(NOW)
    found = lists(board, NOW)
    assert found["1h"] == [3]
    assert found["24h"][0] == 3
    assert not board.due(NOW + 10_000)


def test_time_empties_the_windows():
    """A refresh lets go of what is over."""
    board = TrendBoard(TrendsConfig(refresh=60.0))
    board.update({3: viewed([NOW] * 20)})
    assert lists(board, NOW)["1h"] == [3]
    board.update({4: viewed([NOW + 3 * HOUR] * 9)})
    assert lists(board, NOW + 3 * HOUR)["1h"] == [4]
    board.update({4: viewed([NOW + 40 * DAY] * 9)})
    assert lists(board, NOW + 40 * DAY) == {"1h": [4], "24h": [4], "7d": [4]}


def test_lists_are_bounded_and_ties_go_by_ordinal():
    """The best so many, in a fixed order."""
    board = TrendBoard(TrendsConfig(listed=3))
    board.update({n: viewed([NOW] * 9) for n in (9, 4, 7, 2)})
    assert lists(board, NOW)["1h"] == [2, 4, 7]


def test_writing_is_paced():
    """Once a second, and only when something changed."""
    board = TrendBoard()
    assert not board.due(NOW)
    board.update({1: viewed([NOW] * 5)})
    lists(board, NOW)
    board.update({1: viewed([NOW] * 6)})
    assert not board.due(NOW + 999)
    assert board.due(NOW + 1000)


async def test_loading_reads_every_item():
    """A fresh board gives the lists of the one that wrote the records."""
    state = MemoryStateStore()
    records = {n: viewed([NOW] * (n + 3)) for n in range(5)}
    position = Position(0, 0, 9)
    await state.write(
        [StateWrite(item_key(n), StateRecord(position, encode_item(record))) for n, record in records.items()], position
    )
    live, loaded = TrendBoard(), TrendBoard()
    live.update(records)
    await loaded.load(state)
    assert lists(loaded, NOW) == lists(live, NOW)
    assert lists(loaded, NOW)["1h"] == [4, 3, 2, 1, 0]
