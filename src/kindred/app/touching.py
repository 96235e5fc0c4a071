"""Touching: maps what a server reads into its memory at once, so that no request meets it page by page."""

import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

MOST = 4 << 30
"""Bytes that are touched at most, so that a bundle of many gigabytes neither delays a start nor fills the memory."""
# Linux 5.14 and later; the standard library has no name for it.
_POPULATE_READ = 22


def touch(folder: Path, most: int = MOST) -> int:
    """Map the pages of files below `folder` that this process has opened as memory; return how many bytes.

    The smallest files come first, and none that would make it more than `most`. A page that a request is the first to
    read costs it some microseconds, and random rows of large arrays are hundreds of pages a request. Where the system
    knows no such call, nothing is done.
    """
    system, touched = ctypes.CDLL(None), 0
    for start, size in sorted(_mapped(folder), key=lambda one: one[1]):
        if touched + size > most:
            break
        if system.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _POPULATE_READ) == 0:
            touched += size
    return touched


def _mapped(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield address and size of each mapping of a file below a folder, up to the file's end."""
    try:
        lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    except OSError:
        return
    within = f"{folder.resolve()}{os.sep}"
    for line in lines:
        addresses, rights, offset, _, _, *path = line.split(maxsplit=5)
        if not (path and path[0].startswith(within) and rights.startswith("r")):
            continue
        start, end = (int(number, 16) for number in addresses.split("-"))
        try:
            size = min(end - start, os.stat(path[0]).st_size - int(offset, 16))
        except OSError:
            continue
        if size >= mmap.PAGESIZE:
            yield start, size
