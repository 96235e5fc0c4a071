"""An index in lists finds what a filter leaves, wherever it lies, and says how much of it."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kindred.adapters.local.vector_cases import filtered_cases, queries, recall
from kindred.adapters.local.vector_lists import ListsBase
from kindred.adapters.local.vectors import LocalVectorIndex, LocalVectorIndexes, VectorConfig
from kindred.core.bits import Bits

ROWS, DIMENSIONS = 24_000, 16
LISTS = VectorConfig(exact_rows=0)


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((80, DIMENSIONS))
    rows = centres[draw.integers(0, 80, ROWS)] + 0.4 * draw.standard_normal((ROWS, DIMENSIONS))
    rows *= draw.lognormal(0, 0.5, (ROWS, 1))
    rows[draw.random(ROWS) < 0.2] = 0
    return rows.astype(np.float32)


@pytest.fixture(scope="module")
def built(vectors: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("index")
    return folder, LocalVectorIndexes(LISTS).build(vectors, folder)


@pytest.fixture
def index(built: tuple[Path, dict[str, float]], vectors: NDArray[np.float32]) -> LocalVectorIndex:
    return LocalVectorIndexes().open(built[0], vectors)


def test_the_measured_recall_holds_for_other_queries(
    built: tuple[Path, dict[str, float]], index: LocalVectorIndex, vectors: NDArray[np.float32]
) -> None:
    assert built[1]["recall"] >= 0.97
    live = np.flatnonzero(vectors.any(axis=1))
    cases = filtered_cases(vectors, live, queries(vectors, live, 12, seed=9), 500)
    assert len(cases) >= 10
    for name, some in cases.items():
        found = recall(some, lambda case: index.search(case.query, case.depth, case.allowed)[1])
        assert found >= 0.95, name


@pytest.mark.parametrize("config", [VectorConfig(), LISTS])
def test_rows_in_half_precision_are_searched_by_exact_products(
    vectors: NDArray[np.float32], tmp_path: Path, config: VectorConfig
) -> None:
    half = vectors.astype(np.float16)
    assert LocalVectorIndexes(config).build(half, tmp_path)["recall"] >= 0.97
    index, wide = LocalVectorIndexes().open(tmp_path, half), half.astype(np.float32)
    query = wide[np.flatnonzero(wide.any(axis=1))[7]]
    found, scores = index.search(query, 200)
    np.testing.assert_allclose(scores, wide[found] @ query, rtol=1e-5)
    assert np.isin(np.argsort(-(wide @ query))[:200], found).mean() >= 0.9


def test_a_build_copies_no_more_than_a_block_of_rows(tmp_path: Path) -> None:
    """Stored rows may be many gigabytes; those of a small index are only looked through."""
    half = np.ones((400_000, 16), np.float16)
    tracemalloc.start()
    LocalVectorIndexes(VectorConfig(exact_rows=len(half))).build(half, tmp_path)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < half.nbytes / 2


def test_fewer_lists_than_all_are_scanned(built: tuple[Path, dict[str, float]]) -> None:
    assert built[1]["probes"] < built[1]["lists"] / 2


def test_rows_of_very_different_lengths_need_a_part_of_the_lists(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((ROWS, DIMENSIONS)) * draw.lognormal(0, 1.2, (ROWS, 1))
    found = LocalVectorIndexes(LISTS).build(rows.astype(np.float32), tmp_path)
    assert found["recall"] >= 0.97
    # By the centres alone all but two of them were scanned.
    assert found["probes"] < found["lists"] / 2


def test_a_filter_over_rows_without_a_vector_leaves_nothing(
    index: LocalVectorIndex, vectors: NDArray[np.float32]
) -> None:
    empty = ~vectors.any(axis=1)
    assert len(index.search(vectors[np.argmin(empty)], 500, Bits.of(empty))[0]) == 0
    few = np.flatnonzero(~empty)[[0, 500, 9_000]]
    empty[few] = True
    assert sorted(index.search(vectors[few[0]], 500, Bits.of(empty))[0].tolist()) == few.tolist()


def test_more_than_the_lists_tuned_for_may_be_asked(index: LocalVectorIndex, vectors: NDArray[np.float32]) -> None:
    live = np.flatnonzero(vectors.any(axis=1))
    found, scores = index.search(vectors[live[0]], ROWS)
    assert np.array_equal(np.sort(found), live)
    assert (np.diff(scores) <= 0).all()
    half = np.arange(ROWS) % 2 == 0
    some = index.search(vectors[live[0]], len(live) // 2, Bits.of(half))[0]
    assert half[some].all()
    assert len(some) >= 0.99 * min(len(live) // 2, half[live].sum())


def test_equal_rows_end_a_search(tmp_path: Path) -> None:
    rows = np.ones((30_000, 4), np.float32)
    LocalVectorIndexes(LISTS).build(rows, tmp_path)
    index = LocalVectorIndexes().open(tmp_path, rows)
    found, scores = index.search(rows[0], 10, Bits.of(np.arange(30_000) % 2 == 1))
    assert (found % 2 == 1).all()
    np.testing.assert_allclose(scores, 4.0)
    assert len(found) == 10


def test_lists_hold_every_row_once(built: tuple[Path, dict[str, float]], vectors: NDArray[np.float32]) -> None:
    base = LocalVectorIndexes().open(built[0], vectors)._base
    assert isinstance(base, ListsBase)
    assert base.held == vectors.any(axis=1).sum()
