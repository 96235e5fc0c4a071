"""Vector indexes in a bundle's folder: exact when small, 8-bit codes when large, all memory-mapped."""

import time
from pathlib import Path

import faiss
import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.adapters.local.vector_bases import (
    CODES,
    VECTORS,
    Base,
    ExactBase,
    FaissBase,
    best,
    write_exact,
    write_flat,
    write_lists,
)
from kindred.adapters.local.vector_side import SideSegment
from kindred.core import files
from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.core.config import Config
from kindred.core.errors import BundleCorrupt, InvalidInput

DESCRIPTION = "index.json"
LIVE = "live.npy"


class VectorConfig(Config, frozen=True):
    """How indexes are built."""

    exact_rows: int = 20_000
    """Up to here float32 rows are scanned; faster than codes there, and exact."""
    flat_rows: int = 200_000
    """Up to here all 8-bit codes are scanned; above they stand in lists (IVF)."""


class _Description(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in `index.json`; `bytes` is the size of the file of rows."""

    kind: str
    rows: int
    dimensions: int
    bytes: int
    all_live: bool
    lists: int = 0
    probes: int = 0


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

    def upsert(self, ordinals: Ordinals, vectors: NDArray[np.float32]) -> None:
        """Put rows into the side segment; raise StoreFull beyond 50,000, InvalidInput for rows that cannot be used."""
        ordinals = np.asarray(ordinals, np.int32)
        vectors = _checked_vectors(vectors)
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
        live: Mask = np.any(vectors, axis=1)
        with files.translating(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            kind, measured = self._write_rows(vectors, live, folder)
            if not live.all():
                np.save(folder / LIVE, live, allow_pickle=False)
            description = _Description(
                kind=kind,
                rows=len(vectors),
                dimensions=vectors.shape[1],
                bytes=(folder / _FILES[kind]).stat().st_size,
                all_live=bool(live.all()),
                lists=int(measured.get("lists", 0)),
                probes=int(measured.get("probes", 0)),
            )
            (folder / DESCRIPTION).write_bytes(msgspec.json.encode(description))
        return {**measured, "bytes": float(description.bytes), "seconds": time.perf_counter() - started}

    def open(self, folder: Path) -> LocalVectorIndex:
        """Open an index; raise BundleCorrupt when files are missing or damaged."""
        try:
            description = msgspec.json.decode((folder / DESCRIPTION).read_bytes(), type=_Description)
            rows_file = folder / _FILES[description.kind]
            if rows_file.stat().st_size != description.bytes:
                raise ValueError(f"{rows_file.name} has {rows_file.stat().st_size} bytes, not {description.bytes}")
            live = None if description.all_live else np.load(folder / LIVE, allow_pickle=False)
            base = _open_base(description, rows_file)
            if base.shape != (description.rows, description.dimensions) or (
                live is not None and live.shape != (description.rows,)
            ):
                raise ValueError(f"the rows are not {description.rows} of {description.dimensions} dimensions")
        except (OSError, ValueError, KeyError, EOFError, RuntimeError) as error:
            raise BundleCorrupt(f"{folder}: the vector index cannot be opened: {error}") from error
        return LocalVectorIndex(base, None if live is None else Bits.of(live))

    def _write_rows(self, vectors: NDArray[np.float32], live: Mask, folder: Path) -> tuple[str, dict[str, float]]:
        if len(vectors) <= self._config.exact_rows or not live.any():
            write_exact(vectors, folder)
            return "exact", {"recall": 1.0}
        if len(vectors) <= self._config.flat_rows:
            return "flat", write_flat(vectors, folder)
        return "lists", write_lists(vectors, np.flatnonzero(live), folder)


_FILES = {"exact": VECTORS, "flat": CODES, "lists": CODES}


def _open_base(description: _Description, path: Path) -> Base:
    if description.kind == "exact":
        # An empty file cannot be mapped.
        return ExactBase(np.load(path, mmap_mode="r" if description.rows else None, allow_pickle=False))
    # One query at a time: threads of faiss would fight with those of the requests beside it.
    faiss.omp_set_num_threads(1)
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    return FaissBase(index, description.rows, description.lists, description.probes)


def _checked_vectors(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors = np.ascontiguousarray(vectors, np.float32)
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise InvalidInput.at("/vectors", f"must have shape (n, d) with d > 0, has {vectors.shape}")
    if not np.isfinite(vectors).all():
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
