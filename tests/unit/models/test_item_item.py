"""Item-item neighbourhoods."""

import numpy as np
import pytest
from tests.unit.models.data import N_ITEMS, NOW, fit_input, history, rows, two_tastes
from tests.unit.models.model_contract import ModelContract

from kindred.core.errors import InvalidInput
from kindred.models.arrays import sum_by_item
from kindred.models.item_item import ItemItemConfig, ItemItemModel
from kindred.models.preference import preferences
from kindred.training.fit.item_item import fit_item_item

SMALL = ItemItemConfig(neighbours=10, shrinkage=5.0)
NONE = np.empty(0, np.int32)
HISTORY = np.array([0, 3, 20], np.int32)
WEIGHTS = np.array([1.0, 2.0, 0.5], np.float32)


def fitted(config: ItemItemConfig = SMALL) -> ItemItemModel:
    """Fit the two tastes."""
    return fit_item_item(fit_input(two_tastes()), config)


class TestItemItemModel(ModelContract):
    """Item-item keeps the contract."""

    arrays = ("neighbours", "similarities")

    def fit(self) -> ItemItemModel:
        return fitted()

    def ask(self, model: ItemItemModel) -> tuple[np.ndarray, np.ndarray]:
        return model.score_history(HISTORY, WEIGHTS)

    def ask_unknown(self, model: ItemItemModel) -> list[np.ndarray]:
        strangers = np.array([-1, N_ITEMS, 10**6], np.int32)
        ones = np.ones(3, np.float32)
        return [
            *model.similar(N_ITEMS, 5),
            *model.similar(-1, 5),
            *model.similar(N_ITEMS - 1, 5),
            *model.score_history(NONE, ones[:0]),
            *model.score_history(strangers, ones),
            model.score(history(strangers, ones), HISTORY),
            model.score(history(HISTORY, ones), strangers),
            *model.anchors(history(HISTORY, ones), strangers),
            *model.anchors(history(NONE, ones[:0]), HISTORY),
        ]


def brute_force(config: ItemItemConfig) -> np.ndarray:
    """Return all similarities (n, n) by the formula, dense."""
    matrix = preferences(two_tastes(), NOW).to_csr(60, N_ITEMS).toarray().astype(np.float64)
    if config.user_weighting == "iuf":
        matrix *= np.log1p(N_ITEMS / (matrix > 0).sum(axis=1))[:, None]
    dots, norms = matrix.T @ matrix, np.linalg.norm(matrix, axis=0)
    sims = dots / (np.outer(norms, norms) + config.shrinkage)
    np.fill_diagonal(sims, 0.0)
    return sims


@pytest.mark.parametrize("weighting", ["iuf", "none"])
@pytest.mark.parametrize("block_products", [1, 50, 10**6])
def test_equals_the_formula_in_blocks_of_any_size(weighting: str, block_products: int) -> None:
    config = ItemItemConfig(neighbours=6, shrinkage=3.0, user_weighting=weighting, block_products=block_products)
    model, expected = fitted(config), brute_force(config)
    np.testing.assert_allclose(model.similarities, -np.sort(-expected, axis=1)[:, :6], rtol=1e-5, atol=1e-7)
    for item in range(N_ITEMS):
        items, sims = model.similar(item, 6)
        np.testing.assert_allclose(sims, expected[item, items], rtol=1e-5)


def test_neighbours_are_of_the_same_taste_and_never_the_item() -> None:
    model = fitted()
    for item in range(28):
        items, _ = model.similar(item, 10)
        assert len(items) == 10
        assert item not in items
        assert {int(other) // 14 for other in items} == {item // 14}


def test_scores_sum_amplified_similarity_times_weight() -> None:
    model = fitted()
    expected: dict[int, float] = {}
    for item, weight in zip(HISTORY.tolist(), WEIGHTS.tolist(), strict=True):
        for other, sim in zip(*model.similar(item, 10), strict=True):
            expected[int(other)] = expected.get(int(other), 0.0) + float(sim) ** model.config.amplification * weight
    items, scores = model.score_history(HISTORY, WEIGHTS)
    assert dict(zip(items.tolist(), scores.tolist(), strict=True)) == pytest.approx(expected)
    asked = np.array([29, *items[::-1].tolist()], np.int32)
    np.testing.assert_allclose(model.score(history(HISTORY, WEIGHTS), asked), [0.0, *scores[::-1]], rtol=1e-6)


def test_sum_is_the_same_over_small_and_large_catalogues() -> None:
    rng = np.random.default_rng(0)
    items, values = rng.integers(0, 50, 300).astype(np.int32), rng.random(300).astype(np.float32)
    dense, sorted_ = sum_by_item(items, values, 50), sum_by_item(items, values, 10**9)
    np.testing.assert_array_equal(dense[0], sorted_[0])
    np.testing.assert_allclose(dense[1], sorted_[1], rtol=1e-5)


def test_anchor_is_the_history_item_that_adds_most() -> None:
    model = fitted()
    candidates, _ = model.score_history(HISTORY, WEIGHTS)
    anchors, added = model.anchors(history(HISTORY, WEIGHTS), candidates)
    for candidate, anchor, value in zip(candidates.tolist(), anchors.tolist(), added.tolist(), strict=True):
        parts = {
            item: dict(zip(*(column.tolist() for column in model.similar(item, 10)), strict=True)).get(candidate, 0.0)
            ** model.config.amplification
            * w
            for item, w in zip(HISTORY.tolist(), WEIGHTS.tolist(), strict=True)
        }
        assert value == pytest.approx(max(parts.values()))
        assert parts[anchor] == pytest.approx(value)


def test_disliked_history_lowers_and_is_no_anchor() -> None:
    model = fitted()
    items, scores = model.score_history(HISTORY[:1], -WEIGHTS[:1])
    assert (scores < 0).all()
    assert set(model.anchors(history(HISTORY[:1], WEIGHTS[:1], [False]), items)[0].tolist()) == {-1}


def test_disliked_pairs_are_not_neighbours() -> None:
    columns = rows(*((user, item, "dislike", NOW, None) for user in range(5) for item in range(3)))
    assert (fit_item_item(fit_input(columns, 3), ItemItemConfig()).neighbours == -1).all()


def test_long_histories_are_cut_to_the_latest() -> None:
    columns = rows(*((user, item, "view", NOW + item, None) for user in range(5) for item in range(6)))
    model = fit_item_item(fit_input(columns, 6), ItemItemConfig(max_user_items=2))
    assert sorted(set(model.neighbours[model.neighbours >= 0].tolist())) == [4, 5]


def test_bad_settings_are_named() -> None:
    for config, name in (
        (ItemItemConfig(neighbours=0), "neighbours"),
        (ItemItemConfig(shrinkage=-1.0), "shrinkage"),
        (ItemItemConfig(user_weighting="tfidf"), "user_weighting"),
    ):
        with pytest.raises(InvalidInput, match=name):
            fitted(config)


def sets() -> np.ndarray:
    """Return who viewed what (60, n), 0 or 1."""
    return (fit_input(two_tastes()).preferences.to_csr(60, N_ITEMS).toarray() > 0).astype(np.float64)


def test_jaccard_is_the_shared_part_of_the_users() -> None:
    model = fitted(ItemItemConfig(similarity="jaccard", shrinkage=2.0))
    chosen = sets()
    both, sizes = chosen.T @ chosen, chosen.sum(axis=0)
    for item in range(28):
        others, found = model.similar(item, 30)
        shared = both[item, others]
        np.testing.assert_allclose(found, shared / (sizes[item] + sizes[others] - shared + 2.0), rtol=1e-5)


def test_llr_is_dunnings_g_squared_of_what_is_shared_more_than_by_chance() -> None:
    model = fitted(ItemItemConfig(similarity="llr"))
    chosen = sets()
    for item in range(28):
        others, found = model.similar(item, 30)
        for other, value in zip(others.tolist(), found.tolist(), strict=True):
            mine, theirs = chosen[:, item], chosen[:, other]
            table = np.array([[mine @ theirs, mine @ (1 - theirs)], [(1 - mine) @ theirs, (1 - mine) @ (1 - theirs)]])
            expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
            assert table[0, 0] > expected[0, 0]
            known = table > 0
            ratio = 2 * (table[known] * np.log(table[known] / expected[known])).sum()
            assert value == pytest.approx(1 - 1 / (1 + ratio), rel=1e-4)


def test_bm25_never_exceeds_one_and_keeps_the_taste() -> None:
    model = fitted(ItemItemConfig(similarity="bm25"))
    assert 0 < model.similarities.max() <= 1
    for item in range(28):
        assert {int(other) // 14 for other in model.similar(item, 10)[0]} == {item // 14}


def test_bm25_weighs_as_the_formula_says() -> None:
    config = ItemItemConfig(similarity="bm25", bm25_k1=1.2, bm25_b=0.75)
    model = fitted(config)
    matrix = fit_input(two_tastes()).preferences.to_csr(60, N_ITEMS).toarray().astype(np.float64)
    lengths = matrix.sum(axis=0)
    damped = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
    weighted = matrix * 2.2 / (damped + matrix) * np.log((1 + N_ITEMS) / (1 + (matrix > 0).sum(axis=1)))[:, None]
    weighted /= np.linalg.norm(weighted, axis=0).max()
    products = weighted.T @ weighted
    for item in range(28):
        others, found = model.similar(item, 30)
        np.testing.assert_allclose(found, products[item, others], rtol=1e-4)
