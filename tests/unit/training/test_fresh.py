"""No user makes more than the rule allows of what an increment learns from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindred.core.bundle import DataWindow
from kindred.models.preference import Interactions, PreferenceConfig
from kindred.training.config import IncrementConfig
from kindred.training.dataset import Dataset
from kindred.training.increment.fresh import Fresh, find_fresh, rows_behind

START = 1_700_000_000_000
WINDOW = DataWindow(last=START)


def dataset(sizes: list[int]) -> Dataset:
    """Return a dataset in which user u bought `sizes[u]` items, one a second, after START."""
    users = np.repeat(np.arange(len(sizes)), sizes)
    items = np.concatenate([np.empty(0, np.int64), *(np.arange(size) for size in sizes)])
    n = len(users)
    columns = Interactions(
        users.astype(np.int32),
        items.astype(np.int32),
        START + 1 + items * 1_000,
        np.zeros(n, np.int16),
        np.full(n, np.nan, np.float32),
        ("purchase",),
    )
    ids = [f"u{user}" for user in range(len(sizes))]
    return Dataset(columns, ids, [None] * len(sizes), [None] * max(sizes, default=0))


def found(data: Dataset, **fields: object) -> Fresh:
    return find_fresh(data, WINDOW, WINDOW, START * 2, IncrementConfig(**fields), PreferenceConfig())


@given(st.lists(st.integers(1, 60), min_size=1, max_size=25), st.sampled_from([0.01, 0.05, 0.2]), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_afterwards_nobody_makes_too_much_but_who_has_few(sizes: list[int], share: float, few: int) -> None:
    data = dataset(sizes)
    fresh = found(data, user_share=share, user_rows=few)
    left = np.bincount(data.interactions.users[fresh.new], minlength=len(sizes))
    assert fresh.share <= share
    assert ((left <= few) | (left <= share * left.sum() + 1e-6)).all()
    assert (left >= np.minimum(sizes, few)).all()
    assert (left[np.array(sizes) <= few] == np.array(sizes)[np.array(sizes) <= few]).all()
    assert set(fresh.heavy.tolist()) == set(np.flatnonzero(left < sizes).tolist())


def test_the_newest_stay() -> None:
    data = dataset([40, *[3] * 20])
    fresh = found(data, user_share=0.1, user_rows=5)
    mine = data.interactions.items[fresh.new & (data.interactions.users == 0)]
    assert len(mine) < 40
    assert mine.tolist() == list(range(40 - len(mine), 40))


def test_refusing_trims_nobody_and_tells_the_share() -> None:
    fresh = found(dataset([40, *[3] * 20]), user_share=0.1, user_rows=5, heavy_users="refuse")
    assert fresh.kept.all()
    assert fresh.share == pytest.approx(0.4)


def test_without_positions_time_tells_what_is_new() -> None:
    data = dataset([3])
    assert rows_behind(data, DataWindow(last=START + 1_001)).tolist() == [False, False, True]
    assert rows_behind(data, DataWindow()).all()
