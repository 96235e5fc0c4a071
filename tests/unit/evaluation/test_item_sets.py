"""Item sets behave as one Python set per user."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.errors import InvalidInput
from kindred.evaluation.item_sets import from_csr, from_pairs

SETS = st.lists(st.sets(st.integers(0, 15), max_size=6), min_size=1, max_size=6)


def build(sets):
    pairs = [(user, item) for user, items in enumerate(sets) for item in items]
    return from_pairs([user for user, _ in pairs], [item for _, item in pairs], len(sets))


def rows_of(sets):
    return [set(sets.indices[start:stop].tolist()) for start, stop in pairwise(sets.indptr)]


@given(SETS)
def test_pairs_become_sets_in_any_order_and_number(sets):
    built = build(sets)
    assert rows_of(built) == sets
    owners = built.owners()
    again = from_pairs(np.tile(owners[::-1], 2), np.tile(built.indices[::-1], 2), len(sets))
    assert np.array_equal(again.indices, built.indices)
    assert np.array_equal(from_csr(built.indptr, built.indices).indptr, built.indptr)


@given(st.data())
def test_minus_contains_and_take_agree_with_python_sets(data):
    left = data.draw(SETS)
    right = data.draw(st.lists(st.sets(st.integers(0, 25), max_size=8), min_size=len(left), max_size=len(left)))
    assert rows_of(build(left).minus(build(right))) == [a - b for a, b in zip(left, right, strict=True)]
    users = np.repeat(np.arange(len(left)), 28)
    items = np.tile(np.arange(-1, 27), len(left))
    expected = [item in left[user] for user, item in zip(users, items, strict=True)]
    assert build(left).contains(users, items).tolist() == expected
    rows = data.draw(st.lists(st.integers(0, len(left) - 1), max_size=8))
    assert rows_of(build(left).take(np.array(rows, dtype=np.int64))) == [left[row] for row in rows]


@given(SETS)
def test_mask_is_the_dense_block(sets):
    built = build(sets)
    dense = np.array([[item in items for item in range(16)] for items in sets])
    assert np.array_equal(built.mask(0, len(sets), 16), dense)
    assert np.array_equal(built.mask(1, len(sets), 16), dense[1:])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: from_pairs([2], [0], 2), "users: holds 2"),
        (lambda: from_pairs([0], [-1], 2), "items: holds -1"),
        (lambda: from_csr([0, 2], [1]), "indptr: must rise"),
        (lambda: from_csr([0, 2, 1], [1]), "indptr: must rise"),
        (lambda: build([{1}]).minus(build([{1}, {2}])), "covers 2 users, not 1"),
        (lambda: build([{9}]).mask(0, 1, 9), "indices: holds 9"),
    ],
)
def test_malformed_sets_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
