"""A reserve: the best ranked items of a user with what finishing a slate reads, and its packed form."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Candidates
from kindred.core.errors import InvalidInput
from kindred.recommend.pools import needed

GRADE = "reserve_grade"
"""Under this name a query's scratch holds how its answer came about, where reserves were asked."""
MOST_ROWS = 200
# What `finish` and the sources behind a warm reserve read; features and single models' scores are made anew.
_KEPT = ("score", "raw.", "share.", "pool.")


class Grade(StrEnum):
    """How an answer came about: FRESH ran masks and slots alone, WARM ranked a reserve again, MISS did everything."""

    FRESH = "fresh"
    WARM = "warm"
    MISS = "miss"


@dataclass(frozen=True, slots=True)
class Reserve:
    """What was ranked, under the user's preference version and the bundle that it was ranked with; times are ms.

    `candidates`: at most 200 rows, best first, and behind them all others that slots may need. `made`:
    when the sources were asked. `fresh_until`: until when it stands as it is; `until`: until when it is used at all.
    `wanted`: items that its request asked for; `whole`: whether every item that was ranked is here; `filled`: whether
    all that was ranked fills a slate of `wanted` items under its caps.
    """

    version: int
    bundle: str
    made: int
    fresh_until: int
    until: int
    wanted: int
    whole: bool
    filled: bool
    strategy: str
    degraded: tuple[str, ...]
    candidates: Candidates

    def grade(self, version: int, bundle: str, now: int) -> Grade:
        """Return what the reserve is good for, for a user at `version` and a server with `bundle` at `now` (ms)."""
        if now >= self.until:
            return Grade.MISS
        same = self.version == version and self.bundle == bundle and now < self.fresh_until
        return Grade.FRESH if same else Grade.WARM

    def fills(self, left: int, count: int) -> bool:
        """Say whether `left` rows are enough for `count` slots: ranking everything would hardly do better."""
        if left == len(self.candidates) and self.whole and count <= self.wanted:
            return True
        return left >= count + (0 if self.whole else count // 2)

    def may_lack(self, count: int) -> bool:
        """Say whether rows that are not here might fill a slate of `count` items that a cap left short."""
        return not self.whole and (self.filled or count != self.wanted)

    @property
    def size(self) -> int:
        """Return about how many bytes the reserve takes."""
        return size_of(self.candidates)


def size_of(candidates: Candidates) -> int:
    """Return how many bytes the arrays of candidates take."""
    return (len(candidates.columns) + 2) * 4 * len(candidates)


def cut(ranked: Candidates, fitting: NDArray[np.intp]) -> tuple[Candidates, bool]:
    """Return the rows and columns of ranked candidates that a reserve holds, and whether those are all rows.

    Rows that are `fitting` one slate together are held wherever they stand.
    """
    columns = {name: column for name, column in ranked.columns.items() if name.startswith(_KEPT)}
    slim = Candidates(ranked.items, columns, ranked.provenance)
    if len(ranked) <= MOST_ROWS:
        return slim, True
    kept = needed(slim)
    kept[:MOST_ROWS] = True
    kept[fitting] = True
    return slim.take(kept), bool(kept.all())


def candidate_set(reserve: Reserve) -> Candidates:
    """Return the items of a reserve as its sources proposed them, ordinals ascending, to be scored again."""
    found = reserve.candidates
    raw = {name: column for name, column in found.columns.items() if name.startswith("raw.")}
    return Candidates(found.items, raw, found.provenance).take(np.argsort(found.items))


class _Packed(msgspec.Struct, array_like=True, gc=False):
    """A reserve as the shared cache holds it: `columns` are float32 rows one behind the other, in order of `names`."""

    variant: int
    version: int
    bundle: str
    made: int
    fresh_until: int
    until: int
    wanted: int
    whole: bool
    filled: bool
    strategy: str
    degraded: tuple[str, ...]
    names: tuple[str, ...]
    items: bytes
    provenance: bytes
    columns: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Packed]).decode


def pack(reserves: Sequence[tuple[int, Reserve]]) -> bytes:
    """Write a user's reserves, each under its variant."""
    packed = []
    for variant, one in reserves:
        found = one.candidates
        provenance = np.zeros(len(found), np.uint32) if found.provenance is None else found.provenance
        columns = b"".join(np.asarray(column, "<f4").tobytes() for column in found.columns.values())
        packed.append(
            _Packed(
                variant,
                one.version,
                one.bundle,
                one.made,
                one.fresh_until,
                one.until,
                one.wanted,
                one.whole,
                one.filled,
                one.strategy,
                one.degraded,
                tuple(found.columns),
                found.items.astype("<i4").tobytes(),
                provenance.astype("<u4").tobytes(),
                columns,
            )
        )
    return _encode(packed)


def unpack(data: bytes) -> list[tuple[int, Reserve]]:
    """Read a user's reserves; raise InvalidInput when the bytes are none."""
    try:
        return [(one.variant, _unpacked(one)) for one in _decode(data)]
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidInput(f"not a reserve: {error}") from error


def _unpacked(one: _Packed) -> Reserve:
    items = np.frombuffer(one.items, "<i4")
    matrix = np.frombuffer(one.columns, "<f4").reshape(len(one.names), len(items))
    candidates = Candidates(items, dict(zip(one.names, matrix, strict=True)), np.frombuffer(one.provenance, "<u4"))
    return Reserve(
        one.version,
        one.bundle,
        one.made,
        one.fresh_until,
        one.until,
        one.wanted,
        one.whole,
        one.filled,
        one.strategy,
        one.degraded,
        candidates,
    )
