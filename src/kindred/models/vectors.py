"""What all models of vectors do alike: a user's vector times the items' vectors."""

import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.models.arrays import rows_at


def score_vectors(vectors: Floats, vector: Floats, candidates: Ordinals) -> Floats:
    """Return each candidate's inner product (c,) float32 with `vector (d,)`; 0 for items that `vectors` lacks."""
    scores: Floats = rows_at(vectors, candidates) @ vector
    return scores


def spread_vector(vectors: Floats, vector: Floats) -> tuple[Ordinals, Floats]:
    """Return the items whose inner product with `vector (d,)` is not 0, ascending, and the products, both (c,)."""
    scores = vectors @ vector
    items = np.flatnonzero(scores).astype(np.int32)
    return items, scores[items]
