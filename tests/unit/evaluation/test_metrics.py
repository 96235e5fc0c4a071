"""Accuracy metrics against definitions written out by hand and against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from kindred.core.errors import InvalidInput
from kindred.evaluation import metrics
from kindred.evaluation.item_sets import from_pairs

K = 8
N_ITEMS = 20
LISTS = st.lists(
    st.tuples(
        st.lists(st.integers(0, N_ITEMS - 1), unique=True, max_size=K),
        st.sets(st.integers(0, N_ITEMS - 1), max_size=12),
    ),
    min_size=1,
    max_size=5,
)


def arrays(cases):
    ranked = np.full((len(cases), K), -1, dtype=np.int32)
    for row, (items, _) in enumerate(cases):
        ranked[row, : len(items)] = items
    pairs = [(row, item) for row, (_, relevant) in enumerate(cases) for item in relevant]
    return ranked, from_pairs([row for row, _ in pairs], [item for _, item in pairs], len(cases))


def by_hand(items, relevant, k):
    if not relevant:
        return dict.fromkeys(metrics.ACCURACY, math.nan)
    ranks = [rank for rank, item in enumerate(items[:k], start=1) if item in relevant]
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    return {
        "recall": len(ranks) / len(relevant),
        "ndcg": sum(1 / math.log2(rank + 1) for rank in ranks) / ideal,
        "hit_rate": float(bool(ranks)),
        "precision": len(ranks) / k,
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "map": sum((n + 1) / rank for n, rank in enumerate(ranks)) / min(k, len(relevant)),
    }


@given(LISTS, st.integers(1, K))
def test_every_metric_equals_its_definition_and_stays_in_bounds(cases, k):
    found = metrics.accuracy(*arrays(cases), ks=[k])
    for row, (items, relevant) in enumerate(cases):
        for name, expected in by_hand(items, relevant, k).items():
            value = found[f"{name}@{k}"][row]
            assert value == pytest.approx(expected, nan_ok=True)
            assert math.isnan(value) == (not relevant)
            assert math.isnan(value) or 0.0 <= value <= 1.0


@given(st.lists(st.sets(st.integers(0, 19), min_size=1, max_size=12), min_size=1, max_size=5), st.integers(1, K))
def test_the_perfect_ranking_scores_one(relevant, k):
    cases = [((sorted(items) + [item for item in range(20) if item not in items])[:K], items) for items in relevant]
    found = metrics.accuracy(*arrays(cases), ks=[k])
    for name in ("ndcg", "hit_rate", "mrr", "map"):
        assert (found[f"{name}@{k}"] == 1.0).all()
    sizes = np.array([len(items) for items in relevant])
    assert found[f"recall@{k}"] == pytest.approx(np.minimum(k, sizes) / sizes)
    assert found[f"precision@{k}"] == pytest.approx(np.minimum(k, sizes) / k)


@given(st.data())
def test_ndcg_and_reciprocal_rank_fall_when_a_hit_moves_down(data):
    relevant = data.draw(st.integers(0, K - 1))
    here = data.draw(st.integers(0, K - 2))
    items = [item for item in range(K) if item != relevant]
    higher, lower = items.copy(), items.copy()
    higher.insert(here, relevant)
    lower.insert(here + 1, relevant)
    found = metrics.accuracy(*arrays([(higher, {relevant}), (lower, {relevant})]), ks=[K])
    for name in ("ndcg", "mrr", "map"):
        assert found[f"{name}@{K}"][0] > found[f"{name}@{K}"][1]


@pytest.mark.parametrize("k", [1, 5, 10])
def test_ndcg_agrees_with_scikit_learn(k):
    generator = np.random.default_rng(3)
    gains = (generator.random((40, 30)) < 0.2).astype(int)
    gains[:, 0] = 1
    scores = generator.permuted(np.tile(np.arange(30.0), (40, 1)), axis=1)
    users, items = np.nonzero(gains)
    judged = metrics.judge(np.argsort(-scores, axis=1)[:, :10], from_pairs(users, items, 40))
    assert metrics.ndcg(judged, k).mean() == pytest.approx(ndcg_score(gains, scores, k=k), rel=1e-12)


def test_padding_never_hits_and_keeps_its_rank():
    judged = metrics.judge([[-1, 4, -1]], from_pairs([0], [4], 1))
    assert metrics.reciprocal_rank(judged, 3).tolist() == [0.5]
    assert metrics.precision(judged, 2).tolist() == [0.5]


@pytest.mark.parametrize(
    ("ranked", "k", "message"),
    [
        ([[1, 2]], 3, "k: is 3 but the lists hold 2"),
        ([[1, 2]], 0, "k: is 0"),
        ([[1, 1]], 2, "row 0 holds an item twice"),
        ([[1, -2]], 2, "ranked: holds -2"),
        ([1, 2], 2, "ranked: has 1 dimensions"),
        ([[1.0, 2.0]], 2, "ranked: is float64"),
        ([[1], [2]], 1, "2 lists for 1 relevant sets"),
    ],
)
def test_malformed_lists_are_refused(ranked, k, message):
    with pytest.raises(InvalidInput, match=message):
        metrics.accuracy(ranked, from_pairs([0], [1], 1), ks=[k])
