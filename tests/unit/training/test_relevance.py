"""What counts as a hit."""

import numpy as np

from kindred.models.preference import Interactions
from kindred.training.config import RelevanceConfig
from kindred.training.relevance import relevant_rows, unseen_relevant

NAMES = ("purchase", "rating", "view")


def rows(*given: tuple[int, int, str, float]) -> Interactions:
    users, items, names, values = zip(*given, strict=True)
    return Interactions(
        np.array(users, np.int32),
        np.array(items, np.int32),
        np.zeros(len(given), np.int64),
        np.array([NAMES.index(name) for name in names], np.int16),
        np.array(values, np.float32),
        NAMES,
    )


def test_high_ratings_and_purchases_count() -> None:
    nan = float("nan")
    asked = rows((0, 1, "rating", 4.0), (0, 2, "rating", 3.5), (0, 3, "purchase", nan), (0, 4, "view", nan))
    assert relevant_rows(asked, RelevanceConfig()).tolist() == [True, False, True, False]
    assert relevant_rows(asked, RelevanceConfig(events=("view",))).tolist() == [True, False, False, True]


def test_an_unknown_item_is_no_hit() -> None:
    assert not relevant_rows(rows((0, -1, "purchase", 1.0)), RelevanceConfig()).any()


def test_seen_items_are_not_to_be_found() -> None:
    train = rows((0, 1, "view", 1.0), (1, 2, "purchase", 1.0))
    test = rows((0, 1, "purchase", 1.0), (0, 2, "purchase", 1.0), (0, 2, "purchase", 1.0), (1, 1, "purchase", 1.0))
    wanted = unseen_relevant(test, train, 2, RelevanceConfig())
    assert wanted.indptr.tolist() == [0, 1, 2]
    assert wanted.indices.tolist() == [2, 1]
