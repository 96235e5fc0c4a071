"""What a retrieval model is fitted on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kindred.core.candidates import Floats
from kindred.core.errors import InvalidInput
from kindred.models.preference import Interactions, Preferences

Progress = Callable[[str], None]


def silent(step: str) -> None:
    """Say nothing of a step."""


@dataclass(frozen=True, slots=True)
class FitInput:
    """Columns over `[0, n_items)` that any retrieval model learns from, and the limits it works in.

    `preferences`: what each user thinks of each item, sorted by user. `interactions`: the rows those came from, for
    models that need order, time or event types. `n_users`: users are numbered `[0, n_users)`. `content (n_items, d)
    float32`, float16 where it was saved: text vectors, None where there are none. `threads`: of fitting libraries, 0 =
    all cores. `work`: a folder that outlives an interrupted run, for checkpoints; None keeps none. Raises InvalidInput
    for weights that are none, naming the column, so that no model has to look again.
    """

    preferences: Preferences
    interactions: Interactions
    n_users: int
    n_items: int
    as_of: int
    content: Floats | None = None
    threads: int = 0
    work: Path | None = None
    progress: Progress = silent

    def __post_init__(self) -> None:
        """Check the numbers."""
        weights = self.preferences.confidence
        if not (np.isfinite(weights) & (weights >= 1)).all():
            raise InvalidInput.at("/preferences/confidence", "holds numbers that are not finite or below 1")
        if self.content is not None and not (len(self.content) == self.n_items and np.isfinite(self.content).all()):
            raise InvalidInput.at("/content", f"must be finite, with a row for each of {self.n_items} items")
