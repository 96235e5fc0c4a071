"""What exposures and clicks say of an item: a beta posterior of its click rate, and who is the best by chance."""

import numpy as np

from kindred.core.candidates import Candidates, Floats, Mask
from kindred.features.values.items import CTR, CTR_WEIGHT

EXPOSED, CLICKED = "tried.exposed", "tried.clicked"
DRAWS = 1_000
FLOOR = 0.1


def posterior(candidates: Candidates) -> tuple[Floats, Floats]:
    """Return the parameters (n,), (n,) of each row's click rate, from what its exposures brought.

    The prior is what the features `ctr_…` are smoothed by; a row of which nothing is known has it alone.
    """
    shown = np.nan_to_num(candidates.column(EXPOSED, 0.0))
    clicks = np.minimum(np.nan_to_num(candidates.column(CLICKED, 0.0)), shown)
    return clicks + np.float32(CTR * CTR_WEIGHT), shown - clicks + np.float32((1 - CTR) * CTR_WEIGHT)


def choice_frequencies(wins: Floats, losses: Floats, rng: np.random.Generator) -> Floats:
    """Return how often each of n items is the best over `DRAWS` draws of their beta posteriors, (n,) adding up to 1.

    Thompson sampling (Thompson 1933) as a distribution that can be logged; no item has less than 0.1 / n.
    """
    n = len(wins)
    best = rng.beta(wins, losses, (DRAWS, n)).argmax(axis=1)
    shares = np.maximum(np.bincount(best, minlength=n) / DRAWS, FLOOR / n)
    frequencies: Floats = (shares / shares.sum()).astype(np.float32)
    return frequencies


def chance_spent(candidates: Candidates, exposures: int) -> Mask:
    """Return which rows (n,) were shown as often as an item's chance lasts."""
    spent: Mask = candidates.column(EXPOSED, 0.0) >= exposures
    return spent


def promising(candidates: Candidates) -> Mask:
    """Return which rows (n,) are clicked at least as often as is usual, by the mean of their posterior."""
    wins, losses = posterior(candidates)
    found: Mask = wins >= np.float32(CTR) * (wins + losses)
    return found
