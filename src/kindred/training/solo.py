"""A retrieval model alone: what it would list for users from their histories, without a funnel."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Mask
from kindred.evaluation.item_sets import from_pairs
from kindred.models.arrays import known, top_k
from kindred.models.protocol import Retriever, UserHistory
from kindred.training.fit.inputs import FitInput


def solo_lists(
    model: Retriever, data: FitInput, users: NDArray[np.int64], k: int, eligible: Mask | None = None
) -> NDArray[np.int32]:
    """Return the best k items of each of `users (u,)`, best first, ties by ordinal, (u, k) int32 padded with -1.

    Each is asked from the whole history in `data`. What the user had to do with, and what is not `eligible (n_items,)`,
    is left out; so is what the model gives no positive score.
    """
    rows = data.interactions.take(known(data.interactions.items, data.n_items))
    seen = from_pairs(rows.users, rows.items, data.n_users)
    out = np.full((len(users), k), -1, np.int32)
    for row, (user, history) in enumerate(zip(users.tolist(), histories(data, users), strict=True)):
        items, scores = model.spread(history)
        open_ = np.ones(data.n_items, np.bool_) if eligible is None else eligible.copy()
        open_[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = False
        kept = open_[items]
        best = top_k(scores[kept], k)
        out[row, : len(best)] = items[kept][best]
    return out


def histories(data: FitInput, users: NDArray[np.int64]) -> Iterator[UserHistory]:
    """Go through the histories of `users (u,)`, newest first, as the models would be told them at `data.as_of`."""
    liked, rows = data.preferences, data.interactions
    # Sorted by time last, so that the last row of a pair is its latest event.
    order = np.lexsort((rows.timestamps, rows.items, rows.users))
    pairs = rows.users[order].astype(np.int64) * (data.n_items + 1) + rows.items[order]
    asked = liked.users.astype(np.int64) * (data.n_items + 1) + liked.items
    latest = rows.event_types[order[np.searchsorted(pairs, asked, side="right") - 1]]
    starts = np.searchsorted(liked.users, users, side="left")
    stops = np.searchsorted(liked.users, users, side="right")
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        newest = start + np.argsort(-liked.timestamps[start:stop], kind="stable")
        yield UserHistory(
            items=liked.items[newest],
            confidence=liked.confidence[newest],
            positive=liked.positive[newest],
            timestamps=liked.timestamps[newest],
            event_types=latest[newest],
            names=rows.names,
            as_of=data.as_of,
        )
