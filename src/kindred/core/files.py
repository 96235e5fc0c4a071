"""Durable steps on files, and the file system's errors in Kindred's words."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash

from kindred.core.errors import StoreFull, StoreUnavailable

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BLOCK = 1 << 20
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@contextmanager
def translating(store: str | Path) -> Iterator[None]:
    """Turn the file system's errors into StoreFull or StoreUnavailable that name `store`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFull(f"{store}: no room left on the disk; make room and try again") from error
        raise StoreUnavailable(f"{store}: {error.strerror or error}") from error


def is_full(path: Path) -> bool:
    """Say whether the file system of `path` has less than 1 MiB left; raise OSError."""
    system = os.statvfs(path)
    return system.f_bavail * system.f_frsize < 1 << 20


def boot_name() -> str:
    """Name this start of the machine, for files that mean nothing after the next; where nothing tells, always alike."""
    try:
        return "boot-" + _BOOT_ID.read_text().strip()
    except OSError:
        return "boot-unknown"


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's entries, outlive the end of the machine; raise OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Create a folder durably: the entries of every folder made on the way are synced; raise OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in place of what stands at `path`: durably, and readers see the old or the new; raise OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.write_bytes(data)
        sync(draft)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def listed(folder: Path) -> dict[str, tuple[int, str]]:
    """Return every file below `folder`: name with `/`, size in bytes and xxh3-128 in hex; raise OSError."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.stat().st_size, hashed(path)) for path in paths}


def hashed(path: Path) -> str:
    """Return the xxh3-128 of a file's bytes in hex; raise OSError."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
