"""Small data of two tastes: even users like the first half of the catalogue, odd users the second."""

import numpy as np

from kindred.models.preference import Interactions

NAMES = ("view", "click", "purchase", "rating", "like", "dislike", "skip", "add_to_cart", "impression", "unheard_of")
DAY = 86_400_000
NOW = 1_700_000_000_000
N_ITEMS = 30


def rows(*events: tuple[int, int, str, int, float | None]) -> Interactions:
    """Build columns from (user, item, event type, time in ms, value)."""
    users, items, kinds, times, values = zip(*events, strict=True) if events else ((), (), (), (), ())
    return Interactions(
        np.array(users, np.int32),
        np.array(items, np.int32),
        np.array(times, np.int64),
        np.array([NAMES.index(kind) for kind in kinds], np.int16),
        np.array([np.nan if value is None else value for value in values], np.float32),
        NAMES,
    )


def two_tastes(n_users: int = 60, per_user: int = 8, seed: int = 7) -> Interactions:
    """Return views of two groups of users over two halves of `N_ITEMS`; the last 2 ordinals stay untouched."""
    rng = np.random.default_rng(seed)
    half = (N_ITEMS - 2) // 2
    events = []
    for user in range(n_users):
        for step, item in enumerate(rng.choice(half, per_user, replace=False)):
            events.append((user, int(item) + half * (user % 2), "view", NOW - DAY * (step + 1), None))
    return rows(*events)
