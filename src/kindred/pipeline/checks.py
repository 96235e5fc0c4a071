"""What the Runner refuses from a stage: wrong lengths, wrong types, rows that do not exist."""

from collections.abc import Mapping

import numpy as np

from kindred.core.candidates import Candidates, Floats, Mask
from kindred.core.errors import KindredError
from kindred.pipeline.stages import Order


class StageFault(KindredError):
    """A stage returned something that its protocol does not allow."""

    code = "stage_fault"
    title = "A stage broke its protocol"


def checked_candidates(found: Candidates) -> Candidates:
    """Return candidates with distinct int32 items and columns of one length; raise StageFault otherwise."""
    n = len(found)
    if found.items.dtype != np.int32 or found.items.ndim != 1:
        raise StageFault(f"items must be (n,) int32, are {found.items.ndim}-d {found.items.dtype}")
    # A set beats sorting at the few hundred rows that a source proposes.
    if n and (found.items.min() < 0 or len(set(found.items.tolist())) != n):
        raise StageFault("items must be distinct and not negative")
    columns, _ = checked_columns(found.columns, n)
    return Candidates(found.items, columns, found.provenance)


def checked_columns(columns: Mapping[str, Floats], n: int) -> tuple[dict[str, Floats], int]:
    """Return float32 columns of length n, ±inf made NaN, and how many values are NaN; raise StageFault otherwise."""
    checked: dict[str, Floats] = {}
    missing = 0
    for name, values in columns.items():
        column = np.asarray(values, np.float32)
        if column.shape != (n,):
            raise StageFault(f"column {name} must have shape ({n},), has {column.shape}")
        finite = np.isfinite(column)
        if not finite.all():
            missing += n - int(np.count_nonzero(finite))
            column = np.where(finite, column, np.float32(np.nan))
        checked[name] = column
    return checked, missing


def checked_mask(mask: Mask, n: int) -> Mask:
    """Return a boolean mask of length n; raise StageFault otherwise."""
    if mask.dtype != np.bool_ or mask.shape != (n,):
        raise StageFault(f"a mask must be ({n},) bool, is {mask.shape} {mask.dtype}")
    return mask


def checked_order(order: Order, n: int) -> Order:
    """Return an order over existing, distinct rows with propensities in (0, 1]; raise StageFault otherwise."""
    index = order.index
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise StageFault(f"an order must be (m,) integers, is {index.ndim}-d {index.dtype}")
    rows = index.tolist()
    if len(set(rows)) != len(rows):
        raise StageFault("an order must name distinct rows")
    if rows and (min(rows) < 0 or max(rows) >= n):
        raise StageFault(f"an order must name rows of the {n} candidates")
    p = order.propensity
    # Written so that NaN is refused too.
    if p.shape != index.shape or (rows and not (p.min() > 0 and p.max() <= 1)):
        raise StageFault("propensities must be one per row and in (0, 1]")
    if not order.columns:
        return order
    return Order(index, p, order.detail, checked_columns(order.columns, len(rows))[0])
