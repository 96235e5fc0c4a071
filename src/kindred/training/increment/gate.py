"""The light gate: what an increment must pass before it serves."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from kindred.core.bits import Bits
from kindred.core.candidates import Mask, Ordinals
from kindred.core.errors import BundleRefused
from kindred.models.arrays import top_k
from kindred.models.preference import Preferences, preferences
from kindred.recommend.model_set import ModelSet
from kindred.training.config import IncrementConfig, TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.gate.check import Check
from kindred.training.increment.changes import Change
from kindred.training.increment.fresh import Fresh

_LONGEST_HISTORY = 500


class IncrementRefused(BundleRefused):
    """An increment did not pass the gate; the active bundle stays."""

    title = "The increment was refused"

    def __init__(self, check: Check, active: str) -> None:
        """Say which check it was, and by how much."""
        super().__init__(f"the increment was refused, bundle {active} stays: {check.said}")
        self.check = check


class CanaryQuestion(NamedTuple):
    """A user's history and the item that comes after it, all before the base."""

    items: Ordinals
    confidence: NDArray[np.float32]
    positive: Mask
    wanted: int


def share_check(fresh: Fresh, config: IncrementConfig) -> Check:
    """See that no user makes more of what is new than the rule allows."""
    said = f"one user makes {fresh.share:.1%} of what is new since the base, at most {config.user_share:.1%} is allowed"
    return Check("user_share", fresh.share, config.user_share, said)


def finite_check(changes: list[Change]) -> Check:
    """See that every changed value is a number; an average may be missing."""
    bad = sum(int((~np.isfinite(one.values)).sum()) for one in changes if one.place != "ratings")
    bad += sum(int(np.isinf(one.values).sum()) for one in changes if one.place == "ratings")
    return Check("finite", bad, 0, f"{bad} changed values are not finite, none may be")


def norm_checks(before: NDArray[np.float32], change: Change, config: IncrementConfig) -> list[Check]:
    """See that changed factors keep their length: the median against what stood, the longest against the longest."""
    stood = change.rows < len(before)
    old = np.linalg.norm(before[change.rows[stood]], axis=1)
    new = np.linalg.norm(change.values, axis=1)
    both = (old > 0) & (new[stood] > 0)
    moved = abs(float(np.median(new[stood][both] / old[both])) - 1) if both.any() else 0.0
    longest = float(np.linalg.norm(before, axis=1).max(initial=0.0))
    grown = float(new.max(initial=0.0)) / longest - 1 if longest > 0 else 0.0
    limit = config.norm_drift
    return [
        Check("norm_drift", moved, limit, f"the median factor's length moved by {moved:.1%}, at most {limit:.1%} may"),
        Check("norm_longest", grown, limit, f"a factor is {grown:.1%} longer than the longest, at most {limit:.1%}"),
    ]


def canary_questions(dataset: Dataset, fresh: Fresh, as_of: int, configs: TrainConfigs) -> list[CanaryQuestion]:
    """Choose users by a hash of their id and ask for their newest liked item before the base: the same all day long."""
    rows = dataset.interactions.take(~fresh.since_base)

    def drawn(user: int) -> int:
        return xxhash.xxh3_64_intdigest(dataset.user_ids[user].encode())

    by_hash = sorted(np.unique(rows.users).tolist(), key=drawn)
    # Some have only one item, and cannot be asked.
    chosen = np.array(by_hash[: 2 * configs.increment.canary_users], np.int32)
    found = preferences(rows.take(np.isin(rows.users, chosen)), as_of, configs.preference)
    asked = {int(user): question for user in chosen if (question := _question(found, int(user))) is not None}
    return list(asked.values())[: configs.increment.canary_users]


def canary_check(before: ModelSet, after: ModelSet, asked: list[CanaryQuestion], config: IncrementConfig) -> Check:
    """See that as many wanted items are found as before, by the index that servers search, but for a share and one."""
    old, new = (sum(_finds(models, asked, config.canary_depth)) for models in (before, after))
    lost, limit = float(old - new), config.canary_loss * old + 1
    said = f"of {old} items that were found for {len(asked)} users {new} are, at most {limit:.1f} may get lost"
    return Check("canary", lost, limit, said)


def _question(rows: Preferences, user: int) -> CanaryQuestion | None:
    mine = rows.take(slice_of(rows, user))
    liked = np.flatnonzero(mine.positive)
    if len(mine) < 2 or not len(liked):
        return None
    wanted = int(liked[np.argmax(mine.timestamps[liked])])
    rest = np.flatnonzero(np.arange(len(mine)) != wanted)[-_LONGEST_HISTORY:]
    return CanaryQuestion(mine.items[rest], mine.confidence[rest], mine.positive[rest], int(mine.items[wanted]))


def slice_of(rows: Preferences, user: int) -> NDArray[np.intp]:
    """Return where a user's rows stand."""
    start, end = np.searchsorted(rows.users, [user, user + 1])
    return np.arange(start, end)


def _finds(models: ModelSet, asked: list[CanaryQuestion], depth: int) -> Iterator[bool]:
    """Say for each question whether its item is among the first `depth` that the user does not have yet.

    By the factors' index, which servers search; in a bundle without factors by the neighbour lists.
    """
    als, size = models.als, models.n_items if models.als is None else models.indexes["als"].size
    allowed = np.ones(max(size, models.n_items), np.bool_)
    for question in asked:
        allowed[question.items] = False
        if als is None:
            signed = np.where(question.positive, question.confidence, -question.confidence)
            items, scores = models.item_item.score_history(question.items, signed)
            open_ = allowed[items]
            found = items[open_][top_k(scores[open_], depth)]
        else:
            solve = als.fold_in(question.items, question.confidence, question.positive)
            found, _ = models.indexes["als"].search(solve.vector, 0 if solve.empty else depth, Bits.of(allowed))
        allowed[question.items] = True
        yield question.wanted in found
