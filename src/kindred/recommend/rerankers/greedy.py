"""A slate filled slot by slot: by relevance against likeness to one (MMR) or to all (DPP) of those already chosen."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats
from kindred.recommend.rerankers.constraints import Constraints

_LEAST_VOLUME = np.float32(1e-4)


class Gains(Protocol):
    """What each row would add to the rows chosen so far."""

    def now(self) -> Floats:
        """Return the gains (n,)."""
        ...

    def take(self, row: int) -> None:
        """Take a row in."""
        ...


class Relevance:
    """Scores alone."""

    def __init__(self, scores: Floats) -> None:
        """Keep `scores (n,)`."""
        self._scores = scores

    def now(self) -> Floats:
        """Return the scores."""
        return self._scores

    def take(self, row: int) -> None:
        """Change nothing."""


class Mmr:
    """`(1 - diversity) * score - diversity * highest cosine to the chosen` (Carbonell and Goldstein 1998)."""

    def __init__(self, scores: Floats, vectors: Floats, diversity: float) -> None:
        """Keep `scores (n,)` in [0, 1] and `vectors (n, d)` of length 1 or 0."""
        self._relevance = ((1 - diversity) * scores).astype(np.float32)
        self._penalty = np.zeros(len(scores), np.float32)
        self._vectors, self._near = vectors, vectors * np.float32(diversity)

    def now(self) -> Floats:
        """Return the gains (n,)."""
        return self._relevance - self._penalty

    def take(self, row: int) -> None:
        """Lessen what resembles a row."""
        np.maximum(self._penalty, self._near @ self._vectors[row], out=self._penalty)


class Dpp:
    """`(1 - diversity) * score + diversity * log of the volume that a row adds`: greedy MAP of a determinantal process.

    The kernel is exp(a r_i) S_ij exp(a r_j), with S the cosines, 1 on its diagonal, and a = (1 - diversity) /
    (2 diversity), times `diversity`; its Cholesky factor grows by one row a slot (Chen, Zhang, Zhou 2018). Where what
    was chosen spans all directions the added volume is held at 1e-4, so relevance decides.
    """

    def __init__(self, scores: Floats, vectors: Floats, diversity: float) -> None:
        """Keep `scores (n,)` in [0, 1] and `vectors (n, d)` of length 1 or 0."""
        self._relevance = ((1 - diversity) * scores).astype(np.float32)
        self._diversity = np.float32(diversity)
        self._vectors = vectors
        self._volume = np.ones(len(scores), np.float32)
        self._factor = np.empty((0, len(scores)), np.float32)

    def now(self) -> Floats:
        """Return the gains (n,)."""
        volume: Floats = np.log(np.maximum(self._volume, _LEAST_VOLUME))
        return self._relevance + self._diversity * volume

    def take(self, row: int) -> None:
        """Take out of all rows what a row says of them; one that adds no direction says nothing new."""
        if self._volume[row] <= _LEAST_VOLUME:
            return
        likeness = self._vectors @ self._vectors[row] - self._factor[:, row] @ self._factor
        added: Floats = likeness / np.sqrt(self._volume[row])
        self._factor = np.vstack([self._factor, added])
        self._volume = self._volume - np.square(added)


def greedy(gains: Gains, constraints: Constraints, wanted: int) -> NDArray[np.intp]:
    """Choose up to `wanted` rows (m,), each the one of highest gain that the constraints leave open, ties to the first.

    Fewer where nothing more is open.
    """
    chosen: list[int] = []
    while len(chosen) < wanted:
        row = constraints.due()
        if row is None:
            allowed = constraints.open
            row = int(np.where(allowed, gains.now(), -np.inf).argmax()) if len(allowed) else 0
            if not len(allowed) or not allowed[row]:
                break
        chosen.append(row)
        constraints.take(row)
        gains.take(row)
    return np.array(chosen, np.intp)
