"""Features as of any moment of arrival: the folds that serve, run over the log again.

The changes come in order of arrival, as the consumer gets them; the value "as of t" is that of what stood in the log at
t. There is no second definition of any feature, so a training row and an answer cannot differ.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.core.position import START, Position
from kindred.core.query import Context
from kindred.features.changes import ItemAct, UserChange
from kindred.features.item_acts import Touched
from kindred.features.items import ItemRecord, fold_items, heads_of
from kindred.features.user_fold import Person, UserFold, fold_users
from kindred.features.users import UserRecord
from kindred.features.values.attributes import ItemAttributes
from kindred.features.values.config import DEFAULT, ValueConfig
from kindred.features.values.slate import FeatureValues, all_values


class Arrival(NamedTuple):
    """A change of a user's record that stood in the log at `arrival` (ms since 1970 UTC)."""

    arrival: int
    user_id: str
    change: UserChange


class Moment(NamedTuple):
    """Whose features are wanted, with items `ordinals (n,)`, in which circumstances; `context.time` says as of when.

    `content (d,)`, `collaborative (d,)` are what models knew of the user then.
    """

    user_id: str
    ordinals: Ordinals
    context: Context
    content: Floats | None = None
    collaborative: Floats | None = None


@dataclass(slots=True)
class Replay:
    """Records of users and items while changes are folded into them."""

    config: ValueConfig = DEFAULT
    users: dict[str, UserRecord | None] = field(default_factory=dict)
    items: dict[int, ItemRecord] = field(default_factory=dict)
    _folded: dict[str, Position] = field(default_factory=dict)
    _forgotten: dict[str, int] = field(default_factory=dict)

    def fold(self, arrivals: Sequence[Arrival]) -> list[UserFold]:
        """Fold changes in order of arrival, all of them at once, and return what became of each user."""
        by_user: dict[str, list[UserChange]] = {}
        for _, user_id, change in arrivals:
            by_user.setdefault(user_id, []).append(change)
        people = [
            Person(
                user_id,
                self.users.get(user_id),
                self._folded.get(user_id, START),
                changes,
                self._forgotten.get(user_id, 0),
            )
            for user_id, changes in by_user.items()
        ]
        folds = fold_users(people, self.config.fold)
        for person, fold in zip(people, folds, strict=True):
            if fold.position is not None:
                self.users[person.user_id] = fold.record
                self._folded[person.user_id] = fold.position
            if fold.erased is not None:
                self._forgotten[person.user_id] = fold.forgotten
        self._fold_items([act for fold in folds for act in fold.forward])
        return folds

    def values(self, moment: Moment, catalogue: ItemAttributes) -> FeatureValues:
        """Return every feature at a moment, of what is folded so far; `catalogue` covers ordinals from 0."""
        heads = heads_of([self.items.get(ordinal, _NOTHING) for ordinal in moment.ordinals.tolist()])
        record = self.users.get(moment.user_id)
        vectors = moment.content, moment.collaborative
        return all_values(record, moment.ordinals, heads, catalogue, moment.context, self.config, *vectors)

    def _fold_items(self, acts: Sequence[ItemAct]) -> None:
        """Add what users did to the items."""
        by_item: dict[int, list[ItemAct]] = {}
        for act in acts:
            by_item.setdefault(act.item, []).append(act)
        touched = [Touched(self.items.get(item, _NOTHING), found) for item, found in by_item.items()]
        for item, record in zip(by_item, fold_items(touched, self.config.fold), strict=True):
            if record is not None:
                self.items[item] = record


_NOTHING = ItemRecord()


def values_at(
    arrivals: Iterable[Arrival],
    moments: Sequence[Moment],
    catalogue: ItemAttributes,
    config: ValueConfig = DEFAULT,
) -> Iterator[tuple[Moment, FeatureValues]]:
    """Yield the features at each moment, in order of time; changes up to a moment are folded in one batch.

    `arrivals` must be in order of their positions; what arrived at the very millisecond of a moment counts.
    """
    replay = Replay(config)
    waiting = iter(arrivals)
    held = next(waiting, None)
    times = np.array([moment.context.time for moment in moments], np.int64)
    for place in np.argsort(times, kind="stable").tolist():
        batch = []
        while held is not None and held.arrival <= times[place]:
            batch.append(held)
            held = next(waiting, None)
        if batch:
            replay.fold(batch)
        yield moments[place], replay.values(moments[place], catalogue)
