"""The reserves that this process keeps, with what was read and worked out beside them."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from msgspec.structs import astuple

from kindred.core.candidates import Candidates
from kindred.core.query import UserFacts
from kindred.core.slate import Reason
from kindred.recommend.ask import ShownItem
from kindred.recommend.pools import NEW, SERENDIPITY
from kindred.recommend.rerankers.exploration import Deck
from kindred.recommend.reserves.reserve import Reserve, size_of

MOST_ARRANGED = 2
"""Arrangements kept of one reserve, each for another number of slots; the oldest goes first."""
# What the objects of a reserve take beside its arrays, an explained item with what is shown of it and how that
# is written, and a row to be drawn; about.
_OVERHEAD, _TOLD, _ROW = 8_192, 1_400, 150
# Of the columns behind it a draw reads these, and an answer shows them.
_DRAWN = ("score", "propensity", NEW, SERENDIPITY)


class Told(NamedTuple):
    """What an answer says of an item beside its place: the source with the largest share, all of them, the reason."""

    source: str
    sources: tuple[str, ...]
    reason: Reason


@dataclass(slots=True)
class Arranged:
    """Rows let through in the order of a slate, and of what: the catalogue's feed, and the stamps of the live masks.

    `said`: how it falls short of what was asked for. `drawn`: the same rows with what a draw reads alone; `deck`: what
    slates are drawn from, once one was. `shown`: by ordinal, what an answer shows of an item; the catalogue's part in
    it is as current as `seq` is. `written`: the same as an interface writes it.
    """

    seq: int
    stamps: tuple[int, ...]
    candidates: Candidates
    said: tuple[str, ...]
    drawn: Candidates
    deck: Deck | None = None
    shown: dict[int, ShownItem] = field(default_factory=dict)
    written: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, seq: int, stamps: tuple[int, ...], candidates: Candidates, said: Sequence[str]) -> Self:
        """Keep candidates that were put in order, and what was said of that."""
        drawn = {name: candidates.columns[name] for name in _DRAWN if name in candidates.columns}
        return cls(seq, stamps, candidates, tuple(said), Candidates(candidates.items, drawn))

    @property
    def size(self) -> int:
        """Return about how many bytes it takes, what is drawn from too."""
        return size_of(self.candidates) + len(self.candidates) * _ROW


@dataclass(slots=True)
class Held:
    """A reserve with the facts that it was ranked by, what the stages left beside them, and what came of it since.

    `until` (ms): when it is dropped from memory, no later than the reserve's own time. `arranged`: by number of slots,
    as `arrange` leaves them; `told`: by ordinal.
    """

    reserve: Reserve
    facts: UserFacts
    asked: Mapping[str, Any]
    until: int
    arranged: dict[int, Arranged] = field(default_factory=dict)
    told: dict[int, Told] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return about how many bytes it takes; what is worked out later adds to it."""
        facts, record = self.facts, self.asked.get("record")
        history = len(facts.history) * 17 + facts.seen.nbytes + facts.hidden.nbytes
        read = 0 if record is None else sum(len(part) for part in astuple(record) if isinstance(part, bytes))
        worked_out = sum(one.size for one in self.arranged.values()) + len(self.told) * _TOLD
        return self.reserve.size + history + read + worked_out + _OVERHEAD

    def arrange(self, count: int, arranged: Arranged) -> None:
        """Keep an arrangement for a number of slots."""
        self.arranged.pop(count, None)
        while len(self.arranged) >= MOST_ARRANGED:
            del self.arranged[next(iter(self.arranged))]
        self.arranged[count] = arranged


class NearReserves:
    """A bounded memory of reserves by (user, variant); the longest unused go first, those past their time too."""

    def __init__(self, most: int) -> None:
        """Keep about `most` bytes."""
        self._most = most
        self._size = 0
        self._held: OrderedDict[tuple[str, int], Held] = OrderedDict()
        self._sizes: dict[tuple[str, int], int] = {}

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
        if held.until <= now:
            self._drop(key)
            return None
        self._held.move_to_end(key)
        return held

    def keep(self, key: tuple[str, int], held: Held) -> None:
        """Keep a reserve, at the cost of those that were longest unused."""
        self._drop(key)
        size = held.size
        if size > self._most:
            return
        self._held[key], self._sizes[key] = held, size
        self._size += size
        while self._size > self._most:
            self._drop(next(iter(self._held)))

    def recount(self, key: tuple[str, int], held: Held) -> None:
        """Count what came of a reserve since, where it is still the one that is kept under its key."""
        if self._held.get(key) is held:
            self.keep(key, held)

    def sweep(self, now: int) -> None:
        """Drop what is past its time at `now` (ms)."""
        for key in [key for key, held in self._held.items() if held.until <= now]:
            self._drop(key)

    def _drop(self, key: tuple[str, int]) -> None:
        if self._held.pop(key, None) is not None:
            self._size -= self._sizes.pop(key)
