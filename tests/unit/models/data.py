"""Small data of two tastes: even users like the first half of the catalogue, odd users the second."""

import numpy as np

from kindred.models.preference import Interactions, PreferenceConfig, preferences
from kindred.models.protocol import UserHistory
from kindred.training.fit.inputs import FitInput

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


def history(items: np.ndarray, confidence: np.ndarray, positive: np.ndarray | None = None) -> UserHistory:
    """Return a history of items that came a day apart, newest first; liked where nothing else is said."""
    n = len(items)
    return UserHistory(
        np.asarray(items, np.int32),
        np.asarray(confidence, np.float32),
        np.ones(n, np.bool_) if positive is None else np.asarray(positive, np.bool_),
        NOW - DAY * np.arange(1, n + 1),
        np.zeros(n, np.int16),
        NAMES,
        NOW,
    )


def fit_input(columns: Interactions, n_items: int = N_ITEMS, config: PreferenceConfig | None = None) -> FitInput:
    """Return what models are fitted on, as of `NOW`, on one thread."""
    n_users = int(columns.users.max(initial=-1)) + 1
    return FitInput(preferences(columns, NOW, config), columns, n_users, n_items, NOW, threads=1)
