"""The recall of content lists: of the exact best others, in single precision, as many as a list has room for."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kindred.models.content import unit_rows
from kindred.models.content_lists import ContentLists
from kindred.training.fit import content_lists
from kindred.training.fit.content_lists import list_recall

ROWS, LENGTH = 60, 8


@pytest.fixture
def vectors() -> NDArray[np.float16]:
    """Return vectors as a bundle keeps them, the last two items without one."""
    found = unit_rows(np.random.default_rng(5).normal(size=(ROWS, 16))).astype(np.float16)
    found[-2:] = 0
    return found


def exact(vectors: NDArray[np.float16], length: int = LENGTH) -> ContentLists:
    """Return all items' lists from exact products."""
    wide = vectors.astype(np.float64)
    scores = wide @ wide.T
    np.fill_diagonal(scores, -np.inf)
    live = wide.any(axis=1)
    scores[:, ~live] = -np.inf
    near = np.argsort(-scores, axis=1, kind="stable")[:, :length].astype(np.int32)
    near[np.isneginf(np.take_along_axis(scores, near, axis=1))] = -1
    near[~live] = -1
    return ContentLists(np.arange(len(vectors), dtype=np.int32), near)


@pytest.mark.parametrize("block", [7, 65_536])
def test_exact_lists_find_everything(vectors: NDArray[np.float16], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_lists, "_BLOCK", block)
    assert list_recall(exact(vectors), vectors) == 1.0
    # Fewer others than a list has room for: all of them are all there is.
    assert list_recall(exact(vectors, ROWS + 5), vectors) == 1.0


def test_a_list_that_is_too_short_lacks_what_it_could_hold(vectors: NDArray[np.float16]) -> None:
    lists = exact(vectors)
    lists.neighbours[:, LENGTH // 2 :] = -1
    assert list_recall(lists, vectors) == 0.5
    lists.neighbours[::2] = -1
    assert list_recall(lists, vectors) == 0.25
    lists.neighbours[:] = -1
    assert list_recall(lists, vectors) == 0.0


def test_items_of_nearly_equal_products_are_told_apart() -> None:
    """Rounded to half precision the nearest two are equally near; only one of them is the best."""
    vectors = unit_rows(np.random.default_rng(6).normal(size=(4_000, 16))).astype(np.float16)
    scores = vectors.astype(np.float32) @ vectors[0].astype(np.float32)
    scores[0] = -np.inf
    order = np.argsort(-scores)
    gaps = -np.diff(scores[order[:-1]])
    at = int(np.flatnonzero((gaps > 2e-5) & (np.diff(scores[order[:-1]].astype(np.float16)) == 0))[0])
    best, next_best = order[: at + 1], np.append(order[:at], order[at + 1])
    for near, found in ((best, 1.0), (next_best, round(at / (at + 1), 6))):
        lists = ContentLists(np.zeros(1, np.int32), near[None].astype(np.int32))
        assert list_recall(lists, vectors) == found


def test_nothing_to_find_is_found() -> None:
    nothing = ContentLists(np.empty(0, np.int32), np.empty((0, LENGTH), np.int32))
    assert list_recall(nothing, np.empty((0, 4), np.float16)) == 1.0
    alone = ContentLists(np.zeros(1, np.int32), np.full((1, LENGTH), -1, np.int32))
    assert list_recall(alone, np.ones((1, 4), np.float16)) == 1.0
