"""Starters: well-known items that tell tastes apart, for a new user to choose from."""

import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.models.item_item import ItemItemModel

POOL = 200
"""Among so many of the most popular starters are chosen: people can only judge what they know."""


def starters(pool: Ordinals, fame: Floats, model: ItemItemModel, count: int) -> Ordinals:
    """Return up to `count` of the ordinals `pool (p,)` that together stand for the tastes behind it, best first.

    Each next one adds most to `sum over j of fame_j * max over chosen i of similarity_ij`: an item whose audience is
    that of one chosen before adds little. `fame (p,)`; similarities are those of `model`, the highest taken as 1.
    Greedy choice for this submodular objective (facility location) is within 1 - 1/e of the best (Nemhauser, Wolsey,
    Fisher 1978); representatives as questions for new users: Liu, Meng, Liu, Yang 2011. Ties by place.
    """
    similar = audience_similarities(pool, model)
    covered = np.zeros(len(pool), np.float32)
    rows: list[int] = []
    for _ in range(min(count, len(pool))):
        gains = np.maximum(similar - covered, 0) @ fame
        gains[rows] = -1
        rows.append(int(gains.argmax()))
        covered = np.maximum(covered, similar[rows[-1]])
    return pool[rows]


def audience_similarities(pool: Ordinals, model: ItemItemModel) -> Floats:
    """Return how alike the audiences of p items are, (p, p) float32: symmetric, 1 on the diagonal and for the best."""
    found = np.zeros((len(pool), len(pool)), np.float32)
    order = np.argsort(pool)
    rows = np.flatnonzero(pool < model.n_items)
    stand = model.rows(pool[rows])
    nearest = model.neighbours[stand]
    places = np.minimum(np.searchsorted(pool[order], nearest), max(len(pool) - 1, 0))
    if len(rows):
        at, slots = np.nonzero(pool[order][places] == nearest)
        found[rows[at], order[places[at, slots]]] = model.similarities[stand][at, slots]
    highest = np.float32(max(float(found.max(initial=0.0)), 1e-9))
    alike: Floats = (np.maximum(found, found.T) / highest).astype(np.float32)
    np.fill_diagonal(alike, 1.0)
    return alike
