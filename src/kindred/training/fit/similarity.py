"""How alike two items are, from who chose them: what stands in the matrix, and what a product of two columns says."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import xlogy

from kindred.core.candidates import Floats
from kindred.models.item_item import ItemItemConfig


class Columns(NamedTuple):
    """Items' users as columns of a matrix: `matrix (users, n) float32`, and of each item its `size (n,) float32`."""

    matrix: csr_matrix
    size: Floats


class Similarity(NamedTuple):
    """`lay_out` turns the confidences (users, n) into columns.

    `judge` turns products (m,) of the column of an item of size `mine` with others of sizes `theirs (m,)` into
    similarities (m,) of at most 1, 0 for none.
    """

    lay_out: Callable[[csr_matrix, ItemItemConfig], Columns]
    judge: Callable[[Floats, float, Floats, int, ItemItemConfig], Floats]


def _cosine_columns(confidences: csr_matrix, config: ItemItemConfig) -> Columns:
    """Weight users by inverse user frequency (Breese, Heckerman, Kadie 1998); the size is the column's length."""
    matrix = confidences.copy()
    if config.user_weighting == "iuf":
        sizes = np.diff(matrix.indptr)
        matrix.data *= np.repeat(np.log1p(matrix.shape[1] / np.maximum(sizes, 1)).astype(np.float32), sizes)
    return Columns(matrix, np.sqrt(_sums(matrix.multiply(matrix))))


def _cosine(dots: Floats, mine: float, theirs: Floats, users: int, config: ItemItemConfig) -> Floats:
    """Return `x . y / (|x| |y| + shrinkage)` (shrinkage: Bell and Koren 2007)."""
    found: Floats = dots / (theirs * mine + config.shrinkage)
    return found


def _sets(confidences: csr_matrix, config: ItemItemConfig) -> Columns:
    """Take each item as the set of its users; the size is how many they are."""
    matrix = confidences.copy()
    matrix.data[:] = 1
    return Columns(matrix, _sums(matrix))


def _jaccard(dots: Floats, mine: float, theirs: Floats, users: int, config: ItemItemConfig) -> Floats:
    """Return the share of the users of either who are users of both, with `shrinkage` more users of one alone."""
    found: Floats = dots / (theirs + mine - dots + config.shrinkage)
    return found


def _llr(dots: Floats, mine: float, theirs: Floats, users: int, config: ItemItemConfig) -> Floats:
    """Return `1 - 1 / (1 + G²)` with Dunning's (1993) log-likelihood ratio; 0 for fewer shared users than chance."""
    both, total = dots.astype(np.float64), float(users)
    cells = np.stack([both, mine - both, theirs - both, total - mine - theirs + both])
    matrix, rows, columns = (
        xlogy(part, part).sum(axis=0)
        for part in (cells, np.stack([cells[0] + cells[1], cells[2] + cells[3]]), np.stack([theirs, total - theirs]))
    )
    ratio = np.maximum(2 * (matrix - rows - columns + xlogy(total, total)), 0)
    surprising = both * total > mine * theirs.astype(np.float64)
    return np.where(surprising, 1 - 1 / (1 + ratio), 0).astype(np.float32)


def _bm25_columns(confidences: csr_matrix, config: ItemItemConfig) -> Columns:
    """Weight by BM25 (Robertson and Walker 1994): an item is a document, its users are the terms.

    All is divided by the length of the longest column, so that no product exceeds 1.
    """
    matrix, lengths = confidences.copy(), _sums(confidences)
    sizes = np.diff(matrix.indptr)
    # A user of all items says nothing of any.
    rarity = np.log((1 + matrix.shape[1]) / (1 + sizes)).astype(np.float32)
    mean = max(float(lengths.mean()), 1e-9) if len(lengths) else 1.0
    damped = config.bm25_k1 * (1 - config.bm25_b + config.bm25_b * lengths / mean)
    matrix.data *= (config.bm25_k1 + 1) / (damped[matrix.indices] + matrix.data) * np.repeat(rarity, sizes)
    matrix.data /= max(float(np.sqrt(_sums(matrix.multiply(matrix))).max(initial=0)), 1e-9)
    return Columns(matrix, lengths)


def _product(dots: Floats, mine: float, theirs: Floats, users: int, config: ItemItemConfig) -> Floats:
    """Return the product as it is."""
    return dots


def _sums(matrix: csr_matrix) -> NDArray[np.float32]:
    return np.asarray(matrix.sum(axis=0), np.float32).ravel()


SIMILARITIES: Mapping[str, Similarity] = {
    "cosine": Similarity(_cosine_columns, _cosine),
    "jaccard": Similarity(_sets, _jaccard),
    "llr": Similarity(_sets, _llr),
    "bm25": Similarity(_bm25_columns, _product),
}
