"""The full ranking equals a plain sort by (score descending, ordinal ascending)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.errors import InvalidInput
from kindred.evaluation.item_sets import from_pairs
from kindred.evaluation.ranking import rank_all, top_k

SCORE = st.sampled_from([-math.inf, -1.0, -0.0, 0.0, 0.5, 2.0])
"""Few distinct values, so that ties stand everywhere, at the cutoff too."""


@st.composite
def blocks(draw):
    users, items = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    cells = users * items
    scores = np.array(draw(st.lists(SCORE, min_size=cells, max_size=cells))).reshape(users, items)
    seen = np.array(draw(st.lists(st.booleans(), min_size=cells, max_size=cells))).reshape(users, items)
    return scores, seen


def by_sort(scores, seen, k):
    allowed = [i for i in range(len(scores)) if not seen[i] and scores[i] > -math.inf]
    best = sorted(allowed, key=lambda i: (-scores[i], i))[:k]
    return best + [-1] * (k - len(best))


@given(blocks(), st.integers(1, 12))
def test_top_k_equals_a_full_sort(block, k):
    scores, seen = block
    expected = [by_sort(row, hidden, k) for row, hidden in zip(scores, seen, strict=True)]
    found = top_k(scores.astype(np.float32), k, seen)
    assert found.dtype == np.int32
    assert found.tolist() == expected


@given(blocks(), st.integers(1, 5), st.integers(1, 8))
def test_rank_all_does_not_depend_on_the_block_size(block, k, block_size):
    scores, seen = block
    n_items = scores.shape[1]
    eligible = np.arange(n_items) % 3 != 1
    sets = from_pairs(*np.nonzero(seen), len(scores))
    found = rank_all(lambda start, stop: scores[start:stop], sets, n_items, k, eligible=eligible, block_size=block_size)
    assert np.array_equal(found, top_k(scores, k, seen | ~eligible))


def test_integer_scores_and_no_mask():
    assert top_k([[1, 3, 3, 2]], 3).tolist() == [[1, 2, 3]]


def test_an_empty_catalogue_gives_padding():
    assert top_k(np.zeros((2, 0)), 3).tolist() == [[-1] * 3] * 2


def one_user(scores, **options):
    return rank_all(lambda start, stop: np.asarray(scores), from_pairs([], [], 1), 2, 1, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: top_k([[0.0, math.nan]], 1), "scores: is NaN at row 0, item 1"),
        (lambda: top_k([0.0], 1), "scores: has 1 dimensions"),
        (lambda: top_k([[0.0]], 0), "k: is 0"),
        (lambda: top_k([[0.0]], 1, np.zeros((2, 1), dtype=bool)), "excluded: is bool"),
        (lambda: top_k([[0.0]], 1, np.zeros((1, 1))), "excluded: is float64"),
        (lambda: one_user([[1.0]]), "score_block: gave shape"),
        (lambda: one_user([[1.0, 2.0]], block_size=0), "block_size: is 0"),
    ],
)
def test_malformed_scores_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
