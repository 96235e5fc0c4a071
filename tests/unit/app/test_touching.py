"""What a server has mapped is in its memory before requests come."""

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from kindred.app.touching import touch

SIZE = 64 * mmap.PAGESIZE


def resident(path: Path) -> int:
    """Return how many KiB of a mapped file are in this process's memory."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.endswith(str(path)):
            return next(int(each.split()[1]) for each in lines if each.startswith("Rss:"))
    raise AssertionError(f"{path} is not mapped")


def mapped(path: Path, size: int = SIZE) -> np.memmap:
    path.write_bytes(bytes(size))
    return np.memmap(path, np.uint8, "r")


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is in memory")


def test_what_is_mapped_below_a_folder_is_touched(tmp_path):
    inside, outside = tmp_path / "home", tmp_path / "elsewhere"
    inside.mkdir()
    outside.mkdir()
    kept = [mapped(inside / "a"), mapped(outside / "b")]
    before = resident(outside / "b")
    assert touch(inside) == SIZE
    assert resident(inside / "a") == SIZE // 1024
    assert resident(outside / "b") == before
    assert len(kept) == 2


def test_the_smallest_come_first_and_the_rest_stays(tmp_path):
    kept = [mapped(tmp_path / "large", 4 * SIZE), mapped(tmp_path / "small")]
    assert touch(tmp_path, most=2 * SIZE) == SIZE
    assert touch(tmp_path, most=SIZE - 1) == 0
    assert touch(tmp_path) == 5 * SIZE
    assert len(kept) == 2


def test_a_mapping_beyond_the_end_of_its_file_is_touched_up_to_there(tmp_path):
    path = tmp_path / "grown"
    path.write_bytes(bytes(2 * mmap.PAGESIZE))
    with path.open("r+b") as file:
        kept = mmap.mmap(file.fileno(), 2 * mmap.PAGESIZE)
        file.truncate(mmap.PAGESIZE)
        assert touch(tmp_path) == mmap.PAGESIZE
    kept.close()


def test_a_folder_of_which_nothing_is_mapped(tmp_path):
    assert touch(tmp_path) == 0
