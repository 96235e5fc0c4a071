"""What may stand at the next slot of a slate: pins, caps and the distance between items of one creator.

The stages that fill a slate slot by slot, by score, by difference or by a draw, all ask the same object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Mask, Ordinals
from kindred.core.query import Query
from kindred.recommend.placement_rules import pinned_items, promotions
from kindred.recommend.where.passing import wants_categories
from kindred.recommend.world import World

CATEGORY_CAP, PROMOTION_CAP = "category_cap", "promotion_cap"
_NO_CREATOR = -2


class Cap(NamedTuple):
    """Of each group of rows at most `most` may be chosen; `groups (n,)` int32, -1 for rows of none."""

    groups: Ordinals
    most: int
    name: str = CATEGORY_CAP


class Constraints:
    """One slate in the making: how many rows of each group are in it, and which rows are still open.

    Caps are never broken: a slate ends short rather. Pinned rows have their share of the caps from the beginning; a pin
    that would break one lapses. The distance between rows of one creator holds while a row is left that keeps it.
    """

    def __init__(
        self,
        size: int,
        caps: Sequence[Cap] = (),
        pins: Mapping[int, int] | None = None,
        creators: Ordinals | None = None,
        spacing: int = 0,
    ) -> None:
        """Start with nothing chosen of `size` rows; `pins`: row by slot from 0; `creators (n,)`, -1 for none."""
        self.changes = 0
        self._counted: list[tuple[list[int], dict[int, int], Cap]] = [(cap.groups.tolist(), {}, cap) for cap in caps]
        self._open = bytearray(b"\x01") * size
        self._taken: list[int] = []
        self._creators = creators if spacing else None
        self._spacing = spacing
        self._recent: list[int] = []
        self._slot = 0
        self._pins: dict[int, int] = {}
        for slot, row in sorted((pins or {}).items()):
            if self._open[row]:
                self._pins[slot] = row
                self._close(row)

    @classmethod
    def of(cls, world: World, query: Query, items: Ordinals) -> Self:
        """Return what a request asks of candidates (n,)."""
        spacing = query.params.creator_spacing
        creators = world.table.creator[items] if spacing else None
        return cls(len(items), caps_of(world, query, items), pinned_rows(query, items), creators, spacing)

    def copy(self) -> Self:
        """Return the same slate in the making, to be gone on with by itself."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._open, twin._taken, twin._pins = self._open.copy(), self._taken.copy(), self._pins.copy()
        twin._counted = [(groups, counts.copy(), cap) for groups, counts, cap in self._counted]
        return twin

    @property
    def open(self) -> Mask:
        """Return which rows (n,) may stand at the present slot, pinned ones left out."""
        standing: Mask = np.frombuffer(self._open, np.bool_)
        if self._creators is None or not self._recent:
            return standing
        apart: Mask = standing & (self._creators != self._recent[0])
        for creator in self._recent[1:]:
            apart &= self._creators != creator
        return apart if apart.any() else standing

    def first(self) -> int:
        """Return the first row that may stand at the present slot, -1 where none may."""
        if self._creators is None or not self._recent:
            return self._open.find(1)
        allowed = self.open
        row = int(allowed.argmax()) if len(allowed) else 0
        return row if len(allowed) and allowed[row] else -1

    def due(self) -> int | None:
        """Return the row that is pinned to the present slot, or, when no other row is open, the next pinned one."""
        if not self._pins:
            return None
        slot = self._slot if self._slot in self._pins else None
        if slot is None and 1 not in self._open:
            slot = min(self._pins)
        return None if slot is None else self._pins[slot]

    def take(self, row: int) -> None:
        """Choose a row, pinned or open, for the present slot."""
        if not self._pins or row not in self._pins.values():
            self._close(row)
        else:
            self._pins = {slot: one for slot, one in self._pins.items() if one != row}
        self._taken.append(row)
        self._slot += 1
        if self._creators is not None:
            self.changes += 1
            # A row without a creator keeps its distance from none, yet fills its slot: a number that no row bears.
            creator = int(self._creators[row]) if self._creators[row] >= 0 else _NO_CREATOR
            self._recent = [*self._recent, creator][-self._spacing :]

    def short_by(self) -> str | None:
        """Return the name of a cap that keeps a row closed, None where none does."""
        left = np.ones(len(self._open), np.bool_)
        left[self._taken] = False
        for _, counts, cap in self._counted:
            full = [group for group, count in counts.items() if count >= cap.most]
            if bool((np.isin(cap.groups, full) & left).any()):
                return cap.name
        return None

    def _close(self, row: int) -> None:
        """Count a row under the caps, and close it with all rows of the groups that it fills."""
        self._open[row] = 0
        for groups, counts, cap in self._counted:
            group = groups[row]
            if group >= 0:
                count = counts[group] = counts.get(group, 0) + 1
                if count == cap.most:
                    np.frombuffer(self._open, np.bool_)[cap.groups == group] = False
                    self.changes += 1


@dataclass(frozen=True, slots=True)
class CappedRoom:
    """What a slate has room for under the caps of its request."""

    world: World

    def fitting(self, query: Query, items: Ordinals, k: int) -> NDArray[np.intp]:
        """Return at most the first k rows of items (n,) that no cap keeps out of one slate, ascending."""
        return together(len(items), caps_of(self.world, query, items), k)


def together(size: int, caps: Sequence[Cap], k: int) -> NDArray[np.intp]:
    """Return the first k of `size` rows, ascending, that no cap keeps out of one slate."""
    if len(caps) == 1:
        return first_rows(caps[0].groups, caps[0].most, k)
    constraints = Constraints(size, caps)
    rows: list[int] = []
    while len(rows) < k and (row := constraints.first()) >= 0:
        constraints.take(row)
        rows.append(row)
    return np.array(rows, np.intp)


def caps_of(world: World, query: Query, items: Ordinals) -> list[Cap]:
    """Return what caps a request puts on a slate of items (n,)."""
    most = slots_per_category(query, world.table.primaries)
    caps = [Cap(world.table.primary[items], most)] if most < query.count else []
    promoted = promotions(world, query, items)
    return [*caps, *(Cap(np.where(meant, 0, -1).astype(np.int32), most, PROMOTION_CAP) for meant, most in promoted)]


def pinned_rows(query: Query, items: Ordinals) -> dict[int, int]:
    """Return which of items (n,) is pinned to each slot, from 0, of those that the request has."""
    pins = pinned_items(query)
    if not pins:
        return {}
    rows = {item: row for row, item in enumerate(items.tolist())}
    return {slot: rows[item] for slot, item in pins.items() if item in rows and slot < query.count}


def slots_per_category(query: Query, categories: int) -> int:
    """Return how often a primary category may stand in the slate, at least once.

    A request for a category is not capped, nor is a catalogue whose items are all of one category.
    """
    if wants_categories(query) or query.params.category_cap >= 1 or categories < 2:
        return query.count
    return max(1, int(query.params.category_cap * query.count + 1e-9))


def first_rows(groups: Ordinals, most: int, size: int) -> NDArray[np.intp]:
    """Return the first `size` rows, ascending, no group of `groups (n,)` more than `most` times, -1 always.

    However many rows of one category come first, the others are there to fill the slate.
    """
    if int(np.bincount(groups[:size] + 1)[1:].max(initial=0)) <= most:
        return np.arange(min(size, len(groups)))
    by_group = np.argsort(groups, kind="stable")
    ordered = groups[by_group]
    within = np.empty(len(groups), np.intp)
    within[by_group] = np.arange(len(groups)) - np.searchsorted(ordered, ordered)
    return np.flatnonzero((within < most) | (groups < 0))[:size]


def say_short(query: Query, constraints: Constraints, shown: int, candidates: int) -> None:
    """Leave in the request's `degraded` why a slate has fewer rows than asked for and than there are candidates.

    What the stage before this one said of its own order no longer holds.
    """
    said = [one for one in query.scratch.get("degraded", ()) if one not in SHORT.values()]
    cap = constraints.short_by() if shown < min(query.count, candidates) else None
    query.scratch["degraded"] = [*said, *([] if cap is None else [SHORT[cap]])]


SHORT = {name: f"under_filled:{name}" for name in (CATEGORY_CAP, PROMOTION_CAP)}
"""What an answer says where a cap of this name leaves it short."""
