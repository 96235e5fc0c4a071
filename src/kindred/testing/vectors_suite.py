"""What every vector index must do: subclass `VectorsSuite`, say how yours is made, and run it by pytest."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kindred.core.bits import Bits
from kindred.core.candidates import Ordinals
from kindred.core.errors import BundleCorrupt, InvalidInput
from kindred.ports.vectors import VectorIndex, VectorIndexes

DIMENSIONS = 8


def ordinals(*values: int) -> Ordinals:
    """Return ordinals as int32."""
    return np.array(values, np.int32)


class VectorsSuite:
    """The suite of the VectorIndexes port; it needs pytest and hypothesis.

    `min_recall` is what a lossy index must still find of the exact first 20 of 600 rows.
    """

    min_recall = 0.9

    def indexes(self) -> VectorIndexes:
        """Make the builder and opener under test."""
        pytest.fail(f"{type(self).__name__} must say in indexes what is tested")

    def vectors(self, count: int = 600) -> NDArray[np.float32]:
        """Return rows of random directions and lengths."""
        return np.random.default_rng(3).standard_normal((count, DIMENSIONS)).astype(np.float32)

    def index(self, vectors: NDArray[np.float32], folder: Path) -> VectorIndex:
        """Build and open an index over `vectors`."""
        indexes = self.indexes()
        indexes.build(vectors, folder / "index")
        return indexes.open(folder / "index", vectors)

    def recall(self, index: VectorIndex, vectors: NDArray[np.float32], allowed: NDArray[np.bool_] | None) -> float:
        """Return the least part of the exact first 20 that ten queries find."""
        least = 1.0
        for query in np.random.default_rng(4).standard_normal((10, DIMENSIONS)).astype(np.float32):
            exact = vectors @ query
            if allowed is not None:
                exact = np.where(allowed[: len(exact)], exact, -np.inf)
            wanted = np.argsort(-exact)[: min(20, int(np.isfinite(exact).sum()))]
            found, scores = index.search(query, 20, None if allowed is None else Bits.of(allowed))
            assert found.dtype == np.int32
            assert scores.dtype == np.float32
            assert len(found) == len(set(found.tolist())) == len(wanted)
            assert (np.diff(scores) <= 0).all()
            assert allowed is None or allowed[found].all()
            np.testing.assert_allclose(scores, vectors[found] @ query, rtol=1e-4, atol=1e-4)
            if len(wanted):
                least = min(least, len(np.intersect1d(found, wanted)) / len(wanted))
        return least

    def test_the_best_rows_are_found(self, tmp_path: Path) -> None:
        """The first by inner product, best first, with true scores; length counts, not only direction."""
        vectors = self.vectors()
        index = self.index(vectors, tmp_path)
        assert index.size == len(vectors)
        assert self.recall(index, vectors, None) >= self.min_recall

    @pytest.mark.parametrize("family", ["random", "narrow", "near", "far", "none"])
    def test_filters_are_kept_and_cost_no_recall(self, tmp_path: Path, family: str) -> None:
        """Only allowed rows, as many as there are, wherever they lie."""
        vectors = self.vectors()
        side = vectors[:, 0]
        allowed = {
            "random": np.random.default_rng(5).random(len(vectors)) < 0.5,
            "narrow": np.arange(len(vectors)) % 97 == 0,
            "near": side > 1.0,
            "far": side < -1.0,
            "none": np.zeros(len(vectors), np.bool_),
        }[family]
        assert self.recall(self.index(vectors, tmp_path), vectors, allowed) >= self.min_recall

    def test_no_filter_is_broken_and_far_ones_are_answered(self, tmp_path: Path) -> None:
        """Whatever passes, at random, near the query or far from it: only that, as much as wanted, the best of it."""
        draw = np.random.default_rng(6)
        centres = 3 * draw.standard_normal((40, DIMENSIONS))
        vectors = (centres[draw.integers(0, 40, 3_000)] + draw.standard_normal((3_000, DIMENSIONS))).astype(np.float32)
        index = self.index(vectors, tmp_path)
        shares: dict[str, list[float]] = {}

        @settings(max_examples=60, deadline=None)
        @given(
            st.integers(0, 2**32 - 1),
            st.sampled_from(["random", "near", "far"]),
            st.sampled_from([0.5, 0.1, 0.01, 0.001]),
            st.sampled_from([1, 20, 300]),
        )
        def answered(seed: int, family: str, share: float, k: int) -> None:
            chance = np.random.default_rng(seed)
            query = vectors[chance.integers(0, len(vectors), 3)].sum(axis=0)
            scores = vectors @ query
            place = {"random": chance.random(len(vectors)), "near": -scores, "far": scores}[family]
            allowed = place <= np.partition(place, int(share * len(vectors)))[int(share * len(vectors))]
            wanted = np.sort(scores[allowed])[::-1][:k]
            found, products = index.search(query, k, Bits.of(allowed))
            assert allowed[found].all()
            assert len(found) == len(set(found.tolist())) == len(wanted)
            np.testing.assert_allclose(products, scores[found], rtol=1e-4, atol=1e-4)
            near = wanted[-1] - 1e-4 * abs(wanted[-1])
            shares.setdefault(family, []).append(np.count_nonzero(products >= near) / len(wanted))

        answered()
        assert min(np.mean(each) for each in shares.values()) >= 0.95

    def test_ties_are_broken_by_ordinal(self, tmp_path: Path) -> None:
        """Equal rows come in order of their ordinals, also where k cuts them, in the base and in newer rows."""
        vectors = np.zeros((40, DIMENSIONS), np.float32)
        vectors[::2, 0] = 1.0
        vectors[1::2, 0] = 2.0
        index = self.index(vectors, tmp_path)
        query = np.ones(DIMENSIONS, np.float32)
        assert index.search(query, 24)[0].tolist() == [*range(1, 40, 2), 0, 2, 4, 6]
        index.upsert(ordinals(44, 6, 42), np.full((3, DIMENSIONS), 3, np.float32))
        assert index.search(query, 4)[0].tolist() == [6, 42, 44, 1]

    def test_zero_rows_are_never_returned(self, tmp_path: Path) -> None:
        """An all-zero row is no vector, even where every other product is negative."""
        vectors = -np.abs(self.vectors(50))
        vectors[10:30] = 0
        index = self.index(vectors, tmp_path)
        query = np.ones(DIMENSIONS, np.float32)
        assert set(index.search(query, 50)[0].tolist()) == {*range(10), *range(30, 50)}
        allowed = np.arange(50) < 30
        assert set(index.search(query, 50, Bits.of(allowed))[0].tolist()) == set(range(10))
        index.upsert(ordinals(0), np.zeros((1, DIMENSIONS), np.float32))
        assert 0 not in index.search(query, 50)[0]

    def test_an_upsert_replaces_and_adds(self, tmp_path: Path) -> None:
        """A later search finds the new rows and never the old ones; the last row of an ordinal counts."""
        vectors = self.vectors()
        index = self.index(vectors, tmp_path)
        best = np.full((1, DIMENSIONS), 9, np.float32)
        index.upsert(ordinals(5, 700), np.concatenate([best, 2 * best]))
        assert index.size == 701
        found, scores = index.search(best[0], 2)
        assert found.tolist() == [700, 5]
        np.testing.assert_allclose(scores, [1296, 648], rtol=0.01)
        index.upsert(ordinals(5, 5), np.concatenate([3 * best, -best]))
        assert index.search(best[0], 1)[0].tolist() == [700]
        allowed = Bits.of(np.ones(701, np.bool_))
        assert not set(index.search(best[0], 10, allowed.without(ordinals(700)))[0].tolist()) & {5, 700}
        assert 700 in index.search(2 * best[0], 701, allowed)[0]
        assert 700 not in index.search(best[0], 10, allowed.resized(600))[0]
        short = index.search(best[0], 600, allowed.resized(99))[0]
        assert set(short.tolist()) == set(range(99)), "what lies beyond the mask is not allowed"

    def test_added_rows_can_be_searched_alone(self, tmp_path: Path) -> None:
        """Only what was put in, as it stands now."""
        index = self.index(self.vectors(), tmp_path)
        query = np.ones(DIMENSIONS, np.float32)
        assert len(index.search_added(query, 5)[0]) == 0
        index.upsert(ordinals(5, 700, 9), np.outer([1, 2, 0], query).astype(np.float32))
        found, scores = index.search_added(query, 5)
        assert found.tolist() == [700, 5]
        np.testing.assert_allclose(scores, [16, 8], rtol=0.01)

    def test_neighbours_are_what_a_search_for_each_row_finds(self, tmp_path: Path) -> None:
        """The nearest others of what was built, best first; rows without a vector have none and are nobody's."""
        vectors = self.vectors()
        vectors[40:60] = 0
        index = self.index(vectors, tmp_path)
        index.upsert(ordinals(1, 700), np.full((2, DIMENSIONS), 99, np.float32))
        asked = ordinals(599, 50, *range(0, 40, 3))
        found = index.neighbours(asked, 10)
        assert found.shape == (len(asked), 10)
        assert found.dtype == np.int32
        assert (found[1] == -1).all()
        shares = []
        for item, near in zip(asked[asked != 50].tolist(), found[asked != 50], strict=True):
            assert not {item, *range(40, 60), 700, -1} & set(near.tolist())
            scores = vectors @ vectors[item]
            assert (np.diff(scores[near]) <= 1e-4).all()
            scores[[item, *range(40, 60)]] = -np.inf
            shares.append(np.isin(near, np.argsort(-scores)[:10]).mean())
        assert np.mean(shares) >= self.min_recall

    def test_neighbours_of_few_rows_are_padded(self, tmp_path: Path) -> None:
        """Fewer others than asked for: the rest is -1; equal ones stand by ordinal; an unknown ordinal is refused."""
        index = self.index(np.ones((4, DIMENSIONS), np.float32), tmp_path)
        assert index.neighbours(ordinals(2), 5).tolist() == [[0, 1, 3, -1, -1]]
        assert index.neighbours(ordinals(), 5).shape == (0, 5)
        with pytest.raises(InvalidInput):
            index.neighbours(ordinals(4), 5)

    def test_neighbours_of_equal_products_stand_by_ordinal(self, tmp_path: Path) -> None:
        """Also where only some of the equal ones fit: those of the lowest ordinals."""
        vectors = np.ones((40, DIMENSIONS), np.float32)
        vectors[30] = 2.0
        index = self.index(vectors, tmp_path)
        found = index.neighbours(ordinals(3, 0, 39), 5)
        assert found.tolist() == [[30, 0, 1, 2, 4], [30, 1, 2, 3, 4], [30, 0, 1, 2, 3]]

    def test_an_empty_index_can_be_searched_and_filled(self, tmp_path: Path) -> None:
        """No rows, nothing found; an upsert alone makes it useful."""
        index = self.index(np.zeros((0, DIMENSIONS), np.float32), tmp_path)
        query = np.ones(DIMENSIONS, np.float32)
        assert len(index.search(query, 5)[0]) == 0
        index.upsert(ordinals(3), query[None])
        assert index.search(query, 5)[0].tolist() == [3]

    def test_k_may_be_anything(self, tmp_path: Path) -> None:
        """More than there is returns what there is; zero returns nothing."""
        index = self.index(self.vectors(30), tmp_path)
        query = np.ones(DIMENSIONS, np.float32)
        assert sorted(index.search(query, 1_000)[0].tolist()) == list(range(30))
        assert len(index.search(query, 0)[0]) == 0

    def test_what_cannot_be_used_is_refused(self, tmp_path: Path) -> None:
        """Wrong shapes and numbers that are not finite are named, and nothing changes."""
        indexes = self.indexes()
        vectors = self.vectors(30)
        with pytest.raises(InvalidInput, match="vectors"):
            indexes.build(np.full((3, 2), np.nan, np.float32), tmp_path / "bad")
        index = self.index(vectors, tmp_path)
        for query in (np.ones(DIMENSIONS + 1, np.float32), np.full(DIMENSIONS, np.inf, np.float32)):
            with pytest.raises(InvalidInput, match="query"):
                index.search(query, 5)
        with pytest.raises(InvalidInput, match="vectors"):
            index.upsert(ordinals(1, 2), vectors[:1])
        with pytest.raises(InvalidInput, match="ordinals"):
            index.upsert(ordinals(-1), vectors[:1])
        assert index.size == 30

    def test_a_folder_without_an_index_is_corrupt(self, tmp_path: Path) -> None:
        """Opening what was never built says so."""
        with pytest.raises(BundleCorrupt):
            self.indexes().open(tmp_path / "nothing", self.vectors())
