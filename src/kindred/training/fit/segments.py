"""Count what the users of each segment like."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kindred.models.arrays import known, top_k
from kindred.models.popularity import PopularityModel
from kindred.models.preference import Interactions, PreferenceConfig, event_weights
from kindred.models.segments import DEVICE, SegmentsConfig, SegmentsModel, smoothed_lift, traits
from kindred.training.dataset import Dataset

Numbers = NDArray[np.int64]


def fit_segments(
    dataset: Dataset, popularity: PopularityModel, as_of: int, config: SegmentsConfig, preference: PreferenceConfig
) -> SegmentsModel:
    """Count the users of every segment who like each item, and how many would, were they like all users.

    `popularity`: of the same rows. A user counts once per item and segment; a device is that of the row, other traits
    are the profile's at `as_of` (ms). Memory: one segment's counts at a time, and at most `2 * top` items of each.
    """
    rows = _liked(dataset, as_of, preference)
    everyone = popularity.user_counts.astype(np.float64)
    found: dict[str, tuple[NDArray[np.int32], NDArray[np.float32]]] = {}
    for trait in config.by:
        for name, mine in _segments(trait, dataset, rows, as_of, config):
            found[name] = _lifted(rows.items[mine], rows.users[mine], everyone, popularity, config)
    sizes = np.cumsum([0, *(len(items) for items, _ in found.values())], dtype=np.int64)
    return SegmentsModel(
        places={name: row for row, name in enumerate(found)},
        offsets=sizes,
        items=np.concatenate([np.empty(0, np.int32), *(items for items, _ in found.values())]),
        excess=np.concatenate([np.empty(0, np.float32), *(excess for _, excess in found.values())]),
        n_items=dataset.n_items,
        config=config,
    )


class _Rows:
    """Liked rows (n,): `users`, `items`, and `devices`, numbers of `device_names`."""

    def __init__(self, rows: Interactions, devices: NDArray[np.int32], device_names: Sequence[str]) -> None:
        self.users, self.items = rows.users, rows.items
        self.devices, self.device_names = devices, device_names


def _liked(dataset: Dataset, as_of: int, preference: PreferenceConfig) -> _Rows:
    """Return the rows that speak for their item."""
    rows = dataset.interactions
    weights, _ = event_weights(rows, as_of, preference)
    kept = np.flatnonzero((weights > 0) & known(rows.items, dataset.n_items) & (rows.timestamps <= as_of))
    told = dataset.contexts
    if told is None:
        return _Rows(rows.take(kept), np.zeros(len(kept), np.int32), ("",))
    return _Rows(rows.take(kept), told.devices.codes[kept], told.devices.names)


def _segments(
    trait: str, dataset: Dataset, rows: _Rows, as_of: int, config: SegmentsConfig
) -> list[tuple[str, NDArray[np.intp]]]:
    """Return the segments of a trait that have enough users, the largest ones, each with its rows."""
    if trait == DEVICE:
        names = [_only(traits([trait], None, device, as_of)) for device in rows.device_names]
        codes = rows.devices.astype(np.int64)
    else:
        names = [_only(traits([trait], profile, None, as_of)) for profile in dataset.profiles]
        codes = rows.users.astype(np.int64)
    numbers = {name: number for number, name in enumerate(sorted({name for name in names if name}))}
    mine = np.array([numbers.get(name, -1) for name in names], np.int64)[codes] if len(codes) else codes
    sizes = _users(mine, rows.users, len(numbers))
    largest = np.argsort(-sizes, kind="stable")
    enough = largest[sizes[largest] >= config.users][: config.most]
    order = np.argsort(mine, kind="stable")
    starts = np.searchsorted(mine[order], [[number, number + 1] for number in range(len(numbers))])
    named = list(numbers)
    return [(named[number], order[starts[number, 0] : starts[number, 1]]) for number in np.sort(enough).tolist()]


def _only(found: list[str]) -> str:
    return found[0] if found else ""


def _users(codes: Numbers, users: NDArray[np.int32], count: int) -> Numbers:
    """Return how many users have each of the codes from 0 (count,); a row of code -1 has none."""
    coded = codes >= 0
    width = int(users.max(initial=0)) + 1
    pairs = np.unique(codes[coded] * width + users[coded])
    return np.bincount(pairs // width, minlength=count).astype(np.int64)


def _lifted(
    items: NDArray[np.int32],
    users: NDArray[np.int32],
    everyone: NDArray[np.float64],
    popularity: PopularityModel,
    config: SegmentsConfig,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the items (m,) that a segment lists, ascending, and by how much their lifts exceed 1."""
    pairs = np.unique(np.stack([items, users], axis=1), axis=0)
    liked, counts = np.unique(pairs[:, 0], return_counts=True)
    share = len(pairs) / max(float(everyone.sum()), 1.0)
    lifts = smoothed_lift(counts, everyone[liked] * share, config.prior)
    best = liked[top_k(popularity.scores[liked] * lifts, config.top)]
    listed = np.union1d(best, popularity.top_items[: config.top]).astype(np.int32)
    at = np.searchsorted(liked, listed)
    mine = np.zeros(len(listed))
    inside = at < len(liked)
    hit = np.flatnonzero(inside)[liked[at[inside]] == listed[inside]]
    mine[hit] = counts[at[hit]]
    return listed, (smoothed_lift(mine, everyone[listed] * share, config.prior) - 1).astype(np.float32)
