"""What another policy would have earned, from logs that say how probable each choice was."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kindred.core.errors import InvalidInput
from kindred.evaluation import checks
from kindred.evaluation.intervals import Bootstrap, Interval, ratio_interval

Numbers = NDArray[np.float64]


def slate_weights(propensities: ArrayLike, targets: ArrayLike, pinned: ArrayLike | None = None) -> Numbers:
    """Return the importance weight of each slot, (s, k) float64, NaN for slots that are empty or pinned.

    `propensities (s, k)`: logged probability of the shown item given the slots before it, NaN where a slate is shorter;
    `targets (s, k)`: the same under the policy to be judged, which may be 0. A slot's weight is the product of the
    ratios up to it: what is shown there depends on what stands before, not behind (reward interaction IPS, McInerney
    et al. 2020). Raises InvalidInput for a propensity outside (0, 1] and a target outside [0, 1].
    """
    logged, wanted = _slots("propensities", propensities), _slots("targets", targets)
    shown = ~np.isnan(logged)
    if wanted.shape != logged.shape:
        raise InvalidInput.at("targets", f"has shape {wanted.shape}; pass one per propensity, {logged.shape}")
    if not ((logged[shown] > 0) & (logged[shown] <= 1)).all():
        raise InvalidInput.at("propensities", "holds a value outside (0, 1]; leave out slates logged without one")
    if not ((wanted[shown] >= 0) & (wanted[shown] <= 1)).all():
        raise InvalidInput.at("targets", "holds a value outside [0, 1]; pass a probability for every shown item")
    ratios = np.divide(wanted, logged, out=np.ones(logged.shape), where=shown)
    weights = np.where(shown, np.cumprod(ratios, axis=1), np.nan)
    return weights if pinned is None else np.where(np.asarray(pinned, np.bool_), np.nan, weights)


def ips(
    rewards: ArrayLike, weights: ArrayLike, *, users: ArrayLike | None = None, bootstrap: Bootstrap | None = None
) -> Interval:
    """Return the reward per slot by inverse propensity scoring (Horvitz and Thompson 1952): unbiased, of high variance.

    `rewards (s, k)` of shown items, `weights (s, k)` of `slate_weights`; slots of weight NaN are left out. `users
    (s,)`: whose slate each is, to be drawn together.
    """
    reward, weight = _rewarded(rewards, weights)
    slots = (~np.isnan(weight)).sum(axis=1).astype(np.float64)
    return ratio_interval(np.nansum(reward * weight, axis=1), slots, users=users, bootstrap=bootstrap)


def snips(
    rewards: ArrayLike, weights: ArrayLike, *, users: ArrayLike | None = None, bootstrap: Bootstrap | None = None
) -> Interval:
    """Return the reward per slot, self-normalised (Swaminathan and Joachims 2015): a little biased, of less variance.

    Arguments as of `ips`. Slots weigh alike; where the reward depends on the slot, judge slot by slot.
    """
    reward, weight = _rewarded(rewards, weights)
    above, below = np.nansum(reward * weight, axis=1), np.nansum(weight, axis=1)
    return ratio_interval(above, below, users=users, bootstrap=bootstrap)


def effective_size(weights: ArrayLike) -> float:
    """Return how many unweighted slots tell as much (Kish 1965), of weights of any shape, NaN left out."""
    known = np.asarray(weights, np.float64)
    known = known[~np.isnan(known)]
    return float(known.sum() ** 2 / np.square(known).sum()) if known.any() else 0.0


def _rewarded(rewards: ArrayLike, weights: ArrayLike) -> tuple[Numbers, Numbers]:
    reward, weight = _slots("rewards", rewards), _slots("weights", weights)
    checks.same_length(rewards=reward, weights=weight)
    if reward.shape != weight.shape:
        raise InvalidInput.at("rewards", f"has shape {reward.shape}; pass one per weight, {weight.shape}")
    if not np.isfinite(reward[~np.isnan(weight)]).all():
        raise InvalidInput.at("rewards", "is not finite for a slot that has a weight; pass 0 where nothing came of it")
    return reward, weight


def _slots(name: str, values: ArrayLike) -> Numbers:
    array = np.asarray(values, np.float64)
    if array.ndim != 2:
        raise InvalidInput.at(name, f"has {array.ndim} dimensions; pass a row per slate, a column per slot")
    return array
