"""How many lists keep the recall on the rows at hand, for filters of any share, near a query and far from it."""

from collections.abc import Callable

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from kindred.adapters.local.vector_cases import Case, Cases, filtered_cases, queries, recall
from kindred.adapters.local.vector_lists import PLACED, REFUSED, SCANNED, SHARES, ListsBase, Tuning
from kindred.core.candidates import Floats

_TARGET = 0.97
_BEGUN = 0.94
_QUERIES = 24
_DEPTH = 500
_PATIENCE = (0.08, 0.05, 0.03, 0.02, 0.01)


def tune(vectors: NDArray[np.float32], live: NDArray[np.intp], base: ListsBase) -> dict[str, float]:
    """Set how `base` searches; return the least recall of any family and share of filters, and that without one.

    Recall is of the exact first 500 in float32, of a tenth of the rows where that is less; tuned for 0.97, so that
    queries which were not there keep 0.95.
    """
    depth = max(1, min(_DEPTH, len(live) // 10))
    cases = filtered_cases(vectors, live, queries(vectors, live, _QUERIES, seed=1), depth)
    base.tuning = replace(base.tuning, depth=depth)
    probes = _probes(cases, base)
    found: dict[tuple[str, float], float] = {}
    for patience in _PATIENCE:
        base.tuning = _with_exact(replace(base.tuning, probes=probes, patience=patience), base)
        found = {name: recall(some, _search(base)) for name, some in cases.items()}
        if min(found.values()) >= _TARGET:
            break
    return {"recall": min(found.values()), "recall_unfiltered": found["all", 1.0]}


def _probes(cases: Cases, base: ListsBase) -> tuple[int, ...]:
    """Return the fewest lists, to a tenth, that a search may begin with, for each share of rows that pass at random."""
    probes: list[int] = []
    for share in SHARES:
        # Of few rows, a share may be none.
        some = cases.get(("random", share), cases["all", 1.0])
        count = probes[-1] if probes else 1
        while count < base.lists and recall(some, _scan(base, count)) < _BEGUN:
            count = min(count + max(count // 10, 1), base.lists)
        probes.append(count)
    return tuple(probes)


def _with_exact(tuning: Tuning, base: ListsBase) -> Tuning:
    """Return a tuning with the number of rows up to which it takes less time to score all that pass."""
    passing = np.geomspace(1, base.held, 200)
    shares = passing / base.held
    scanned = np.minimum(1.5 * tuning.lists(tuning.depth, shares), base.lists) * base.held / base.lists
    cheaper = passing * PLACED <= scanned * (REFUSED + shares * SCANNED)
    return replace(tuning, exact=int(passing[cheaper].max(initial=0)))


def _scan(base: ListsBase, count: int) -> Callable[[Case], Floats]:
    def found(case: Case) -> Floats:
        products = base.products(case.query)
        return base.scan(case.query, case.depth, base.order(case.query, products)[:count], products, case.allowed)[1]

    return found


def _search(base: ListsBase) -> Callable[[Case], Floats]:
    def found(case: Case) -> Floats:
        return base.search(case.query, case.depth, case.allowed)[1]

    return found
