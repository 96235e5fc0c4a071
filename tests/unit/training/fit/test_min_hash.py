"""Min-hashing finds the pairs that share a good part of their users, and products are those of the whole."""

import numpy as np
from scipy.sparse import csr_matrix, random_array

from kindred.training.fit.min_hash import LikelyPairs, products


def test_likely_pairs_are_found_by_how_much_they_share() -> None:
    draw = np.random.default_rng(1)
    rows, columns, pairs = [], [], 600
    shared = {0: 0, 1: 2, 2: 10}
    for pair in range(pairs):
        both = shared[pair % 3]
        users = draw.choice(100_000, 40 - both, replace=False)
        rows += [2 * pair] * 20 + [2 * pair + 1] * 20
        columns += [*users[:20], *users[20 - both :]]
    matrix = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(2 * pairs, 100_000))
    likely = LikelyPairs(matrix).of(np.arange(0, 2 * pairs, 2, dtype=np.int32)).toarray()
    found = likely[np.arange(pairs), 2 * np.arange(pairs) + 1] > 0
    assert found[2::3].all(), "a third shared: 1 - (1 - 1/3)^48"
    assert 0.85 <= found[1::3].mean() <= 0.98, "a nineteenth shared: 1 - (1 - 1/19)^48 = 0.925"
    assert not found[0::3].any()


def test_counts_bound_the_pairs_and_unused_items_have_none() -> None:
    matrix = csr_matrix(random_array((50, 30), density=0.1, random_state=2, dtype=np.float32))
    matrix = csr_matrix(np.vstack([matrix.toarray(), np.zeros((3, 30), np.float32)]))
    likely, every = LikelyPairs(matrix), np.arange(53, dtype=np.int32)
    assert (np.diff(likely.of(every).indptr) <= likely.counts(every)).all()
    assert likely.of(every)[50:].nnz == 0
    empty = LikelyPairs(csr_matrix((4, 0), dtype=np.float32))
    assert empty.of(np.arange(4, dtype=np.int32)).nnz == 0


def test_products_in_parts_are_those_of_the_whole() -> None:
    matrix = csr_matrix(random_array((40, 20), density=0.3, random_state=3, dtype=np.float32))
    pairs = csr_matrix(random_array((10, 40), density=0.4, random_state=4))
    rows = np.arange(5, 15, dtype=np.int32)
    whole = (matrix[rows] @ matrix.T).toarray()
    for limit in (1, 60, 10**6):
        found = products(matrix, rows, pairs, limit)
        np.testing.assert_allclose(found.toarray(), np.where(pairs.toarray() > 0, whole, 0), rtol=1e-5)
