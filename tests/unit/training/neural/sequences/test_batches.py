"""Windows predict every item once, and batches line items up with what follows them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from kindred.training.neural.histories import Histories
from kindred.training.neural.sequences.batches import (
    NO_TARGET,
    Sequences,
    sequences_of,
    shuffled,
    training_batch,
    windows_of,
)


def sequences(lengths: list[int]) -> Sequences:
    """Return users of these lengths; every row is an item of its own."""
    starts = np.concatenate(([0], np.cumsum(np.array(lengths, np.int64))))
    n = int(starts[-1])
    return Sequences(starts, np.arange(n, dtype=np.int32), np.zeros(n, np.uint8), np.zeros(n, np.uint16))


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(2, 7), st.integers(1, 20))
def test_every_item_but_the_first_is_predicted_once_from_its_own_user(
    lengths: list[int], longest: int, size: int
) -> None:
    data = sequences(lengths)
    begins, ends = windows_of(data, longest)
    predicted: list[int] = []
    for rows in shuffled(begins, ends, size, np.random.default_rng(1)):
        batch = training_batch(data, begins[rows], ends[rows])
        assert batch.items.shape[1] <= longest
        asked = batch.targets != NO_TARGET
        np.testing.assert_array_equal(batch.targets[asked], batch.items[asked] + 1)
        np.testing.assert_array_equal(asked, batch.places >= 0)
        assert (batch.places.max(axis=1) == asked.sum(axis=1) - 1).all()
        predicted.extend(batch.targets[asked].tolist())
    firsts = set(data.starts[:-1].tolist())
    assert sorted(predicted) == [row for row in range(int(data.starts[-1])) if row not in firsts]


def test_sequences_hold_what_is_liked_with_the_time_since_the_liked_item_before() -> None:
    hour = 3_600_000
    past = Histories(
        np.array([0, 3, 3, 5]),
        np.array([4, 5, 6, 7, 8], np.int32),
        np.ones(5, np.float32),
        np.array([True, False, True, True, True]),
        np.array([0, hour, 2 * hour, hour, -1]),
        np.array([1, 2, 3, 4, 5]),
    )
    found = sequences_of(past)
    assert found.starts.tolist() == [0, 2, 2, 4]
    assert found.items.tolist() == [4, 6, 7, 8]
    assert found.types.tolist() == [1, 3, 4, 5]
    assert found.gaps.tolist() == [0, 1 + int(np.log2(7_201)), 0, 0]


def test_cutting_keeps_the_oldest() -> None:
    found = sequences([3, 0, 2]).cut(np.array([2, 0, 1]))
    assert found.items.tolist() == [0, 1, 3]
    assert found.starts.tolist() == [0, 2, 2, 3]
