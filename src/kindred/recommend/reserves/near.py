"""The reserves that this process keeps, with what was read and worked out beside them."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kindred.core.candidates import Candidates
from kindred.core.query import UserFacts
from kindred.core.slate import Reason
from kindred.recommend.reserves.reserve import Reserve

# What a reserve's objects take beside its arrays, about: names, a few explained items, an order.
_OVERHEAD = 16_384


class Told(NamedTuple):
    """What an answer says of an item beside its place: the source with the largest share, all of them, the reason."""

    source: str
    sources: tuple[str, ...]
    reason: Reason


class Arranged(NamedTuple):
    """Rows let through in the order of a slate, and of what: the catalogue's feed, and the stamps of the live masks."""

    seq: int
    stamps: tuple[int, ...]
    candidates: Candidates


@dataclass(slots=True)
class Held:
    """A reserve with the facts that it was ranked by, what the stages left beside them, and what came of it since.

    `arranged`: by number of slots; `told`: by ordinal.
    """

    reserve: Reserve
    facts: UserFacts
    asked: Mapping[str, Any]
    arranged: dict[int, Arranged] = field(default_factory=dict)
    told: dict[int, Told] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return about how many bytes it takes."""
        facts = self.facts
        history = len(facts.history) * 17 + facts.seen.nbytes + facts.hidden.nbytes
        return self.reserve.size + 2 * history + _OVERHEAD


class NearReserves:
    """A bounded memory of reserves by (user, variant); the longest unused go first, those past their time too."""

    def __init__(self, most: int) -> None:
        """Keep about `most` bytes."""
        self._most = most
        self._size = 0
        self._held: OrderedDict[tuple[str, int], Held] = OrderedDict()

    @property
    def size(self) -> int:
        """Return about how many bytes are kept."""
        return self._size

    def __len__(self) -> int:
        """Return how many reserves are kept."""
        return len(self._held)

    def find(self, key: tuple[str, int], now: int) -> Held | None:
        """Return what is kept under a key and not past its time at `now` (ms)."""
        held = self._held.get(key)
        if held is None:
            return None
        if held.reserve.until <= now:
            self._drop(key)
            return None
        self._held.move_to_end(key)
        return held

    def keep(self, key: tuple[str, int], held: Held) -> None:
        """Keep a reserve, at the cost of those that were longest unused."""
        self._drop(key)
        if held.size > self._most:
            return
        self._held[key] = held
        self._size += held.size
        while self._size > self._most:
            self._drop(next(iter(self._held)))

    def sweep(self, now: int) -> None:
        """Drop what is past its time at `now` (ms)."""
        for key in [key for key, held in self._held.items() if held.reserve.until <= now]:
            self._drop(key)

    def _drop(self, key: tuple[str, int]) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self._size -= held.size
