"""The splits: what is learned from, what settings are chosen on, and what is judged once."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

SEED = 42
SHARE, VALIDATION = 0.2, 0.1
"""Held back for the test, and of the rest for choosing settings."""


class Pairs(NamedTuple):
    """Distinct (user, item) pairs as ordinals, two (n,) int64."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]


class Contest(NamedTuple):
    """Two rounds over the same users and items: `choose` inside the training part, `judge` on the test part.

    A round is (learned from, looked for).
    """

    choose: tuple[Pairs, Pairs]
    judge: tuple[Pairs, Pairs]
    n_users: int
    n_items: int


def movielens(data: Path) -> Contest:
    """Cut a random fifth of each user's films; all pairs count, as half of the ratings are not in this copy."""
    table = pl.read_parquet(data / "ml-1m" / "interactions.parquet", columns=["user_id", "item_id"]).unique()
    rows = table.sort("user_id", "item_id").to_numpy()
    generator = np.random.default_rng(SEED)
    held = _random_share(rows[:, 0], SHARE, generator)
    train = rows[~held]
    chosen = _random_share(train[:, 0], VALIDATION, generator)
    return _contest((train[~chosen], train[chosen]), (train, rows[held]))


def online_retail(data: Path) -> Contest:
    """Cut the newest fifth of the purchase lines at one moment; the first purchase of an item by a user counts."""
    place = data / "online-retail" / "interactions.parquet"
    table = pl.read_parquet(place, columns=["user_id", "item_id", "timestamp", "event_type", "quantity"]).filter(
        pl.col("user_id").is_not_null() & (pl.col("event_type") == "purchase") & (pl.col("quantity") > 0)
    )
    table = table.sort("timestamp", "user_id", "item_id", maintain_order=True)
    table = table.with_columns(item_id=pl.col("item_id").rank("dense"), user_id=pl.col("user_id").rank("dense"))
    rows = table.select(pl.col("user_id", "item_id").cast(pl.Int64)).to_numpy()
    times = table["timestamp"].to_numpy()
    cut, earlier = (times[int(len(times) * share)] for share in (1 - SHARE, (1 - SHARE) * (1 - VALIDATION)))
    train, before = times < cut, times < earlier
    return _contest((rows[before], rows[train & ~before]), (rows[train], rows[~train]))


SPLITS = {"ml-1m": movielens, "online-retail": online_retail}


def _random_share(users: NDArray[np.int64], share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Mark a random `share` of each user's rows, rounded down."""
    order = np.lexsort((generator.random(len(users)), users))
    sizes = np.unique(users, return_counts=True)[1]
    place = np.arange(len(users)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    held = np.empty(len(users), np.bool_)
    held[order] = place < np.floor(np.repeat(sizes, sizes) * share)
    return held


def _contest(
    choose: tuple[NDArray[np.int64], NDArray[np.int64]], judge: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> Contest:
    """Number the users and items that both rounds can learn from; look only for pairs of these that are new."""
    users, items = np.unique(choose[0][:, 0]), np.unique(choose[0][:, 1])

    def numbered(rows: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the distinct pair codes of rows between known users and items, less those in `known`."""
        kept = rows[np.isin(rows[:, 0], users) & np.isin(rows[:, 1], items)]
        codes = np.searchsorted(users, kept[:, 0]) * len(items) + np.searchsorted(items, kept[:, 1])
        return np.setdiff1d(codes, known)

    def round_of(learned: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[Pairs, Pairs]:
        seen = numbered(learned, np.empty(0, np.int64))
        found = numbered(wanted, seen)
        return Pairs(seen // len(items), seen % len(items)), Pairs(found // len(items), found % len(items))

    return Contest(round_of(*choose), round_of(*judge), len(users), len(items))


def save_train(place: Path, train: Pairs, contest: Contest) -> None:
    """Write what a contestant may learn from."""
    np.savez(place, train_users=train.users, train_items=train.items, n_users=contest.n_users, n_items=contest.n_items)
