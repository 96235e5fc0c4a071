"""The one function that turns interactions into preferences, in training and at request time alike."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.core.config import Config
from kindred.core.errors import InvalidInput

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SECOND = 1_000
EVENT_WEIGHTS = {
    "purchase": 5.0,
    "rating": 4.0,
    "like": 4.0,
    "dislike": -4.0,
    "add_to_cart": 3.0,
    "click": 2.0,
    "view": 1.0,
    "skip": -1.0,
    "impression": 0.0,
    "search": 0.0,
}


THRESHOLDS = {"rating": 3.5, "view": 0.3}


class PreferenceSettings(Config, frozen=True, kw_only=True):
    """How events become preferences; how strongly each type speaks stands with the event types (`events.types`).

    `default_weight`: of events whose type is not declared, such as imported ones. `alpha`: confidence is
    `1 + alpha * log1p(weight)`. `half_life`: seconds until an event weighs half, None = never. `max_age`: seconds,
    older events are left out, None = never. `negative_rating`: ratings up to it speak against the item; between it
    and the rating's threshold an item is only seen. `rating_scale`: the highest rating. `decisive`: event types that
    state an opinion; the latest of them decides. `max_items`: the latest distinct items of a user that count.
    `max_user_weight`: cap on the sum of one user's weights, which are scaled down to it.
    """

    default_weight: float = 1.0
    alpha: float = 2.0
    half_life: float | None = None
    max_age: float | None = None
    negative_rating: float = 2.5
    rating_scale: float = 5.0
    decisive: tuple[str, ...] = ("rating", "like", "dislike", "skip", "purchase", "add_to_cart")
    max_items: int = 500
    max_user_weight: float = 1_000.0


class PreferenceConfig(PreferenceSettings, frozen=True, kw_only=True):
    """The settings together with what each event type says.

    `event_weights`: by event type; negative = dislike, 0 = says nothing. `half_lives`: seconds, of the types that have
    one of their own. `thresholds`: the least value of a row that counts, by event type; a row without a value (NaN)
    counts.
    """

    event_weights: dict[str, float] = msgspec.field(default_factory=lambda: dict(EVENT_WEIGHTS))
    half_lives: dict[str, float] = {}
    thresholds: dict[str, float] = msgspec.field(default_factory=lambda: dict(THRESHOLDS))

    @property
    def positive_rating(self) -> float:
        """Return the least rating that speaks for an item."""
        return self.thresholds.get("rating", THRESHOLDS["rating"])


@dataclass(frozen=True, slots=True)
class Interactions:
    """Interaction columns of n rows, in order of arrival.

    `users (n,) int32`, `items (n,) int32` ordinals (-1 = unknown, left out), `timestamps (n,) int64 ms`
    (negative = unknown: counts as the oldest, and never decays),
    `event_types (n,) int16` codes into `names`, `values (n,) float32` (the rating of a rating, the price of a
    purchase, the watched share of a view; else NaN). `slots (n,) int16`: where on a slate the item stood, from 0,
    -1 for not known; None where no row tells.
    Raises InvalidInput when the lengths differ or a code has no name.
    """

    users: Ordinals
    items: Ordinals
    timestamps: NDArray[np.int64]
    event_types: NDArray[np.int16]
    values: Floats
    names: tuple[str, ...]
    slots: NDArray[np.int16] | None = None

    def __post_init__(self) -> None:
        """Check that the columns fit one another."""
        for column in ("items", "timestamps", "event_types", "values", "slots"):
            found = getattr(self, column)
            if found is not None and len(found) != len(self.users):
                raise InvalidInput.at(f"/{column}", f"has another length than users ({len(self.users)})")
        codes = self.event_types
        if len(codes) and (int(codes.min()) < 0 or int(codes.max()) >= len(self.names)):
            raise InvalidInput.at("/event_types", f"holds a code outside the {len(self.names)} names")

    def __len__(self) -> int:
        """Return n."""
        return len(self.users)

    def take(self, index: NDArray[np.intp] | Mask) -> Self:
        """Return the rows that an index array or a mask selects, in its order."""
        return type(self)(
            self.users[index],
            self.items[index],
            self.timestamps[index],
            self.event_types[index],
            self.values[index],
            self.names,
            None if self.slots is None else self.slots[index],
        )


@dataclass(frozen=True, slots=True)
class Preferences:
    """One row per (user, item) that says something, sorted by user, then item.

    `users (m,) int32`, `items (m,) int32`, `weights (m,) float32` (the sum of event weights, > 0),
    `confidence (m,) float32` (≥ 1), `positive (m,) bool` (False: preference 0 with that confidence),
    `timestamps (m,) int64 ms` of the latest event.
    """

    users: Ordinals
    items: Ordinals
    weights: Floats
    confidence: Floats
    positive: Mask
    timestamps: NDArray[np.int64]

    def __len__(self) -> int:
        """Return m."""
        return len(self.users)

    def take(self, index: NDArray[np.intp] | Mask) -> Self:
        """Return the rows that an index array or a mask selects, in its order."""
        return type(self)(
            self.users[index],
            self.items[index],
            self.weights[index],
            self.confidence[index],
            self.positive[index],
            self.timestamps[index],
        )

    def signed(self) -> Floats:
        """Return the confidences (m,) float32, negative where the item is disliked."""
        return np.where(self.positive, self.confidence, -self.confidence).astype(np.float32)

    def to_csr(self, n_users: int, n_items: int) -> "csr_matrix":
        """Return the signed confidences as a (n_users, n_items) float32 matrix, for training."""
        from scipy.sparse import csr_matrix

        shape = (n_users, n_items)
        return csr_matrix((self.signed(), (self.users, self.items)), shape=shape, dtype=np.float32)


def event_weights(interactions: Interactions, as_of: int, config: PreferenceConfig) -> tuple[NDArray[np.float64], Mask]:
    """Return each row's signed, decayed weight (n,) float64 and whether the row is an opinion (n,) bool.

    A rating of at least `positive_rating` weighs `w * rating / scale`, one of at most `negative_rating`
    `-w * (scale - rating) / scale`, one between (or without a value) 0; of other types a value below the type's
    threshold weighs 0. `as_of` is in ms; later events do not decay.
    """
    config_weights = [config.event_weights.get(name, config.default_weight) for name in interactions.names]
    opinions = [name in config.decisive for name in interactions.names]
    codes, values = interactions.event_types, interactions.values.astype(np.float64)
    weights = np.array(config_weights, np.float64)[codes] if len(codes) else np.empty(0)
    decisive = np.array(opinions, np.bool_)[codes] if len(codes) else np.empty(0, np.bool_)
    ratings = _is_rating(interactions)
    scale = config.rating_scale
    share = np.where(
        values >= config.positive_rating,
        np.minimum(values, scale) / scale,
        np.where(values <= config.negative_rating, -(scale - np.maximum(values, 0.0)) / scale, 0.0),
    )
    weights = np.where(ratings, weights * share, weights)
    weights[_below_threshold(interactions, config)] = 0.0
    half_lives = [config.half_lives.get(name, config.half_life) for name in interactions.names]
    if any(half_life is not None for half_life in half_lives) and len(codes):
        rates = np.array([0.0 if each is None else 1 / (each * SECOND) for each in half_lives])
        age = np.maximum(as_of - interactions.timestamps, 0) * rates[codes]
        age[interactions.timestamps < 0] = 0.0
        weights = weights * np.exp2(-age)
    return weights, decisive


def preferences(interactions: Interactions, as_of: int, config: PreferenceConfig | None = None) -> Preferences:
    """Aggregate interactions into one preference per (user, item).

    The latest opinion on an item decides: positive, negative, or seen only (a middling rating), which gives no row.
    Without one, what was done counts as positive. The weights of the deciding sign are summed, of ratings only the
    latest; confidence is `1 + alpha * log1p(weight)` (Hu, Koren, Volinsky 2008, section 3). `as_of`: ms.
    Equal timestamps are ordered by row.
    """
    config = config or PreferenceConfig()
    rows = _speaking(interactions, as_of, config)
    weights, decisive = event_weights(rows, as_of, config)
    order = np.lexsort((rows.timestamps, rows.items, rows.users))
    rows, weights, decisive = rows.take(order), weights[order], decisive[order]
    starts = _group_starts(rows.users, rows.items)
    if not len(starts):
        return _none()
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows))))
    latest_rating = _latest(_is_rating(rows), starts)
    stale = _is_rating(rows) & (np.arange(len(rows)) != latest_rating[group])
    weights = np.where(stale, 0.0, weights)
    deciding = _latest(decisive, starts)
    sign = np.where(deciding < 0, 1.0, np.sign(weights[deciding]))
    total = np.add.reduceat(np.maximum(weights * sign[group], 0.0), starts)
    last = np.append(starts[1:], len(rows)) - 1
    kept = _recent(rows.users[starts], rows.timestamps[last], config.max_items) & (total > 0)
    return _confident(rows.users[starts], rows.items[starts], total, sign, rows.timestamps[last], kept, config)


def _confident(
    users: Ordinals,
    items: Ordinals,
    total: NDArray[np.float64],
    sign: NDArray[np.float64],
    timestamps: NDArray[np.int64],
    kept: Mask,
    config: PreferenceConfig,
) -> Preferences:
    """Cap each user's total weight and turn weights into confidences."""
    users, items, total, sign = users[kept], items[kept], total[kept], sign[kept]
    if len(users):
        starts = np.flatnonzero(np.concatenate(([True], users[1:] != users[:-1])))
        per_user = np.add.reduceat(total, starts)
        scale = np.minimum(1.0, config.max_user_weight / per_user)
        total = total * np.repeat(scale, np.diff(np.append(starts, len(users))))
    confidence = (1.0 + config.alpha * np.log1p(total)).astype(np.float32)
    return Preferences(users, items, total.astype(np.float32), confidence, sign > 0, timestamps[kept])


def _speaking(interactions: Interactions, as_of: int, config: PreferenceConfig) -> Interactions:
    """Leave out rows of unknown items, rows older than `max_age`, and events that say nothing."""
    silent = [config.event_weights.get(name, config.default_weight) == 0.0 for name in interactions.names]
    kept = (interactions.items >= 0) & ~_below_threshold(interactions, config)
    if any(silent):
        kept &= ~np.array(silent, np.bool_)[interactions.event_types]
    if config.max_age is not None:
        times = interactions.timestamps
        kept &= (times >= as_of - config.max_age * SECOND) | (times < 0)
    return interactions if kept.all() else interactions.take(kept)


def _below_threshold(interactions: Interactions, config: PreferenceConfig) -> Mask:
    """Return which rows have a value that is too small to count; a rating always counts, for or against."""
    least = [-np.inf if name == "rating" else config.thresholds.get(name, -np.inf) for name in interactions.names]
    if not len(interactions) or max(least) == -np.inf:
        return np.zeros(len(interactions), np.bool_)
    return np.asarray(interactions.values < np.array(least, np.float32)[interactions.event_types], np.bool_)


def _is_rating(interactions: Interactions) -> Mask:
    """Return which rows are ratings."""
    if "rating" not in interactions.names:
        return np.zeros(len(interactions), np.bool_)
    code = interactions.names.index("rating")
    return np.asarray(interactions.event_types == code, np.bool_)


def _group_starts(users: Ordinals, items: Ordinals) -> NDArray[np.intp]:
    """Return where each (user, item) begins in sorted columns."""
    if not len(users):
        return np.empty(0, np.intp)
    changed = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    return np.flatnonzero(np.concatenate(([True], changed)))


def _latest(mask: Mask, starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the last row of each group where `mask` holds, or -1."""
    return np.maximum.reduceat(np.where(mask, np.arange(len(mask)), -1), starts)


def _recent(users: Ordinals, timestamps: NDArray[np.int64], count: int) -> Mask:
    """Return which rows are among the `count` latest of their user (users sorted; ties to the later row)."""
    n = len(users)
    starts = np.flatnonzero(np.concatenate(([True], users[1:] != users[:-1])))
    sizes = np.diff(np.append(starts, n))
    if int(sizes.max()) <= count:
        return np.ones(n, np.bool_)
    order = np.lexsort((np.arange(n), timestamps, users))
    from_end = np.repeat(starts + sizes, sizes) - np.arange(n)
    kept = np.empty(n, np.bool_)
    kept[order] = from_end <= count
    return kept


def _none() -> Preferences:
    """Return no preferences."""
    ints, floats = np.empty(0, np.int32), np.empty(0, np.float32)
    return Preferences(ints, ints, floats, floats, np.empty(0, np.bool_), np.empty(0, np.int64))
