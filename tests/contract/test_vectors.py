"""The vector indexes keep their port's contract, and damaged files are found."""

from pathlib import Path

import numpy as np
import pytest

from kindred.adapters.local.vector_side import SideSegment
from kindred.adapters.local.vectors import DESCRIPTION, LocalVectorIndexes, VectorConfig
from kindred.adapters.memory.vectors import MemoryVectorIndexes
from kindred.core.errors import BundleCorrupt, StoreFull
from kindred.ports.vectors import VectorIndexes
from kindred.testing.vectors_suite import VectorsSuite

LISTS = VectorConfig(exact_rows=0)


class TestMemoryVectors(VectorsSuite):
    min_recall = 1.0

    def indexes(self) -> VectorIndexes:
        return MemoryVectorIndexes()


class TestExactVectors(VectorsSuite):
    min_recall = 1.0

    def indexes(self) -> VectorIndexes:
        return LocalVectorIndexes()


@pytest.mark.filterwarnings("ignore::UserWarning")
class TestListVectors(VectorsSuite):
    min_recall = 0.75

    def indexes(self) -> VectorIndexes:
        return LocalVectorIndexes(LISTS)


@pytest.mark.parametrize("config", [VectorConfig(), LISTS])
@pytest.mark.parametrize("damage", ["cut", "removed", "description", "other rows"])
def test_a_damaged_index_is_corrupt(tmp_path: Path, config: VectorConfig, damage: str) -> None:
    vectors = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    vectors[3] = 0
    indexes = LocalVectorIndexes(config)
    indexes.build(vectors, tmp_path)
    indexes.open(tmp_path, vectors)
    for path in [each for each in tmp_path.iterdir() if each.name != DESCRIPTION]:
        whole = path.read_bytes()
        match damage:
            case "cut":
                path.write_bytes(whole[:-100])
            case "removed":
                path.unlink()
            case "description":
                (tmp_path / DESCRIPTION).write_text('{"rows": 200')
            case "other rows":
                vectors = vectors[:199]
        with pytest.raises(BundleCorrupt, match=str(tmp_path)):
            indexes.open(tmp_path, vectors)
        path.write_bytes(whole)


@pytest.mark.parametrize("config", [VectorConfig(), LISTS])
def test_rows_behind_those_built_are_not_the_indexs(tmp_path: Path, config: VectorConfig) -> None:
    vectors = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    indexes = LocalVectorIndexes(config)
    indexes.build(vectors, tmp_path)
    index = indexes.open(tmp_path, np.concatenate([vectors, 9 * vectors]))
    assert index.size == 200
    assert max(index.search(vectors[0], 400)[0]) < 200


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
