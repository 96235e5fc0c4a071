"""The most popular items that a filter allows, kept for filters of which the bundle's own list holds too few."""

from dataclasses import dataclass

import numpy as np

from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Ordinals
from kindred.models.popularity import PopularityModel
from kindred.recommend.items.masks import KeptMask

KEPT = 1_000
"""Items on a list: a request leaves out what its user has seen."""
LISTS = 64
_MOVED = 10_000


@dataclass(frozen=True, slots=True)
class _List:
    """The best that `mask` allows, best first; `complete`: all of them, not the first `KEPT` alone."""

    mask: KeptMask
    items: Ordinals
    complete: bool


class PopularLists:
    """Lists by model and filter, the longest unused dropped first; they follow what the filters come to allow."""

    def __init__(self) -> None:
        """Start with none."""
        self._lists: dict[tuple[object, ...], _List] = {}

    def best(self, model: PopularityModel, mask: KeptMask) -> Ordinals:
        """Return up to 1,000 items that a mask allows and anybody used, by popularity, ties by ordinal."""
        key = (id(model), *mask.key)
        kept = self._lists.pop(key, None)
        if kept is None or kept.mask.stamp != mask.stamp:
            kept = (None if kept is None else _mended(kept, mask, model.scores)) or _made(mask, model.scores)
        self._lists[key] = kept
        if len(self._lists) > LISTS:
            del self._lists[next(iter(self._lists))]
        return kept.items


def _made(mask: KeptMask, scores: Floats) -> _List:
    """Make a list by a pass over what the mask allows."""
    rows = mask.bits.resized(min(len(scores), mask.bits.size)).ordinals()
    rows = rows[scores[rows] > 0]
    items = _first(rows, scores)
    return _List(mask, items, len(items) == len(rows))


def _mended(kept: _List, mask: KeptMask, scores: Floats) -> _List | None:
    """Return a list with what the mask allows now; None where that needs a pass."""
    old = kept.mask.bits.resized(mask.bits.size).packed
    came = Bits(mask.bits.packed & ~old, mask.bits.size).resized(min(len(scores), mask.bits.size))
    if came.count > _MOVED:
        return None
    rows = came.ordinals()
    rows = rows[scores[rows] > 0]
    if not kept.complete:
        # Behind the last of the list there may be others that are not on it.
        last = kept.items[-1]
        rows = rows[(scores[rows] > scores[last]) | ((scores[rows] == scores[last]) & (rows < last))]
    stay = kept.items[mask.bits.has(kept.items)]
    if not kept.complete and len(stay) + len(rows) < KEPT // 2:
        return None
    items = _first(np.concatenate([stay, rows]), scores)
    return _List(mask, items, kept.complete and len(items) == len(stay) + len(rows))


def _first(rows: Ordinals, scores: Floats) -> Ordinals:
    """Return the first `KEPT` of some ordinals by score, ties by ordinal."""
    values = scores[rows]
    if len(rows) > KEPT:
        least = np.partition(values, len(values) - KEPT)[len(values) - KEPT]
        rows, values = rows[values >= least], values[values >= least]
    return rows[np.lexsort((rows, -values))][:KEPT].astype(np.int32)
