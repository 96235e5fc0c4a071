"""What every model of a bundle can do, and what every retrieval model can do for a user."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.core.config import Config
from kindred.models.layers import Folder


class Model(Protocol):
    """Trained arrays over the catalogue's ordinals `[0, n_items)`, kept in one folder of a bundle."""

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the arrays cover."""
        ...

    def save(self, folder: Path) -> None:
        """Write the arrays as `.npy` and small text as JSON into `folder`, which is made where it is missing."""
        ...

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the arrays of `folder` read-only; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        ...


@dataclass(frozen=True, slots=True)
class UserHistory:
    """What a retrieval model may know of a user, newest first, one row per distinct item.

    `items (h,) int32`, `confidence (h,) float32` (at least 1, from the preference function), `positive (h,) bool`
    (False: disliked), `timestamps (h,) int64` ms of the latest event (-1 unknown), `event_types (h,) int16` of that
    event into `names`. `as_of`: ms, when the question is asked. `memo`: what a model worked out of it, by model's name,
    with the model that did.
    """

    items: Ordinals
    confidence: Floats
    positive: Mask
    timestamps: NDArray[np.int64]
    event_types: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    names: tuple[str, ...] = ()
    as_of: int = 0
    memo: dict[str, tuple[object, Any]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def signed(self) -> Floats:
        """Return the confidences (h,) float32, negative where the item is disliked."""
        return np.where(self.positive, self.confidence, -self.confidence).astype(np.float32)


class Retriever(Model, Protocol):
    """A model that scores the whole catalogue for a user from their history alone, so that any user is served.

    A model of vectors has `item_vectors` and `represent`; its score is their inner product, and an index searches it.
    Any other has neither (None), and spreads a history over items instead.
    """

    @property
    def config(self) -> Config:
        """Return the settings it was fitted with."""
        ...

    @property
    def item_vectors(self) -> Floats | None:
        """Return (n, d) float32, zero for items that the model knows nothing of; None for a model without vectors."""
        ...

    def represent(self, history: UserHistory) -> Floats | None:
        """Return the user's vector (d,) float32, zero where nothing in the history is known and liked (a cold user)."""
        ...

    def spread(self, history: UserHistory) -> tuple[Ordinals, Floats]:
        """Return the items that the model has an opinion of, ascending, and their scores, both (c,).

        Nothing for a cold user. Seen items are not left out: that is a filter's work.
        """
        ...

    def score(self, history: UserHistory, candidates: Ordinals) -> Floats:
        """Return each candidate's score (c,) float32; 0 where the model has no opinion."""
        ...


@runtime_checkable
class Anchoring(Protocol):
    """What a retrieval model may have besides: it knows which item of a history brought a candidate."""

    def anchors(self, history: UserHistory, candidates: Ordinals) -> tuple[Ordinals, Floats]:
        """Return for each candidate the history item that adds most to its score, and how much, both (c,).

        -1 and 0 where no history item adds anything.
        """
        ...
