"""What counts as a hit: the relevant items of each user's held-back rows."""

import numpy as np

from kindred.core.candidates import Mask
from kindred.evaluation.item_sets import ItemSets, from_pairs
from kindred.models.preference import Interactions
from kindred.training.config import RelevanceConfig


def relevant_rows(rows: Interactions, config: RelevanceConfig) -> Mask:
    """Return which rows (n,) say that the user wanted the item: a rating of at least so much, or a named event."""
    rating = np.array([name == "rating" for name in rows.names], np.bool_)
    named = np.array([name in config.events for name in rows.names], np.bool_)
    if not len(rows):
        return np.zeros(0, np.bool_)
    codes = rows.event_types
    found: Mask = named[codes] | (rating[codes] & (rows.values >= config.min_rating))
    return found & (rows.items >= 0)


def unseen_relevant(test: Interactions, train: Interactions, n_users: int, config: RelevanceConfig) -> ItemSets:
    """Return each user's relevant items of `test` that they had nothing to do with in `train`."""
    wanted = test.take(relevant_rows(test, config))
    known = train.take(train.items >= 0)
    seen = from_pairs(known.users, known.items, n_users)
    return from_pairs(wanted.users, wanted.items, n_users).minus(seen)
