"""A small world with planted tastes: every user likes the items of one of two groups."""

import numpy as np

from kindred.core.item import CatalogItem, Item
from kindred.models.preference import Interactions
from kindred.training.dataset import Dataset

DAY = 86_400_000
START = 1_700_000_000_000
N_ITEMS = 40
GROUPS = 2


def tastes(users: int = 60, each: int = 12, seed: int = 3, event: str = "purchase") -> Dataset:
    """Return a dataset in which user u buys `each` distinct items of group u % 2, one a day."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, int]] = []
    for user in range(users):
        mine = np.arange(user % GROUPS, N_ITEMS, GROUPS)
        for day, item in enumerate(rng.choice(mine, each, replace=False).tolist()):
            rows.append((user, item, START + day * DAY + user))
    columns = np.array(rows, np.int64)
    interactions = Interactions(
        columns[:, 0].astype(np.int32),
        columns[:, 1].astype(np.int32),
        columns[:, 2],
        np.zeros(len(rows), np.int16),
        np.full(len(rows), np.nan, np.float32),
        (event,),
    )
    ids = [f"u{user:03d}" for user in range(users)]
    return Dataset(interactions, ids, [None] * users, catalogue())


def catalogue() -> list[CatalogItem]:
    """Return the items; the two groups share no word and no category."""
    words = ("red wool scarf", "blue steel lamp")
    return [
        CatalogItem(
            ordinal=ordinal,
            seq=ordinal + 1,
            listed=True,
            item=Item(
                item_id=f"i{ordinal:02d}",
                title=f"{words[ordinal % GROUPS]} {ordinal}",
                categories=[("cloth", "light")[ordinal % GROUPS]],
                created=START - 100 * DAY,
            ),
        )
        for ordinal in range(N_ITEMS)
    ]
