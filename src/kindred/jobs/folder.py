"""The data folder's lock: any number of processes use a folder together, or one has it to itself."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kindred.core.errors import LeaseHeld, StoreUnavailable

LOCK = "folder.lock"
REPLACED = ".replaced"
"""What a data folder had before a restore; as long as it is there, the restore has not ended."""


def enter(home: Path) -> IO[bytes]:
    """Make a data folder, use it together with others, and return what says so until it is closed.

    Raises LeaseHeld while somebody has it alone, StoreUnavailable where it cannot be made or a restore was cut off.
    """
    handle = _open(home)
    try:
        if not _locked(handle, fcntl.LOCK_SH):
            raise LeaseHeld(f"{home} is being restored: wait for that to end")
        if (home / REPLACED).exists():
            raise StoreUnavailable(f"a restore of {home} was cut off: run `kindred restore` once more")
    except BaseException:
        handle.close()
        raise
    return handle


@contextmanager
def alone(home: Path, patience: float = 2.0) -> Iterator[None]:
    """Have a data folder to oneself; raise LeaseHeld when others use it for longer than `patience` seconds."""
    handle = _open(home)
    until = time.monotonic() + patience
    try:
        while not _locked(handle, fcntl.LOCK_EX):
            if time.monotonic() >= until:
                raise LeaseHeld(f"other processes use {home}: stop its servers, consumers and commands first")
            time.sleep(0.05)
        yield
    finally:
        handle.close()


def _open(home: Path) -> IO[bytes]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        return (home / LOCK).open("ab")
    except OSError as error:
        raise StoreUnavailable(f"the data folder {home} cannot be made: {error.strerror}; see KINDRED_HOME") from error


def _locked(handle: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise StoreUnavailable(
            f"{handle.name} cannot be locked ({error.strerror}): use a file system that can"
        ) from error
    return True
