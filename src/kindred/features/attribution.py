"""Which exposure an outcome is put down to: a function of what was seen and done, whichever was heard of first."""

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

import numpy as np

from kindred.features.groups import FoldConfig

EXPOSURE = np.dtype([("timestamp", "<i8"), ("request", "<u8"), ("item", "<i4"), ("slot", "u1"), ("place", "u1")])
OUTCOME = np.dtype([("timestamp", "<i8"), ("request", "<u8"), ("item", "<i4"), ("kind", "u1"), ("dwell", "<u4")])
_EXPOSURE, _OUTCOME = Struct("<qQiBB"), Struct("<qQiBI")
_ITEM, _REQUEST, _TIME = Struct("<i"), Struct("<Q"), Struct("<q")
_CLOCKS_APART = 3_600_000
_MOST_PLACES = 255
_LAST_SLOT = 19

CLICK, CONVERSION, DWELL = 1, 2, 3
LONGEST_DWELL = 2**32 - 1


class Exposure(NamedTuple):
    """An item was shown: ms, hash of the request (0 = unknown), ordinal, slot 0 to 19, number of the placement."""

    timestamp: int
    request: int
    item: int
    slot: int
    place: int


class Outcome(NamedTuple):
    """A user did what an exposure is credited with: `kind` is CLICK, CONVERSION or DWELL, `dwell` ms below 2**32."""

    timestamp: int
    request: int
    item: int
    kind: int
    dwell: int = 0


class Credit(NamedTuple):
    """What an exposure brought: 0 or 1 click, 0 or 1 conversion, ms of dwell; a difference of two may be negative."""

    clicks: int = 0
    conversions: int = 0
    dwell_ms: int = 0


Credits = dict[Exposure, Credit]


def credited(exposures: Sequence[Exposure], outcomes: Sequence[Outcome], window: int) -> Credits:
    """Credit each outcome to the last exposure at most `window` ms before it, of its request where it names one.

    All are of one item. An exposure counts one click and one conversion at most.
    """
    found: Credits = {}
    for outcome in outcomes:
        best = max((exposure for exposure in exposures if _fits(exposure, outcome, window)), default=None)
        if best is not None:
            before = found.get(best, Credit())
            found[best] = Credit(
                before.clicks or int(outcome.kind == CLICK),
                before.conversions or int(outcome.kind == CONVERSION),
                before.dwell_ms + (outcome.dwell if outcome.kind == DWELL else 0),
            )
    return found


def _fits(exposure: Exposure, outcome: Outcome, window: int) -> bool:
    """Say whether an outcome may be due to an exposure of the same item."""
    if outcome.request and outcome.request != exposure.request:
        return False
    return 0 <= outcome.timestamp - exposure.timestamp <= window


def difference(before: Credits, after: Credits) -> Credits:
    """Return what changed, exposure by exposure."""
    changed: Credits = {}
    for exposure in {**before, **after}:
        old, new = before.get(exposure, Credit()), after.get(exposure, Credit())
        if old != new:
            changed[exposure] = Credit(*(b - a for a, b in zip(old, new, strict=True)))
    return changed


class Shown(NamedTuple):
    """What adding an exposure did: it is a `new` one, or it replaced `moved` (an earlier tell of it), or neither."""

    new: bool
    moved: Exposure | None
    credits: Credits


_NEW = Shown(True, None, {})


class Ledger:
    """A user's recent exposures and outcomes, as packed columns in order of time."""

    __slots__ = ("_config", "_horizon", "_window", "exposures", "outcomes", "places")

    def __init__(self, exposures: bytes, outcomes: bytes, places: list[str], config: FoldConfig) -> None:
        """Continue from the columns `exposures` and `outcomes` of a record; `places` are names of placements."""
        self.exposures, self.outcomes, self.places = exposures, outcomes, places
        self._config = config
        self._window = config.attribution * 1000
        self._horizon = horizon(config)

    def place(self, placement: str) -> int:
        """Return the number of a placement, of one without a name where too many are in use.

        A new name takes a number that no exposure bears any more, so that names which clients make up do not pile up;
        exposures of one placement are therefore added before the next one is asked for.
        """
        if placement in self.places:
            return self.places.index(placement)
        used = set(self.exposures[_EXPOSURE.size - 1 :: _EXPOSURE.size])
        free = min(set(range(len(self.places))) - used, default=len(self.places))
        if free >= _MOST_PLACES - 1 and placement:
            return self.place("")
        self.places = [*self.places[:free], placement, *self.places[free + 1 :]]
        return free

    def outcome(self, outcome: Outcome, arrival: int) -> Credits:
        """Add an outcome that arrived at `arrival` (ms) and return what it changes."""
        self._age(arrival)
        exposures = self._exposures_of(outcome.item)
        known = self._outcomes_of(outcome.item) if exposures else []
        last = len(self.outcomes) - _OUTCOME.size
        behind = last < 0 or outcome >= _OUTCOME.unpack_from(self.outcomes, last)
        self.outcomes += _OUTCOME.pack(*outcome)
        if not behind:
            self.outcomes = b"".join(_OUTCOME.pack(*one) for one in sorted(_OUTCOME.iter_unpack(self.outcomes)))
        self._limit_outcomes()
        if not exposures:
            return {}
        before = credited(exposures, known, self._window)
        return difference(before, credited(exposures, [*known, outcome], self._window))

    def shown(self, exposures: Sequence[Exposure], arrival: int) -> list[Shown]:
        """Add exposures of distinct items that one event told; return what each of them changes."""
        self._age(arrival)
        told = self.exposures.find(_REQUEST.pack(exposures[0].request)) >= 0 if exposures[0].request else False
        plain = [] if told else [one for one in exposures if not self._outcomes_of(one.item)]
        items = {one.item for one in plain}
        found = [_NEW if one.item in items else self._show(one, told) for one in exposures]
        if plain:
            self._insert(plain)
        return found

    def _show(self, exposure: Exposure, told: bool) -> Shown:
        """Add one exposure."""
        outcomes = self._outcomes_of(exposure.item)
        others = self._exposures_of(exposure.item) if told or outcomes else []
        same = [one for one in others if one.request == exposure.request] if exposure.request else []
        if same and same[0] <= exposure:
            return Shown(False, None, {})
        if same:
            self._drop(same[0])
        self._insert([exposure])
        left = [one for one in others if one not in same]
        before = credited(others, outcomes, self._window)
        after = credited([*left, exposure], outcomes, self._window)
        return Shown(not same, same[0] if same else None, difference(before, after))

    def absorb(self, other: "Ledger") -> None:
        """Take over another user's exposures and outcomes, as a merge of people does."""
        theirs = [Exposure(*row) for row in _EXPOSURE.iter_unpack(other.exposures)]
        for number in sorted({one.place for one in theirs}):
            place = self.place(other.places[number] if other.places else "")
            self._insert([one._replace(place=place) for one in theirs if one.place == number])
        joined = [*_OUTCOME.iter_unpack(self.outcomes), *_OUTCOME.iter_unpack(other.outcomes)]
        self.outcomes = b"".join(_OUTCOME.pack(*row) for row in sorted(joined))
        self._limit_outcomes()

    def _insert(self, exposures: Sequence[Exposure]) -> None:
        """Put exposures in their places, and drop the oldest over the limit."""
        added = sorted(exposures)
        last = len(self.exposures) - _EXPOSURE.size
        behind = last < 0 or added[0] >= _EXPOSURE.unpack_from(self.exposures, last)
        data = self.exposures + b"".join([_EXPOSURE.pack(*one) for one in added])
        if not behind:
            data = b"".join(_EXPOSURE.pack(*one) for one in sorted(_EXPOSURE.iter_unpack(data)))
        self.exposures = data[-self._config.exposures * _EXPOSURE.size :]

    def _drop(self, exposure: Exposure) -> None:
        """Take one exposure out."""
        self.exposures = b"".join(
            _EXPOSURE.pack(*one) for one in _EXPOSURE.iter_unpack(self.exposures) if one != exposure
        )

    def _limit_outcomes(self) -> None:
        """Drop outcomes over the limit, with the exposures up to them: these must not be credited twice."""
        over = len(self.outcomes) - self._config.outcomes * _OUTCOME.size
        if over > 0:
            newest_gone = _TIME.unpack_from(self.outcomes, over - _OUTCOME.size)[0]
            self.outcomes = self.outcomes[over:]
            self.exposures = _since(self.exposures, newest_gone + 1, EXPOSURE)

    def _age(self, arrival: int) -> None:
        """Drop what no event that is in time can concern any more."""
        oldest = arrival - self._horizon
        self.exposures = _since(self.exposures, oldest, EXPOSURE)
        self.outcomes = _since(self.outcomes, oldest, OUTCOME)

    def _exposures_of(self, item: int) -> list[Exposure]:
        """Return an item's exposures, oldest first."""
        if not self.exposures or self.exposures.find(_ITEM.pack(item)) < 0:
            return []
        rows = np.frombuffer(self.exposures, EXPOSURE)
        return [Exposure(*row) for row in rows[rows["item"] == item].tolist()]

    def _outcomes_of(self, item: int) -> list[Outcome]:
        """Return an item's outcomes, oldest first."""
        if not self.outcomes or self.outcomes.find(_ITEM.pack(item)) < 0:
            return []
        rows = np.frombuffer(self.outcomes, OUTCOME)
        return [Outcome(*row) for row in rows[rows["item"] == item].tolist()]


def horizon(config: FoldConfig) -> int:
    """Return for how many ms exposures and outcomes are kept: no event that is in time concerns older ones."""
    return (config.attribution + config.lateness) * 1000 + _CLOCKS_APART


def slot_of(position: int) -> int:
    """Return the slot that a position counts under."""
    return min(max(position, 0), _LAST_SLOT)


def _since(data: bytes, oldest: int, dtype: np.dtype[np.void]) -> bytes:
    """Drop rows before `oldest` (ms) from packed rows in order of time."""
    if not data or _TIME.unpack_from(data)[0] >= oldest:
        return data
    rows = np.frombuffer(data, dtype)
    return data[int(np.searchsorted(rows["timestamp"], oldest)) * dtype.itemsize :]
