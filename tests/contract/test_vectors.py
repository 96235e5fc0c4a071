"""The vector indexes keep their port's contract, and damaged files are found."""

from pathlib import Path

import numpy as np
import pytest

from kindred.adapters.local.vector_side import SideSegment
from kindred.adapters.local.vectors import DESCRIPTION, LIVE, LocalVectorIndexes, VectorConfig
from kindred.adapters.memory.vectors import MemoryVectorIndexes
from kindred.core.errors import BundleCorrupt, StoreFull
from kindred.ports.vectors import VectorIndexes
from kindred.testing.vectors_suite import VectorsSuite

FLAT = VectorConfig(exact_rows=0)
LISTS = VectorConfig(exact_rows=0, flat_rows=0)


class TestMemoryVectors(VectorsSuite):
    min_recall = 1.0

    def indexes(self) -> VectorIndexes:
        return MemoryVectorIndexes()


class TestExactVectors(VectorsSuite):
    min_recall = 1.0

    def indexes(self) -> VectorIndexes:
        return LocalVectorIndexes()


class TestFlatVectors(VectorsSuite):
    def indexes(self) -> VectorIndexes:
        return LocalVectorIndexes(FLAT)


@pytest.mark.filterwarnings("ignore::UserWarning")
class TestListVectors(VectorsSuite):
    min_recall = 0.75

    def indexes(self) -> VectorIndexes:
        return LocalVectorIndexes(LISTS)


@pytest.mark.parametrize("config", [VectorConfig(), FLAT, LISTS])
@pytest.mark.parametrize("damage", ["cut", "removed", "description", "live"])
def test_a_damaged_index_is_corrupt(tmp_path: Path, config: VectorConfig, damage: str) -> None:
    vectors = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    vectors[3] = 0
    indexes = LocalVectorIndexes(config)
    indexes.build(vectors, tmp_path)
    indexes.open(tmp_path)
    rows = next(path for path in tmp_path.iterdir() if path.name not in (DESCRIPTION, LIVE))
    match damage:
        case "cut":
            rows.write_bytes(rows.read_bytes()[:-100])
        case "removed":
            rows.unlink()
        case "description":
            (tmp_path / DESCRIPTION).write_text('{"kind": "exact"')
        case "live":
            (tmp_path / LIVE).unlink()
    with pytest.raises(BundleCorrupt, match=str(tmp_path)):
        indexes.open(tmp_path)


def test_a_full_side_segment_refuses_and_changes_nothing() -> None:
    side = SideSegment(2, capacity=3)
    ones = np.ones((4, 2), np.float32)
    side.upsert(np.arange(3, dtype=np.int32), ones[:3])
    with pytest.raises(StoreFull, match="kindred train"):
        side.upsert(np.array([0, 9], np.int32), 5 * ones[:2])
    side.upsert(np.array([1], np.int32), 2 * ones[:1])
    found, scores = side.search(ones[0], 5, None)
    assert found.tolist() == [1, 0, 2]
    assert scores.tolist() == [4, 2, 2]
