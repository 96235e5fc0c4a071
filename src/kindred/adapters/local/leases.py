"""Leases as OS locks on files: freed by the kernel when their holder dies, fenced by a number that only grows."""

import asyncio
import fcntl
import os
import re
from pathlib import Path

import msgspec

from kindred.core import files
from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.ports.resource import Capabilities

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class _Holder(msgspec.Struct, frozen=True):
    """What stands in `<name>.fence`: the newest fencing number and to whom it was given."""

    fence: int = 0
    owner: str = ""


class LocalLeases:
    """`<name>.lock` is held by `flock`, `<name>.fence` says by whom; a forked child would share the lock."""

    def __init__(self, folder: Path) -> None:
        """Open or create the folder of leases; raise StoreUnavailable or StoreFull."""
        self._folder = folder
        self._held: dict[str, tuple[int, _Holder]] = {}
        with files.translating(str(folder)):
            files.make_folder(folder)

    @property
    def capabilities(self) -> Capabilities:
        """Return durable and shared: fencing numbers outlive every holder."""
        return Capabilities(durable=True, shared=True)

    async def acquire(self, name: str, owner: str) -> int | None:
        """Take the lease, or return None; whoever holds it already through this object gets the same number."""
        lock = self._path(name, "lock")
        if name in self._held and not await self.holds(name, self._held[name][1].fence):
            self._drop(name)
        if name in self._held:
            held = self._held[name][1]
            return held.fence if held.owner == owner else None
        with files.translating(str(lock)):
            handle = _try_lock(lock)
            if handle is None:
                # `holder` locks for microseconds to find out whether anyone does.
                await asyncio.sleep(0.002)
                handle = _try_lock(lock)
            if handle is None:
                return None
            try:
                holder = _Holder(self._read(name).fence + 1, owner)
                files.replace_file(self._path(name, "fence"), msgspec.json.encode(holder))
            except BaseException:
                os.close(handle)
                raise
        self._held[name] = handle, holder
        return holder.fence

    async def holds(self, name: str, fence: int) -> bool:
        """Say whether this object holds the lease under `fence`; not when its lock file was taken away."""
        handle, holder = self._held.get(name, (-1, _Holder()))
        if handle < 0 or holder.fence != fence:
            return False
        try:
            there, mine = os.stat(self._path(name, "lock")), os.fstat(handle)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino) and self._read(name).fence == fence

    async def holder(self, name: str) -> str | None:
        """Return who holds the lease, or None."""
        path = self._path(name, "lock")
        with files.translating(str(path)):
            if not path.exists():
                return None
            handle = _try_lock(path, fcntl.LOCK_SH)
            if handle is not None:
                os.close(handle)
                return None
            return self._read(name).owner

    async def release(self, name: str, fence: int) -> None:
        """Give the lease back; nothing happens when it is held under another number."""
        if self._held.get(name, (-1, _Holder()))[1].fence == fence:
            self._drop(name)

    async def check(self) -> None:
        """See that the folder is there and writable; raise StoreUnavailable."""
        if not os.access(self._folder, os.R_OK | os.W_OK | os.X_OK):
            raise StoreUnavailable(f"{self._folder}: make the folder, and writable for this user")

    async def close(self) -> None:
        """Give all leases back."""
        for name in list(self._held):
            self._drop(name)

    def _drop(self, name: str) -> None:
        handle, _ = self._held.pop(name, (-1, _Holder()))
        if handle >= 0:
            os.close(handle)

    def _path(self, name: str, ending: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidInput.at("/name", f"may have letters, digits, `_`, `.` and `-`, is {name[:40]!r}")
        return self._folder / f"{name}.{ending}"

    def _read(self, name: str) -> _Holder:
        path = self._path(name, "fence")
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Holder)
        except FileNotFoundError:
            return _Holder()
        except (msgspec.DecodeError, OSError) as error:
            # Starting again at 1 could repeat a number that a dead owner still uses.
            raise StoreUnavailable(f"{path}: cannot be read ({error}); restore it") from error


def _try_lock(path: Path, kind: int = fcntl.LOCK_EX) -> int | None:
    """Return a handle that holds the lock, or None while another does; raise OSError."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        os.close(handle)
        raise
    return handle


async def open_leases(location: str, home: Path) -> LocalLeases:
    """Open the leases in folder `location` of `home` (`leases` where empty)."""
    return LocalLeases(home / (location or "leases"))
