"""Implicit ALS: item factors, and a user's vector solved from their history at request time."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.core.config import Config, Count, MoreThanZero, Share
from kindred.models.arrays import known, load_array, load_json, rows_at, save_array, save_json
from kindred.models.layers import Folder
from kindred.models.protocol import UserHistory
from kindred.models.search import Range, Space, Whole
from kindred.models.vectors import score_vectors, spread_vector

STEP = 1.1
"""Ratio between two steps of the weights that λ grows with."""


class AlsConfig(Config, frozen=True, kw_only=True):
    """How factors are learnt; confidences come from the preference function.

    `factors`: length d of a vector. `iterations`: alternations. `regularization`: λ on every vector's square, the mean
    over all. `regularization_exponent`: how λ grows with what is known of a user or an item; 0 takes the same for all.
    `full_pairs`: user-item pairs from which on the full λ holds; fewer take less, by the square root, because it would
    shrink every factor of a small catalogue to zero. `seed`: of the first factors.
    """

    factors: Count = 128
    iterations: Count = 8
    regularization: MoreThanZero = 30.0
    regularization_exponent: Share = 1.0
    full_pairs: Count = 50_000
    seed: int = 42

    def effective(self, pairs: int) -> float:
        """Return the λ that this many user-item pairs are learnt with."""
        return self.regularization * min(1.0, math.sqrt(max(pairs, 1) / self.full_pairs))


class Ridge(msgspec.Struct, frozen=True):
    """How strongly vectors of one side are held short: `λ · (weight / mean)^exponent` (Rendle et al. 2022, iALS).

    A vector's weight is that of all squared errors it takes part in: `unseen` of weight 1, and the confidence above 1
    of what is known; `mean`: over the side. It is rounded to steps of a tenth, within which a solver takes one λ.
    """

    regularization: float
    exponent: float = 0.0
    unseen: float = 0.0
    mean: float = 1.0

    @classmethod
    def fitted(cls, regularization: float, exponent: float, unseen: int, extra: Floats) -> Self:
        """Return the ridge of a side whose vectors have confidences above 1 that sum to `extra (m,)`."""
        return cls(regularization, exponent, float(unseen), unseen + float(extra.mean()))

    def steps(self, extra: Floats) -> NDArray[np.intp]:
        """Return the step (m,) of vectors whose confidences above 1 sum to `extra (m,)`."""
        if self.exponent == 0:
            return np.zeros(np.shape(extra), np.intp)
        weight = (np.asarray(extra, np.float64) + self.unseen) / self.mean
        return np.rint(np.log(np.maximum(weight, 1e-9)) / math.log(STEP)).astype(np.intp)

    def at(self, step: int) -> float:
        """Return the λ of a step."""
        return self.regularization * math.pow(STEP, self.exponent * step)


SEARCH: Space = {
    "factors": Whole(16, 256, log=True),
    "iterations": Whole(5, 25),
    "regularization": Range(1.0, 1_000.0, log=True),
    "regularization_exponent": Range(0.0, 1.0),
}
"""What tuning chooses from."""


class _Meta(msgspec.Struct):
    """What stands beside the arrays."""

    n_items: int
    factors: int
    ridge: Ridge
    item_ridge: Ridge
    config: AlsConfig


@dataclass(frozen=True, slots=True)
class UserSolve:
    """A user's vector and what explains it.

    `vector (d,) float32`; `items (h,) int32`, `confidence (h,) float32`, `positive (h,) bool`: the history that the
    model knows, `factors (h, d) float32` of its items; `cholesky (d, d) float32`: lower factor of the solved equation's
    matrix, None where there was nothing to solve. `empty`: the vector is zero, because nothing in the history is known
    and liked.
    """

    vector: Floats
    items: Ordinals
    confidence: Floats
    positive: Mask
    factors: Floats
    cholesky: Floats | None
    empty: bool


@dataclass(frozen=True, slots=True)
class AlsModel:
    """Item factors of an implicit matrix factorisation.

    `item_factors (n, d) float32`, zero for items nobody touched; `gram (d, d) float32`: YᵀY over all items;
    `user_gram (d, d) float32`: XᵀX over the users they were learnt from, which solving an item anew needs;
    `ridge`, `item_ridge`: what users and items were held short with, which folding in needs too.
    """

    item_factors: Floats
    gram: Floats
    user_gram: Floats
    ridge: Ridge
    item_ridge: Ridge
    config: AlsConfig

    @classmethod
    def from_factors(
        cls, item_factors: Floats, user_factors: Floats, ridge: Ridge, item_ridge: Ridge, config: AlsConfig
    ) -> Self:
        """Build the model from factors (n, d) and (u, d) float32 of items and users, and what held them short."""
        factors = np.ascontiguousarray(item_factors, np.float32)
        return cls(factors, gram_of(factors), gram_of(user_factors), ridge, item_ridge, config)

    def exchanged(self, user_factors: Floats, user_gram: Floats) -> Self:
        """Return the model with the two sides exchanged: folding in then solves an item from its users."""
        return type(self)(user_factors, user_gram, self.gram, self.item_ridge, self.ridge, self.config)

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the arrays cover."""
        return len(self.item_factors)

    @property
    def factors(self) -> int:
        """Return d."""
        return int(self.item_factors.shape[1])

    def fold_in(self, items: Ordinals, confidence: Floats, positive: Mask) -> UserSolve:
        """Solve a user's vector from their history, all (h,).

        `(YᵀY + λI + Σ (c - 1) y yᵀ) x = Σ c p y` (Hu, Koren, Volinsky 2008, section 4), p = 0 for what is disliked.
        Items newer than the model are left out.
        """
        covered = known(items, self.n_items)
        items, confidence, positive = items[covered], confidence[covered], positive[covered]
        mine = self.item_factors[items]
        wanted = np.where(positive, confidence, np.float32(0)) @ mine
        if not wanted.any():
            return UserSolve(np.zeros(self.factors, np.float32), items, confidence, positive, mine, None, True)
        # A product with its own transpose costs half of one with another matrix.
        extra = confidence - np.float32(1)
        scaled = mine * np.sqrt(extra)[:, None]
        system = (self.gram + scaled.T @ scaled).astype(np.float32, copy=False)
        system.flat[:: self.factors + 1] += np.float32(self.ridge.at(int(self.ridge.steps(extra.sum()))))
        cholesky, _ = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
        vector = cho_solve((cholesky, True), wanted, check_finite=False)
        return UserSolve(vector, items, confidence, positive, mine, cholesky, False)

    @property
    def item_vectors(self) -> Floats:
        """Return the item factors (n, d) float32."""
        return self.item_factors

    def represent(self, history: UserHistory) -> Floats:
        """Return the user's folded-in vector (d,) float32."""
        return self.solved(history).vector

    def solved(self, history: UserHistory) -> UserSolve:
        """Fold a history in, once however often it is asked for."""
        found = history.memo.get("als")
        if found is None or found[0] is not self:
            found = history.memo["als"] = self, self.fold_in(history.items, history.confidence, history.positive)
        solve: UserSolve = found[1]
        return solve

    def spread(self, history: UserHistory) -> tuple[Ordinals, Floats]:
        """Return the items with factors, ascending, and the preference for each, both (c,)."""
        return spread_vector(self.item_factors, self.represent(history))

    def score(self, history: UserHistory, candidates: Ordinals) -> Floats:
        """Return the preference for each candidate (c,) float32, mostly in [0, 1]; 0 for items newer than the model."""
        return score_vectors(self.item_factors, self.represent(history), candidates)

    def contributions(self, solve: UserSolve, candidates: Ordinals) -> Floats:
        """Return what each liked history item adds to each candidate's score, (c, h) float32; rows sum to the score.

        `y_i W y_j c_j` with W the inverse of the solved matrix (Hu, Koren, Volinsky 2008, section 5). Disliked items
        add 0: they only change W.
        """
        if solve.cholesky is None or not len(candidates):
            return np.zeros((len(candidates), len(solve.items)), np.float32)
        mine = rows_at(self.item_factors, candidates)
        # Fewer right-hand sides than history items: the slate is short, the history is not.
        weighted = cho_solve((solve.cholesky, True), mine.T, check_finite=False).T
        liked = np.where(solve.positive, solve.confidence, np.float32(0))
        parts: Floats = ((weighted @ solve.factors.T) * liked).astype(np.float32, copy=False)
        return parts

    def anchors(self, history: UserHistory, candidates: Ordinals) -> tuple[Ordinals, Floats]:
        """Return for each candidate the history item that adds most to its score, and how much, both (c,).

        -1 and 0 where no history item adds anything; ties go to the earlier item of the history.
        """
        solve = self.solved(history)
        parts = self.contributions(solve, candidates)
        if not parts.size:
            return np.full(len(candidates), -1, np.int32), np.zeros(len(candidates), np.float32)
        best = parts.argmax(axis=1)
        added = parts[np.arange(len(candidates)), best]
        found = added > 0
        anchors = np.where(found, solve.items[best], -1).astype(np.int32)
        return anchors, np.where(found, added, 0).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`."""
        self.save_meta(folder, self.n_items)
        save_array(folder, "item_factors", self.item_factors, room=True)
        self.save_grams(folder)

    def save_meta(self, folder: Path, n_items: int) -> None:
        """Write the small facts into `folder`, for arrays over `n_items` ordinals."""
        save_json(folder, "als", _Meta(n_items, self.factors, self.ridge, self.item_ridge, self.config))

    def save_grams(self, folder: Path) -> None:
        """Write what sums over all items and all users into `folder`."""
        save_array(folder, "gram", self.gram)
        save_array(folder, "user_gram", self.user_gram)

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the arrays read-only; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        meta = load_json(folder, "als", _Meta)
        factors = load_array(folder, "item_factors", np.float32, (meta.n_items, meta.factors))
        square = (meta.factors, meta.factors)
        gram, users = (load_array(folder, name, np.float32, square) for name in ("gram", "user_gram"))
        return cls(factors, gram, users, meta.ridge, meta.item_ridge, meta.config)


def gram_of(factors: Floats) -> Floats:
    """Return the (d, d) float32 sum of the outer products of rows (n, d)."""
    wide = factors.astype(np.float64)
    return (wide.T @ wide).astype(np.float32)
