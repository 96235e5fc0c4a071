"""Users of a made-up shop: sessions of a topic each, as an import brings them."""

import msgspec
import numpy as np

from benchmarks.scale.planted import COUNTRIES, GENDERS
from benchmarks.scale.shop import DAY, Shop
from kindred.core.profile import Profile
from kindred.ingest.fold_columns import FoldColumns
from kindred.ports.interactions import InteractionColumns

EVENTS = ("view", "click", "purchase", "rating")
SHARES = (0.65, 0.25, 0.05, 0.05)
TASTES, SESSIONS, DEEDS = 3, 8, 6
"""Topics that a user likes, visits of a user, and what they do at each."""
_PEOPLE = 8
_MINUTE = 60_000


def user_id(number: int) -> str:
    """Return the id of a user."""
    return f"user-{number:06d}"


def histories(shop: Shop, now: int) -> FoldColumns:
    """Return what users did in the 90 days before `now` (ms), the much used items of a topic more than others."""
    rng, users = np.random.default_rng((shop.config.seed, _PEOPLE)), shop.config.users
    used = np.flatnonzero(shop.users)
    used = used[np.lexsort((-shop.users[used], shop.topic[used]))].astype(np.int32)
    starts = np.searchsorted(shop.topic[used], np.arange(len(shop.centres) + 1))
    tastes = shop.topic[used[rng.integers(0, len(used), (users, TASTES))]]
    topics = np.take_along_axis(tastes, rng.integers(0, TASTES, (users, SESSIONS)), axis=1)
    shape = (users, SESSIONS, DEEDS)
    first, sizes = starts[topics][..., None], np.diff(starts)[topics][..., None]
    items = used[first + (sizes * rng.random(shape) ** 3).astype(np.int64)].reshape(users, -1)
    begins = now - rng.integers(2 * _MINUTE * DEEDS, 90 * DAY, (users, SESSIONS, 1))
    times = (begins + np.sort(rng.integers(0, 2 * _MINUTE * DEEDS, shape), axis=2)).reshape(users, -1)
    order = np.argsort(times, axis=1)
    items, times = (np.take_along_axis(each, order, axis=1).ravel() for each in (items, times))
    types = rng.choice(len(EVENTS), items.size, p=SHARES).astype(np.uint8)
    values = np.where(types == EVENTS.index("rating"), rng.integers(4, 11, items.size) / 2, np.nan).astype(np.float32)
    profiles = [_profile(number, rng) for number in range(users)]
    ends = np.arange(users + 1, dtype=np.int64) * SESSIONS * DEEDS
    names = [user_id(number) for number in range(users)]
    return FoldColumns(names, ends, items.astype(np.int32), times, types, values, EVENTS, profiles)


def rows_of(columns: FoldColumns) -> InteractionColumns:
    """Return the same as rows of the history."""
    owners = np.repeat(np.arange(len(columns.users)), np.diff(columns.starts))
    numbers = np.zeros((len(columns), 2), "<u8")
    numbers[:, 0] = np.arange(len(columns))
    return InteractionColumns(
        numbers.view("S16").ravel(),
        [columns.users[owner] for owner in owners.tolist()],
        columns.ordinals,
        [columns.names[code] for code in columns.types.tolist()],
        columns.timestamps,
        columns.values.astype(np.float64),
    )


def _profile(number: int, rng: np.random.Generator) -> bytes:
    born, country = int(rng.integers(1950, 2010)), COUNTRIES[int(rng.integers(0, len(COUNTRIES)))]
    gender = GENDERS[int(rng.integers(0, len(GENDERS)))]
    return msgspec.msgpack.encode(Profile(user_id=user_id(number), country=country, birth_year=born, gender=gender))
