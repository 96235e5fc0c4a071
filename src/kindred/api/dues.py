"""When each token's next call is due: in one process's memory, or in a file that all servers of a machine share."""

import contextlib
import fcntl
import mmap
import os
import shutil
import struct
import time
from pathlib import Path
from typing import Protocol

import xxhash

from kindred.core import files

_MAX_TOKENS = 10_000
_SETS, _WAYS = 4_096, 16
# What a process does inside takes microseconds, as do so many tries; where it was put to sleep there, pauses (seconds)
# let it go on. Who has waited in vain is in a hurry for a while (seconds).
_TRIES, _PAUSES, _PAUSE, _HURRY = 20, 10, 2e-4, 0.1
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
        self.put(token_id, due + cost, now)
        return 0.0

    def put(self, token_id: str, due: float, now: float) -> None:
        """Set a token's moment."""
        if len(self._due) >= _MAX_TOKENS:
            ahead = [(each, moment) for each, moment in self._due.items() if moment > now]
            self._due = dict(ahead[-_MAX_TOKENS // 2 :])
        self._due[token_id] = due


class SharedDues:
    """Moments in a mapped file: a hash of the token leads to 16 places, which one process at a time may use.

    The file is of this start of the machine, whose monotonic clock all its processes share. Where all 16 places are
    taken by other tokens, the one that is due first is forgotten. A process that dies leaves no lock behind; one
    that is stopped inside keeps nobody waiting: the others count for themselves, and add that when the file is free.
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
        # Moments as last seen here, and what was spent since that the file does not hold.
        self._seen = ProcessDues()
        self._apart: dict[str, float] = {}
        self._hurry_until = 0.0

    def spend(self, token_id: str, cost: float, tolerance: float, now: float) -> float:
        """Put a token's moment off, or return how long it has to wait."""
        key = xxhash.xxh3_64_intdigest(token_id.encode()) or 1
        start = key % _SETS * _SET_BYTES
        if not self._locked(start):
            wait = self._seen.spend(token_id, cost, tolerance, now)
            if not wait:
                self._apart[token_id] = self._apart.get(token_id, 0.0) + cost
            return wait
        try:
            place, due = self._find(key, start, now)
            due += self._apart.pop(token_id, 0.0)
            wait = max(due - tolerance - now, 0.0)
            due += 0.0 if wait else cost
            _slot.pack_into(self._map, place, key, due)
            self._seen.put(token_id, due, now)
            return wait
        finally:
            fcntl.lockf(self._handle, fcntl.LOCK_UN, _SET_BYTES, start)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
        os.close(self._handle)

    def _locked(self, start: int) -> bool:
        """Lock a set of places unless another process holds on to it."""
        patient = time.monotonic() >= self._hurry_until
        for number in range(_TRIES + _PAUSES * patient):
            if number >= _TRIES:
                time.sleep(_PAUSE)
            with contextlib.suppress(BlockingIOError):
                fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB, _SET_BYTES, start)
                return True
        if patient:
            self._hurry_until = time.monotonic() + _HURRY
        return False

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
