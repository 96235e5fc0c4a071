"""What a user and their candidates have to do with each other at a moment."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.clock import HOUR
from kindred.features.registry import NEVER_HOURS
from kindred.features.values.items import ItemReading, Numbers
from kindred.features.values.shown import shown_in_vain
from kindred.features.values.users import UserReading

_NO_MATCH = 0.5


def pair_columns(
    user: UserReading,
    ordinals: Ordinals,
    items: ItemReading,
    columns: dict[str, NDArray[Any]],
    content: Floats | None = None,
    collaborative: Floats | None = None,
    only: Collection[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """Return every feature of a user with n items by name, (n,) each, or those that are asked for and a few more.

    `columns`: `item_columns` of the items. `content (d,)`, `collaborative (d,)`: the user's vectors. `only`: names.
    """
    attributes = items.items
    singly: Mapping[str, Callable[[], NDArray[Any]]] = {
        "tag_overlap": lambda: _tag_overlap(user, attributes.tags, len(ordinals)),
        "content_similarity": lambda: _cosine(content, attributes.content, len(ordinals)),
        "collaborative_similarity": lambda: _cosine(collaborative, attributes.collaborative, len(ordinals)),
        "times_shown_without_click": lambda: _times_shown(user, ordinals),
        "timing_match": items.timing,
        "popularity_user_match": lambda: _match(columns["popularity_score"], user.mean(user.items.popularity)),
        "recency_match": lambda: _match(columns["recency_score"], user.novelty),
        "quality_match": lambda: _match(columns["quality_score"], user.mean(user.items.quality)),
    }
    return {
        **_category_columns(user, items),
        **_known_columns(user, ordinals),
        **{name: made() for name, made in singly.items() if only is None or name in only},
    }


def _category_columns(user: UserReading, items: ItemReading) -> dict[str, NDArray[Any]]:
    """Return how the items' categories stand with the user; place 0 of each table is for items without one."""
    names, codes = user.items.names, items.items.primary + 1
    size = len(names.categories) + 1
    favourite, affinity, newest = np.zeros(size, np.bool_), np.zeros(size), np.full(size, -1, np.int64)
    favourite[[code + 1 for code, _ in user.favourites]] = True
    affinity[1:] = user.affinity
    np.maximum.at(newest, user.items.primary + 1, np.minimum(user.rows.timestamps, user.as_of))
    newest[0] = -1
    hours = np.where(newest >= 0, np.minimum((user.as_of - newest) / HOUR, NEVER_HOURS), NEVER_HOURS)
    return {
        "category_match": favourite[codes],
        "category_affinity": affinity[codes],
        "hours_since_category": hours[codes],
    }


def _known_columns(user: UserReading, ordinals: Ordinals) -> dict[str, NDArray[Any]]:
    """Return which items the rows hold a view of, and a click on."""
    config, asked = user.config.fold, ordinals.tolist()
    found = {}
    for name, types in (("has_viewed", config.views), ("has_clicked", config.clicks)):
        # A set beats sorting at a few hundred rows.
        there = set(user.rows.items[user.of_types(types)].tolist())
        found[name] = np.fromiter((one in there for one in asked), np.bool_, len(asked))
    return found


def _tag_overlap(user: UserReading, tags: NDArray[np.uint64] | None, size: int) -> Numbers:
    """Return which share of each item's tags the items of positive rows bear."""
    if tags is None or user.items.tags is None:
        return np.zeros(size)
    own = np.bitwise_or.reduce(user.items.tags[user.weights > 0], axis=0)
    many, shared = (np.einsum("nw->n", np.bitwise_count(bits), dtype=np.int64) for bits in (tags, tags & own))
    return np.asarray(shared / np.maximum(many, 1), np.float64)


def _times_shown(user: UserReading, ordinals: Ordinals) -> NDArray[np.int64]:
    """Count the exposures of each item that came after the last click on it."""
    items, counts = shown_in_vain(user.record, user.as_of)
    if not len(items):
        return np.zeros(len(ordinals), np.int64)
    where = np.minimum(np.searchsorted(items, ordinals), len(items) - 1)
    return np.where(items[where] == ordinals, counts[where], 0)


def _cosine(vector: Floats | None, vectors: Floats | None, size: int) -> Numbers:
    """Return the cosine of a vector (d,) with vectors (n, d), 0 where one is zero or missing."""
    if vector is None or vectors is None:
        return np.zeros(size)
    length = math.sqrt(float(vector @ vector))
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors)) * length
    cosines: Numbers = np.divide(vectors @ vector, lengths, out=np.zeros(size), where=lengths > 0)
    return cosines


def _match(column: Numbers, typical: float | None) -> Numbers:
    """Return how near values (n,) of 0 to 1 are to what is typical for the user."""
    return np.full(len(column), _NO_MATCH) if typical is None else 1.0 - np.abs(column - typical)
