"""A user's sessions as intervals: a late event can join two of them, so order of arrival does not matter."""

import itertools
from struct import Struct

import msgspec

_PAIR = Struct("<qq")
_END = Struct("<q")
_WIDTH = _PAIR.size


class Rolled(msgspec.Struct, frozen=True, gc=False):
    """Sessions as packed (start, end) int64 ms, ascending; and how many and how many ms went into the totals."""

    intervals: bytes
    sessions: int = 0
    length: int = 0


def kept_sessions(gap: int, lateness: int) -> int:
    """Return how many sessions, silent for `gap` s in between, an event `lateness` s late can reach."""
    return lateness // gap + 3


def add_session(intervals: bytes, timestamp: int, gap: int, keep: int) -> Rolled:
    """Add the moment `timestamp` (ms) to sessions that `gap` ms of silence part; the newest `keep` stay."""
    if not intervals:
        return Rolled(_PAIR.pack(timestamp, timestamp))
    start, end = _PAIR.unpack_from(intervals, len(intervals) - _WIDTH)
    if start <= timestamp <= end:
        return Rolled(intervals)
    if end < timestamp <= end + gap:
        return Rolled(intervals[: -_END.size] + _END.pack(timestamp))
    if timestamp > end:
        return _rolled(intervals + _PAIR.pack(timestamp, timestamp), keep)
    return join_sessions(intervals, _PAIR.pack(timestamp, timestamp), gap, keep)


def join_sessions(left: bytes, right: bytes, gap: int, keep: int) -> Rolled:
    """Join two lists of sessions; those not parted by more than `gap` ms become one."""
    joined: list[list[int]] = []
    for start, end in sorted([*_PAIR.iter_unpack(left), *_PAIR.iter_unpack(right)]):
        if joined and start <= joined[-1][1] + gap:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return _rolled(b"".join(itertools.starmap(_PAIR.pack, joined)), keep)


def _rolled(intervals: bytes, keep: int) -> Rolled:
    """Take away the oldest sessions over `keep`."""
    over = len(intervals) - keep * _WIDTH
    if over <= 0:
        return Rolled(intervals)
    gone = list(_PAIR.iter_unpack(intervals[:over]))
    return Rolled(intervals[over:], len(gone), sum(end - start for start, end in gone))


def session_list(intervals: bytes) -> list[tuple[int, int]]:
    """Return the (start, end) of each session in ms, ascending."""
    return list(_PAIR.iter_unpack(intervals))
