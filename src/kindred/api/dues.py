"""When each token's next call is due: in one process's memory, or in a file that all servers of a machine share."""

import fcntl
import mmap
import os
import shutil
import struct
from pathlib import Path
from typing import Protocol

import xxhash

from kindred.core import files

_MAX_TOKENS = 10_000
_SETS, _WAYS = 4_096, 16
_slot = struct.Struct("<Qd")
_SET_BYTES = _WAYS * _slot.size


class Dues(Protocol):
    """Keeps a moment for each token; one that has passed is as good as none."""

    def spend(self, token_id: str, cost: float, tolerance: float, now: float) -> float:
        """Put a token's moment off by `cost` seconds, unless it is more than `tolerance` ahead of `now`.

        Returns 0, or, with nothing changed, the seconds until it no longer is.
        """
        ...


class ProcessDues:
    """Moments of one process."""

    def __init__(self) -> None:
        """Start with no token."""
        self._due: dict[str, float] = {}

    def spend(self, token_id: str, cost: float, tolerance: float, now: float) -> float:
        """Put a token's moment off, or return how long it has to wait."""
        due = max(self._due.get(token_id, now), now)
        if due - tolerance > now:
            return due - tolerance - now
        if len(self._due) >= _MAX_TOKENS:
            self._due = {each: moment for each, moment in self._due.items() if moment > now}
        self._due[token_id] = due + cost
        return 0.0


class SharedDues:
    """Moments in a mapped file: a hash of the token leads to 16 places, which one process at a time may use.

    The file is of this start of the machine, whose monotonic clock all its processes share. Where all 16 places are
    taken by other tokens, the one that is due first is forgotten. A process that dies leaves no lock behind.
    """

    def __init__(self, folder: Path) -> None:
        """Open or create the file in `folder`; raise StoreUnavailable or StoreFull."""
        with files.translating(folder):
            for old in folder.glob("boot-*"):
                if old.name != files.boot_name():
                    shutil.rmtree(old, ignore_errors=True)
            place = folder / files.boot_name()
            place.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(place / "dues", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._handle, _SETS * _SET_BYTES)
            self._map = mmap.mmap(self._handle, _SETS * _SET_BYTES)

    def spend(self, token_id: str, cost: float, tolerance: float, now: float) -> float:
        """Put a token's moment off, or return how long it has to wait."""
        key = xxhash.xxh3_64_intdigest(token_id.encode()) or 1
        start = key % _SETS * _SET_BYTES
        fcntl.lockf(self._handle, fcntl.LOCK_EX, _SET_BYTES, start)
        try:
            place, due = self._find(key, start, now)
            if due - tolerance > now:
                return due - tolerance - now
            _slot.pack_into(self._map, place, key, due + cost)
            return 0.0
        finally:
            fcntl.lockf(self._handle, fcntl.LOCK_UN, _SET_BYTES, start)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
        os.close(self._handle)

    def _find(self, key: int, start: int, now: float) -> tuple[int, float]:
        """Return where a token's moment stands, or may stand, and the moment, `now` at the earliest."""
        first, least = start, float("inf")
        for place in range(start, start + _SET_BYTES, _slot.size):
            known, due = _slot.unpack_from(self._map, place)
            if known == key:
                return place, max(due, now)
            if due < least:
                first, least = place, due
        return first, now
