"""Cancellations: each takes back one earlier purchase of the same user and item."""

from collections import defaultdict
from typing import NamedTuple

import polars as pl

_KEY = ["user_id", "item_id"]
_INDEX = "__index"


class Settled(NamedTuple):
    """The rows that stay, those that were taken back, and how many cancellations found nothing to take back."""

    kept: pl.DataFrame
    taken_back: pl.DataFrame
    unmatched: int


def settle(rows: pl.DataFrame, event: str) -> Settled:
    """Remove cancellations (`cancels`) and, for each, the latest earlier row of `event` with at least its quantity.

    The purchase goes as a whole and only once; where quantities are unknown any earlier one fits. Rows are ordered by
    time, then as they stood in the source; rows of unknown time come first.
    """
    cancels = rows.filter("cancels")
    if not len(cancels):
        return Settled(rows, rows.clear(), 0)
    indexed = rows.with_row_index(_INDEX)
    touched = indexed.filter(pl.col("cancels") | (pl.col("event_type") == event))
    touched = touched.join(cancels.select(_KEY).unique(), on=_KEY, how="semi").sort(["timestamp", _INDEX])
    earlier: dict[tuple[str, str], list[tuple[int, float | None]]] = defaultdict(list)
    gone: list[int] = []
    unmatched = 0
    for user, item, cancel, quantity, index in touched.select(*_KEY, "cancels", "quantity", _INDEX).iter_rows():
        purchases = earlier[user, item]
        if not cancel:
            purchases.append((index, quantity))
            continue
        found = _latest_fitting(purchases, quantity)
        if found is None:
            unmatched += 1
        else:
            gone.append(purchases.pop(found)[0])
    taken = pl.col(_INDEX).is_in(pl.Series(gone, dtype=pl.UInt32).implode())
    kept = indexed.filter(~pl.col("cancels") & ~taken)
    return Settled(kept.drop(_INDEX), indexed.filter(taken).drop(_INDEX), unmatched)


def _latest_fitting(purchases: list[tuple[int, float | None]], quantity: float | None) -> int | None:
    """Return the place of the latest purchase that a cancellation of `quantity` can take back."""
    for place in range(len(purchases) - 1, -1, -1):
        bought = purchases[place][1]
        if bought is None or quantity is None or bought >= abs(quantity):
            return place
    return None
