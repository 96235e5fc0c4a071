"""Rows in lists by cluster (IVF), as 8-bit codes; a filter decides which lists are scanned, or that none is."""

from pathlib import Path
from typing import Any

import faiss as faiss_module
import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.adapters.local.vector_bases import best
from kindred.adapters.local.vector_join import nearest
from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Ordinals

CODES, LISTS, PROBED, SPREADS = "index.faiss", "lists.npy", "probed.npy", "spreads.npy"
SHARES = (1.0, 0.1, 0.01, 0.001)

# Its stubs leave out keyword arguments and the methods that it adds in Python.
faiss: Any = faiss_module

# faiss cuts equal scores anywhere, and codes err: so many more are asked for, and a quarter, to be scored exactly.
_SPARE = 32
# Of the codes' standard deviations, how far below the last wanted row the last scored one has to be.
_MARGIN = 2.0
# However many rows of equal scores there are, so many times what is wanted are scored at most.
_DEEPEST = 128
# Rows are scored in blocks that stay in the processor's cache.
_BLOCK = 4_096
# Rows looked at in a filter for each list, where counting all that pass would take longer than searching them.
_COUNTED = 8
# Rows at the edge of a list have their nearest in other lists than its centre: so many times what a search begins with.
_WIDER = 1.5
# Nanoseconds on one core: a row of a scanned list that is not allowed, one that is, a row scored by its ordinal.
REFUSED, SCANNED, PLACED = 8, 30, 130
# Below this many passing rows among those looked at, the share that passes is not known in so few lists.
_SEEN = 16
_LOOKED_AT = 1_024
# Above this share that passes, a search begins as one without a filter.
_OPEN = 0.9
# Where lists far from the query hold what passes, a search comes to cost about ten times what it began with.
_GROWTH = 10


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at the build to keep the recall.

    `probes`: lists to begin with for `depth` rows where each of `SHARES` of the rows near the query passes.
    `patience`: a search ends when the last third of the lists brought at most this share of its rows. `exact`: up to so
    many passing rows all are scored. `noise`: standard deviation of the codes' inner products with a query of length 1.
    `reach`: how many spreads of a list's rows beyond its centre it is taken to hold scores.
    """

    probes: tuple[int, ...]
    depth: int
    exact: int
    patience: float
    noise: float
    reach: float

    def lists(self, k: int, share: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return how many lists hold the best k rows where a share of the rows in them passes."""
        known = np.log(SHARES[::-1])
        probes = np.exp(np.interp(np.log(np.maximum(share, 1e-9)), known, np.log(self.probes[::-1])))
        return np.ceil(probes * max(1.0, k / self.depth))


class ListsBase:
    """Product of a query with the centres of all lists, then a scan of the best (Sivic and Zisserman, 2003).

    Codes are of residuals, 8 bits a dimension, as in faiss (Douze et al., 2024); what they find is scored anew from the
    rows. Which lists are best goes by the centre and by how far the rows lie from it. They are scanned until more of
    them bring little, since queries differ in how many they need. Where a filter leaves next to nothing near the query,
    only lists that hold passing rows count; where few rows pass, exactly those are scored.
    """

    def __init__(self, folder: Path, vectors: NDArray[np.float32], tuning: Tuning) -> None:
        """Map an index over `vectors (n, d)`."""
        # One query at a time: threads of faiss would fight with those of the requests beside it.
        faiss.omp_set_num_threads(1)
        self._index = index = faiss.read_index(str(folder / CODES), faiss.IO_FLAG_MMAP_IFC)
        # Arithmetic on the mapping's own array type costs more than on a plain view of it.
        self._vectors = vectors.view(np.ndarray)
        self.tuning = tuning
        lists, width = int(index.nlist), int(index.d)
        centroids = faiss.downcast_index(index.quantizer).get_xb()
        self._centroids = faiss.rev_swig_ptr(centroids, lists * width).reshape(lists, width)
        self._list_of, self._probed = (
            np.load(folder / name, mmap_mode="r", allow_pickle=False).view(np.ndarray) for name in (LISTS, PROBED)
        )
        self._reach = np.float32(tuning.reach) * np.load(folder / SPREADS, allow_pickle=False)
        self._sizes = np.array([index.invlists.list_size(number) for number in range(lists)])
        placed = self._list_of.shape == vectors.shape[:1] and len(self._probed) == lists == len(self._reach)
        if index.d != vectors.shape[1] or not placed:
            raise ValueError(f"the files do not fit {vectors.shape} vectors")
        # Rows without a vector stand in no list.
        self._live = Bits.of(self._list_of < lists) if self.held < len(vectors) else None

    @property
    def shape(self) -> tuple[int, int]:
        """Return how many rows of how many dimensions there are."""
        return self._vectors.shape[0], self._vectors.shape[1]

    @property
    def lists(self) -> int:
        """Return how many lists there are."""
        return len(self._sizes)

    @property
    def held(self) -> int:
        """Return how many rows have a vector."""
        return int(self._index.ntotal)

    def products(self, query: Floats) -> Floats:
        """Return the query's inner products with the centres of all lists (lists,)."""
        found: Floats = self._centroids @ query
        return found

    def order(self, query: Floats, products: Floats) -> NDArray[np.intp]:
        """Return all lists (lists,), that which promises most first."""
        promised = products + self._reach * np.float32(np.linalg.norm(query))
        return np.argsort(-promised)

    def search(self, query: Floats, k: int, allowed: Bits | None) -> tuple[Ordinals, Floats]:
        """Return allowed rows and their inner products, the k best among them, in any order."""
        if allowed is not None and self._live is not None:
            allowed = allowed & self._live
        if allowed is not None and allowed.count <= max(self.tuning.exact, 2 * k):
            return self._exact(query, k, allowed)
        products = self.products(query)
        order = self.order(query, products)
        first, share = int(self.tuning.lists(k, 1.0)), 1.0
        if allowed is not None:
            first, share = self._near(k, order, allowed)
            if not first:
                return self._far(query, k, order, products, allowed)
        return self._until_enough(query, k, order, first, share * self._sizes[order], products, allowed)

    def neighbours(self, asked: Ordinals, k: int) -> Ordinals:
        """Compare the rows asked for, list by list, with those of the lists nearest to the centre of theirs."""
        found = np.full((len(asked), k), -1, np.int32)
        rows, starts = _grouped(self._list_of, self.lists)
        places, firsts = _grouped(self._list_of[asked], self.lists)
        for number in np.flatnonzero(np.diff(firsts)).tolist():
            mine = places[firsts[number] : firsts[number + 1]]
            near = self._near_lists(number, k)
            among = np.concatenate([rows[starts[each] : starts[each + 1]] for each in near])
            found[mine] = nearest(self._vectors, asked[mine], np.sort(among), k)
        return found

    def _near_lists(self, number: int, k: int) -> NDArray[np.intp]:
        """Return the lists to look through for the neighbours of the rows of one, more where they hold too few."""
        centre = self._centroids[number]
        order = self.order(centre, self.products(centre))
        enough = int(np.searchsorted(np.cumsum(self._sizes[order]), k + 1)) + 1
        wanted = order[: max(enough, int(np.ceil(_WIDER * self.tuning.lists(k, 1.0))))]
        return wanted if number in wanted else np.append(wanted, number)

    def _far(
        self, query: Floats, k: int, order: NDArray[np.intp], products: Floats, allowed: Bits
    ) -> tuple[Ordinals, Floats]:
        """Search the lists that hold what passes, or all that passes where that takes less time or those hold less."""
        passing = self._passing(allowed)[order]
        order, passing = order[passing > 0], passing[passing > 0]
        covered = np.cumsum(passing)
        shares = covered / np.cumsum(self._sizes[order])
        enough = (np.arange(1, len(order) + 1) >= self.tuning.lists(k, shares)) & (covered >= k)
        first = int(enough.argmax()) + 1 if enough.any() else len(order)
        if first == 0 or _GROWTH * _cost(self._sizes[order[:first]], passing[:first]).sum() > allowed.count * PLACED:
            return self._exact(query, k, allowed)
        found = self._until_enough(query, k, order, first, passing, products, allowed)
        return found if len(found[0]) == k else self._exact(query, k, allowed)

    def _until_enough(
        self,
        query: Floats,
        k: int,
        lists: NDArray[np.intp],
        count: int,
        passing: NDArray[np.float64],
        products: Floats,
        allowed: Bits | None,
    ) -> tuple[Ordinals, Floats]:
        """Scan `count` lists, then half as many again, as long as the last third of them brings more than a few rows.

        `passing`: how many rows of each list pass. All that pass are scored as soon as that takes less time.
        """
        found = self.scan(query, k, lists[:count], products, allowed)
        while count < len(lists):
            if (
                len(found[0]) >= k
                and self._held_by(lists[2 * count // 3 : count], found[0]) <= self.tuning.patience * k
            ):
                break
            more = lists[count : count + max(count // 2, 1)]
            count += len(more)
            cost = _cost(self._sizes[lists[:count]], passing[:count]).sum()
            if allowed is not None and cost > allowed.count * PLACED:
                return self._exact(query, k, allowed)
            ordinals, scores = self.scan(query, k, more, products, allowed)
            found = best(np.concatenate([found[0], ordinals]), np.concatenate([found[1], scores]), k)
        return found

    def _held_by(self, lists: NDArray[np.intp], ordinals: Ordinals) -> int:
        """Return how many of some rows stand in some of the lists."""
        chosen = np.zeros(self.lists + 1, np.bool_)
        chosen[lists] = True
        return int(np.count_nonzero(chosen[self._list_of[ordinals]]))

    def _exact(self, query: Floats, k: int, allowed: Bits) -> tuple[Ordinals, Floats]:
        return self._scored(query, k, allowed.ordinals())

    def scan(
        self, query: Floats, k: int, lists: NDArray[np.intp], products: Floats, allowed: Bits | None = None
    ) -> tuple[Ordinals, Floats]:
        """Return the k best allowed rows of some lists; `products` are the query's with the centres of all."""
        selector = None
        if allowed is not None:
            selector = faiss.IDSelectorBitmap(len(allowed.packed), faiss.swig_ptr(allowed.packed))
        error = _MARGIN * self.tuning.noise * float(np.linalg.norm(query)) + 1e-12
        wanted, most = min(k + k // 4 + _SPARE, self.held), min(_DEEPEST * k, self.held)
        while True:
            rows, coded = self._coded(query, wanted, lists, products, selector)
            ordinals, scores = self._scored(query, k, rows)
            if len(rows) < wanted or wanted >= most or coded[-1] + error <= scores[-1]:
                return ordinals, scores
            # Rows of nearly equal scores go on behind the last: codes alone cannot tell which of them are best.
            dense = (wanted - k) / max(float(scores[-1] - coded[-1]), error / 16)
            wanted = min(max(2 * wanted, k + int(1.2 * dense * error)), most)

    def _coded(
        self, query: Floats, k: int, lists: NDArray[np.intp], products: Floats, selector: Any
    ) -> tuple[Ordinals, Floats]:
        scores, rows = np.empty(k, np.float32), np.empty(k, np.int64)
        keys, centres = lists.astype(np.int64), products[lists]
        parameters = faiss.SearchParametersIVF(sel=selector, nprobe=len(lists))
        asked, *given = (faiss.swig_ptr(each) for each in (query, keys, centres, scores, rows))
        self._index.search_preassigned_c(1, asked, k, *given, False, parameters)
        found = rows >= 0
        return rows[found].astype(np.int32), scores[found]

    def _scored(self, query: Floats, k: int, ordinals: Ordinals) -> tuple[Ordinals, Floats]:
        """Return the k best of some rows by their vectors."""
        scores = np.empty(len(ordinals), np.float32)
        for start in range(0, len(ordinals), _BLOCK):
            block = slice(start, start + _BLOCK)
            scores[block] = self._vectors[ordinals[block]].astype(np.float32, copy=False) @ query
        return best(ordinals, scores, k)

    def _near(self, k: int, order: NDArray[np.intp], allowed: Bits) -> tuple[int, float]:
        """Return how many lists near the query will do and the share that passes in them; 0 where it is not known."""
        count, wanted, share = 0, int(self.tuning.lists(k, 1.0)), 0.0
        # Where nearly everything passes a glance tells: no more lists than without a filter.
        glance = allowed.has(self._probed[order[:wanted], 0])
        if len(glance) >= _SEEN and glance.mean() > _OPEN:
            return min(wanted, self.lists), float(glance.mean())
        while wanted > count and count < self.lists:
            count = min(wanted, self.lists)
            probed = self._probed[order[:count]]
            passes = allowed.has(probed.ravel())
            if np.count_nonzero(passes) < _SEEN:
                if count >= _LOOKED_AT:
                    return 0, 0.0
                wanted = 4 * count
                continue
            # Larger lists hold more of the rows.
            sizes = self._sizes[order[:count]]
            share = float(passes.reshape(probed.shape).mean(axis=1) @ sizes) / max(int(sizes.sum()), 1)
            wanted = int(self.tuning.lists(k, share))
        return (count, share) if share else (0, 0.0)

    def _passing(self, allowed: Bits) -> NDArray[np.float64]:
        """Return about how many rows of each list pass (lists,), from some of each."""
        step = allowed.count // (_COUNTED * self.lists) | 1
        if step == 1:
            ordinals = allowed.ordinals()
        else:
            bits = np.unpackbits(allowed.packed[::step], bitorder="little")
            found = np.flatnonzero(bits.view(np.bool_))
            ordinals = (found >> 3) * (8 * step) + (found & 7)
        return np.bincount(self._list_of[ordinals], minlength=self.lists)[: self.lists].astype(np.float64) * step


def _grouped(lists: NDArray[np.unsignedinteger], count: int) -> tuple[Ordinals, NDArray[np.intp]]:
    """Return the places of `lists (m,)` in order of their list, and where each of `count` lists begins and ends."""
    order = np.argsort(lists, kind="stable").astype(np.int32)
    return order, np.searchsorted(lists[order], np.arange(count + 1))


def _cost(sizes: NDArray[np.int64], passing: NDArray[np.float64]) -> NDArray[np.float64]:
    return sizes * float(REFUSED) + passing * SCANNED
