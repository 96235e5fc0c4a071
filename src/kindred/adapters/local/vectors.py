"""Vector indexes in a bundle's folder: exact when small, 8-bit codes in lists when large, all memory-mapped."""

import time
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.adapters.local.vector_bases import Base, ExactBase, best
from kindred.adapters.local.vector_build import write_lists
from kindred.adapters.local.vector_lists import CODES, ListsBase, Tuning
from kindred.adapters.local.vector_side import SideSegment
from kindred.core import files
from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.core.config import Config
from kindred.core.errors import BundleCorrupt, InvalidInput

DESCRIPTION = "index.json"
LIVE = "live.npy"
_BLOCK = 65_536


class VectorConfig(Config, frozen=True):
    """How indexes are built."""

    exact_rows: int = 50_000
    """Up to here rows are scanned, exactly; above, 8-bit codes stand in lists."""


class _Description(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in `index.json`.

    `bytes`: size of the file of codes. `tuning`: how lists are searched, None where rows are scanned; `measured`: what
    came of it.
    """

    rows: int
    dimensions: int
    bytes: int = 0
    tuning: Tuning | None = None
    measured: dict[str, float] = {}


class LocalVectorIndex:
    """A memory-mapped base with a side segment over it; a row of the side hides the base's."""

    def __init__(self, base: Base, live: Bits | None) -> None:
        """Keep a base; `live` leaves out its all-zero rows, None when it has none."""
        self._base = base
        self._shown = live
        self._side = SideSegment(base.shape[1])

    @property
    def size(self) -> int:
        """Return how many ordinals the index covers."""
        return max(self._base.shape[0], self._side.end)

    def search(self, query: Floats, k: int, allowed: Bits | None = None) -> tuple[Ordinals, Floats]:
        """Return up to k ordinals and inner products, best first, ties by ordinal.

        An ordinal beyond a short `allowed` is not allowed. Raise InvalidInput for a query not `(d,)` and finite.
        """
        query = _checked_query(query, self._base.shape[1])
        if k < 1:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        ordinals, scores = self._search_base(query, k, allowed)
        if self._side.end == 0:
            return best(ordinals, scores, k)
        side_ordinals, side_scores = self._side.search(query, k, allowed)
        return best(np.concatenate([ordinals, side_ordinals]), np.concatenate([scores, side_scores]), k)

    def search_added(self, query: Floats, k: int) -> tuple[Ordinals, Floats]:
        """Scan the side segment alone; raise InvalidInput for a query not `(d,)` and finite."""
        return self._side.search(_checked_query(query, self._base.shape[1]), max(k, 0), None)

    def neighbours(self, ordinals: Ordinals, k: int) -> Ordinals:
        """Return the k nearest others (m, k) in the base; raise InvalidInput for an ordinal that it does not cover."""
        ordinals = np.asarray(ordinals, np.int32)
        if len(ordinals) and not 0 <= ordinals.min() <= ordinals.max() < self._base.shape[0]:
            raise InvalidInput.at("/ordinals", f"must be from 0 to {self._base.shape[0] - 1}")
        return self._base.neighbours(ordinals, k)

    def upsert(self, ordinals: Ordinals, vectors: NDArray[np.float32]) -> None:
        """Put rows into the side segment; raise StoreFull beyond 50,000, InvalidInput for rows that cannot be used."""
        ordinals = np.asarray(ordinals, np.int32)
        vectors = np.asarray(_checked_vectors(vectors), np.float32)
        if vectors.shape != (len(ordinals), self._base.shape[1]):
            raise InvalidInput.at(
                "/vectors", f"must have shape {(len(ordinals), self._base.shape[1])}, has {vectors.shape}"
            )
        if len(ordinals) and ordinals.min() < 0:
            raise InvalidInput.at("/ordinals", "must be 0 or more")
        self._side.upsert(ordinals, vectors)
        rows = self._base.shape[0]
        shown = Bits.of(np.ones(rows, np.bool_)) if self._shown is None else self._shown
        self._shown = shown.without(ordinals)

    def _search_base(self, query: Floats, k: int, allowed: Bits | None) -> tuple[Ordinals, Floats]:
        rows = self._base.shape[0]
        if rows == 0:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        wanted = self._shown
        if allowed is not None:
            wanted = allowed.resized(rows) if wanted is None else (allowed & wanted).resized(rows)
        return self._base.search(query, k, wanted)


class LocalVectorIndexes:
    """Builds and opens the files of one index in one folder: `index.json` and the rows."""

    def __init__(self, config: VectorConfig | None = None) -> None:
        """Keep from which sizes on which kind is built."""
        self._config = config or VectorConfig()

    def build(self, vectors: NDArray[np.float32], folder: Path) -> dict[str, float]:
        """Write an index; return `seconds`, `bytes` and `recall` (of the exact first 100); raise StoreFull."""
        started = time.perf_counter()
        vectors = _checked_vectors(vectors)
        live = _live(vectors)
        with files.translating(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            description = self._write_rows(vectors, live, folder)
            (folder / DESCRIPTION).write_bytes(msgspec.json.encode(description))
        return {
            **description.measured,
            "bytes": float(sum(file.stat().st_size for file in folder.iterdir())),
            "seconds": time.perf_counter() - started,
        }

    def open(self, folder: Path, vectors: NDArray[np.float32]) -> LocalVectorIndex:
        """Open an index; raise BundleCorrupt when files are missing or damaged, or the vectors are others."""
        try:
            description = msgspec.json.decode((folder / DESCRIPTION).read_bytes(), type=_Description)
            rows = vectors[: description.rows]
            if rows.shape != (description.rows, description.dimensions):
                raise ValueError(f"it is of {description.rows} rows of {description.dimensions}, not {vectors.shape}")
            if description.tuning is None:
                live = np.load(folder / LIVE, allow_pickle=False)
                if live.shape != (description.rows,):
                    raise ValueError(f"{LIVE} is of {len(live)} rows")
                return LocalVectorIndex(ExactBase(rows), None if live.all() else Bits.of(live))
            if (size := (folder / CODES).stat().st_size) != description.bytes:
                raise ValueError(f"{CODES} has {size} bytes, not {description.bytes}")
            # Rows without a vector stand in no list.
            return LocalVectorIndex(ListsBase(folder, rows, description.tuning), None)
        except (OSError, ValueError, KeyError, EOFError, RuntimeError) as error:
            raise BundleCorrupt(f"{folder}: the vector index cannot be opened: {error}") from error

    def _write_rows(self, vectors: NDArray[np.float32], live: Mask, folder: Path) -> _Description:
        rows, dimensions = vectors.shape
        if rows <= self._config.exact_rows or not live.any():
            np.save(folder / LIVE, live, allow_pickle=False)
            return _Description(rows=rows, dimensions=dimensions, measured={"recall": 1.0})
        tuning, measured = write_lists(vectors, np.flatnonzero(live), folder)
        size = (folder / CODES).stat().st_size
        return _Description(rows=rows, dimensions=dimensions, bytes=size, tuning=tuning, measured=measured)


def _live(vectors: NDArray[np.float32]) -> Mask:
    """Return which rows are not all zero (n,), block by block, since the vectors may lie on disk."""
    blocks = [np.any(vectors[start : start + _BLOCK], axis=1) for start in range(0, len(vectors), _BLOCK)]
    return np.concatenate([np.zeros(0, np.bool_), *blocks])


def _checked_vectors(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows (n, d) as they are, in half precision where they are stored so: a copy could take gigabytes."""
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise InvalidInput.at("/vectors", f"must have shape (n, d) with d > 0, has {vectors.shape}")
    if not all(np.isfinite(vectors[start : start + _BLOCK]).all() for start in range(0, len(vectors), _BLOCK)):
        raise InvalidInput.at("/vectors", "must be finite")
    return vectors


def _checked_query(query: Floats, dimensions: int) -> Floats:
    query = np.ascontiguousarray(query, np.float32)
    if query.shape != (dimensions,):
        raise InvalidInput.at("/query", f"must have shape ({dimensions},), has {query.shape}")
    if not np.isfinite(query).all():
        raise InvalidInput.at("/query", "must be finite")
    return query


async def open_vectors(location: str, home: Path) -> LocalVectorIndexes:
    """Return the builder and opener of indexes; they live in bundles, so the place is not used."""
    return LocalVectorIndexes()
