"""Beyond-accuracy metrics against their written formulas."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindred.core.errors import InvalidInput
from kindred.evaluation import beyond_accuracy as beyond
from kindred.evaluation.item_sets import from_pairs

N_ITEMS = 9
LISTS = st.lists(
    st.lists(st.integers(0, N_ITEMS - 1), unique=True, max_size=5).map(lambda items: items + [-1] * (5 - len(items))),
    min_size=1,
    max_size=6,
)
COUNTS = st.lists(st.integers(0, 30), min_size=N_ITEMS, max_size=N_ITEMS)


def listed(row):
    return [item for item in row if item >= 0]


def mean(values):
    return sum(values) / len(values) if values else math.nan


@given(LISTS, COUNTS)
def test_popularity_figures_equal_their_formulas(ranked, counts):
    total = sum(counts) + N_ITEMS
    rank = [(sum(c < own for c in counts) + sum(c <= own for c in counts)) / 2 / N_ITEMS for own in counts]
    for row, bits, percentile, cold in zip(
        ranked,
        beyond.novelty(ranked, counts),
        beyond.popularity_percentile(ranked, counts),
        beyond.cold_share(ranked, counts, threshold=7),
        strict=True,
    ):
        items = listed(row)
        assert bits == pytest.approx(mean([-math.log2((counts[i] + 1) / total) for i in items]), nan_ok=True)
        assert percentile == pytest.approx(mean([rank[i] for i in items]), nan_ok=True)
        assert cold == pytest.approx(mean([float(counts[i] < 7) for i in items]), nan_ok=True)
        assert math.isnan(bits) == (not items)


@given(LISTS, st.lists(st.integers(-1, 3), min_size=N_ITEMS, max_size=N_ITEMS))
def test_coverage_and_categories_count_distinct_values(ranked, categories):
    assert beyond.coverage(ranked, N_ITEMS) == len({item for row in ranked for item in listed(row)}) / N_ITEMS
    for row, found in zip(ranked, beyond.unique_categories(ranked, categories), strict=True):
        items = listed(row)
        expected = len({categories[i] for i in items} - {-1}) / len(items) if items else math.nan
        assert found == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("block", [1, 8_000_000])
@given(ranked=LISTS, seed=st.integers(0, 1_000))
def test_diversity_is_one_minus_the_mean_pairwise_cosine(block, ranked, seed):
    vectors = np.random.default_rng(seed).normal(size=(N_ITEMS, 4)) * 3
    vectors[0] = 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beyond, "_BLOCK_CELLS", block)
        found = beyond.intra_list_diversity(ranked, vectors)
    for row, value in zip(ranked, found, strict=True):
        pairs = itertools.combinations([vectors[i] for i in listed(row) if i != 0], 2)
        cosines = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]
        assert value == pytest.approx(1 - mean(cosines), nan_ok=True)


def test_diversity_of_equal_orthogonal_and_opposite_items():
    vectors = [[2.0, 0.0], [5.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]
    assert beyond.intra_list_diversity([[0, 1], [0, 2], [0, 3]], vectors) == pytest.approx([0.0, 1.0, 2.0])


def test_novelty_prefers_the_rarer_item_and_stays_finite():
    popular, rare, unseen = beyond.novelty([[0], [1], [2]], [97, 2, 0])
    assert popular < rare < unseen < math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: beyond.coverage([[5]], 5), "ranked: holds 5 of 5 items"),
        (lambda: beyond.coverage([[-1]], 0), "n_items: is 0"),
        (lambda: beyond.novelty([[1]], [3]), "ranked: holds 1 of 1 items"),
        (lambda: beyond.novelty([[0]], [-3]), "counts: holds -3"),
        (lambda: beyond.intra_list_diversity([[0]], [[math.nan]]), "not finite"),
        (lambda: beyond.intra_list_diversity([[0]], [1.0]), "vectors: has shape"),
    ],
)
def test_malformed_inputs_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()


def test_relative_novelty_is_one_for_what_nobody_met():
    counts = [0, 7, 0]
    assert beyond.relative_novelty([[0, 2]], counts)[0] == pytest.approx(1.0)
    assert beyond.relative_novelty([[1, -1]], counts)[0] == pytest.approx(-math.log2(8 / 10) / math.log2(10))


def test_serendipitous_hits_are_those_that_no_primitive_list_shows():
    relevant = from_pairs(np.array([0, 0, 0, 1]), np.array([1, 2, 3, 4]), 2)
    hits, surprising = beyond.serendipitous_share([[1, 2, 3, 5], [4, 6, -1, -1]], relevant, [[[1], [6]], [[9], [-1]]])
    assert hits.tolist() == [3, 1]
    assert surprising.tolist() == [2, 1]
    with pytest.raises(InvalidInput, match="lengths"):
        beyond.serendipitous_share([[1]], from_pairs(np.array([0]), np.array([1]), 1), [[[1], [2]]])
