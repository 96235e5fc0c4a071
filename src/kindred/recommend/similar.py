"""Items like another: by who chose them, by what they are, or both by how much is known."""

import contextlib

import msgspec
import numpy as np

from kindred.core.bits import Bits
from kindred.core.candidates import Floats, Ordinals
from kindred.core.errors import InvalidInput, KindredError, NotFound
from kindred.core.item import CatalogItem
from kindred.ports.operations import Cache
from kindred.recommend.ask import SimilarAnswer, SimilarAsk
from kindred.recommend.explainers.reasons import listed_words
from kindred.recommend.item_text import item_text
from kindred.recommend.items.near import Near
from kindred.recommend.known_user import known_user
from kindred.recommend.model_set import CONTENT
from kindred.recommend.world import World

METRICS = ("hybrid", "collaborative", "content")
KEPT = 200
DAY = 86_400.0
_NOTHING = np.empty(0, np.int32)


class _Kept(msgspec.Struct, array_like=True):
    """Neighbours as the cache holds them: ordinals int32 and scores float32, packed."""

    items: bytes
    scores: bytes


async def similar_items(world: World, cache: Cache, ask: SimilarAsk, now: int) -> SimilarAnswer:
    """Answer from the neighbour lists under the live masks; raise NotFound for an item that is not listed."""
    if ask.metric not in METRICS:
        raise InvalidInput.at("/metric", f"is {ask.metric!r}, known are {', '.join(METRICS)}")
    (known,) = await world.catalog.get([ask.item_id])
    if known is None or not known.listed:
        raise NotFound(f"no item {ask.item_id!r} in the catalogue")
    near = await _near(world, cache, known, ask.metric)
    mask, version = await _mask(world, known.ordinal, ask, now)
    items, scores = _through(world, known.ordinal, near, mask, ask)
    found = await world.cards.in_order(items.tolist())
    shown = [
        (item, float(score), _reason(world, ask.metric, near, known, item))
        for item, score in zip(found, scores, strict=True)
        if item is not None
    ]
    return SimilarAnswer(
        item_id=ask.item_id,
        metric=ask.metric,
        model_version=world.models.version,
        state_version=version,
        items=shown,
        degraded=["under_filled"] if len(shown) < ask.count else [],
    )


def neighbours(world: World, item: int, metric: str) -> tuple[Ordinals, Floats]:
    """Return up to 200 (ordinals, similarities in [0, 1]) of an ordinal, best first, ties by ordinal.

    `hybrid` mixes both by evidence n / (n + k), n the item's users and k `cold_item`: an item nobody used is judged by
    content alone.
    """
    chosen, strengths = world.models.item_item.similar(item, KEPT)
    if metric == "collaborative":
        return chosen, strengths
    vector = world.content_vectors(np.array([item], np.int32))[0]
    alike = _alike(world, item, vector)
    if metric == "content":
        chosen, strengths = chosen[:0], strengths[:0]
    share = _share(world, item, metric)
    items = np.union1d(chosen, alike[alike != item]).astype(np.int32)
    scores = (1 - share) * _cosines(world, items, vector)
    scores[np.searchsorted(items, chosen)] += share * _scaled(strengths)
    return _best(items, scores)


def similarity_reason(world: World, metric: str, a: CatalogItem, b: CatalogItem) -> str:
    """Say what two items share, or that the same people chose them, as the metric saw it."""
    if metric == "collaborative":
        return "Chosen by the same people"
    shared = world.models.content.shared_attributes(item_text(b.item), item_text(a.item))
    if shared:
        return f"Shares {listed_words([one.value for one in shared])}"
    chosen_together = metric == "hybrid" and b.ordinal in world.models.item_item.similar(a.ordinal, KEPT)[0]
    return "Chosen by the same people" if chosen_together else "Described alike"


def _alike(world: World, item: int, vector: Floats) -> Ordinals:
    """Return what is like an item by content: its list with what is newer than that, else what a search finds."""
    if not vector.any():
        return _NOTHING
    index, length = world.models.indexes[CONTENT], world.models.content.config.list_length
    listed = _listed(world, item)
    if listed is None:
        return index.search(vector, length + 1)[0]
    return np.concatenate([listed, index.search_added(vector, length)[0]])


def _listed(world: World, item: int) -> Ordinals | None:
    """Return an item's list; None where it has none, or bears another text since."""
    lists = world.models.content_lists
    return None if lists is None or item in world.side else lists.of(item)


def _share(world: World, item: int, metric: str) -> float:
    """Return how much who chose an item counts beside what it is; nothing where nobody chose it with another."""
    if metric == "content" or not len(world.models.item_item.similar(item, 1)[0]):
        return 0.0
    users = float(world.evidence(np.array([item], np.int32))[0])
    return users / (users + max(world.config.cold_item, 1e-6))


def _cosines(world: World, items: Ordinals, vector: Floats) -> Floats:
    """Return how like each item (c,) is to a vector, in [0, 1]."""
    cosines: Floats = np.clip(world.content_vectors(items) @ vector, 0, 1)
    return cosines


def _best(items: Ordinals, scores: Floats) -> tuple[Ordinals, Floats]:
    order = np.lexsort((items, -scores))[:KEPT]
    order = order[scores[order] > 0]
    return items[order], scores[order]


async def _near(world: World, cache: Cache, known: CatalogItem, metric: str) -> Near:
    """Return an item's neighbours: those kept here, worked out from its list, or found by a search that all share."""
    item, seq = known.ordinal, world.table.seq
    near = world.near.find(metric, known, seq)
    if near is not None:
        return near
    if metric == "collaborative" or _listed(world, item) is not None:
        found = neighbours(world, item, metric)
    else:
        found = await _searched(world, cache, item, metric)
    return world.near.keep(metric, known, Near(seq, *found))


async def _searched(world: World, cache: Cache, item: int, metric: str) -> tuple[Ordinals, Floats]:
    key = f"similar:{world.models.version}:{world.table.seq}:{metric}:{item}"
    # A cache that fails costs time, never the answer.
    with contextlib.suppress(KindredError, msgspec.DecodeError):
        (kept,) = await cache.get([key])
        if kept is not None:
            packed = msgspec.msgpack.decode(kept, type=_Kept)
            return np.frombuffer(packed.items, np.int32), np.frombuffer(packed.scores, np.float32)
    items, scores = neighbours(world, item, metric)
    with contextlib.suppress(KindredError):
        await cache.put(key, msgspec.msgpack.encode(_Kept(items.tobytes(), scores.tobytes())), DAY)
    return items, scores


def _through(world: World, item: int, near: Near, mask: Bits, ask: SimilarAsk) -> tuple[Ordinals, Floats]:
    """Return those neighbours that pass the masks; where they are too few, what a search under the masks finds too."""
    kept = mask.has(near.items)
    items, scores = near.items[kept], near.scores[kept]
    if len(items) < ask.count and ask.metric != "collaborative":
        vector = world.content_vectors(np.array([item], np.int32))[0]
        further = world.models.indexes[CONTENT].search(vector, ask.count, mask)[0] if vector.any() else _NOTHING
        further = np.setdiff1d(further, items)
        share = _share(world, item, ask.metric)
        rest = (1 - share) * _cosines(world, further, vector)
        items, scores = _best(np.concatenate([items, further]), np.concatenate([scores, rest]))
    return items[: ask.count], scores[: ask.count]


def _reason(world: World, metric: str, near: Near, known: CatalogItem, item: CatalogItem) -> str:
    """Return why an item is there, as it was worked out before if it still says the same of itself."""
    seq, said = near.reasons.get(item.ordinal, (-1, ""))
    if seq != item.seq:
        said = similarity_reason(world, metric, known, item)
        near.reasons[item.ordinal] = (item.seq, said)
    return said


async def _mask(world: World, itself: int, ask: SimilarAsk, now: int) -> tuple[Bits, str]:
    named = await world.catalog.get(list(ask.exclude_items)) if ask.exclude_items else []
    left = np.array([itself, *(item.ordinal for item in named if item is not None)], np.int32)
    country = None
    watermark = None
    if ask.user_id is not None:
        known = await known_user(world.state, ask.user_id, world.partition_of)
        watermark = known.watermark
        if known.record is not None:
            left = np.concatenate([left, known.record.seen_items()])
            country = known.record.profile.country if known.record.profile else None
    mask = world.offered(now, country, ask.category).bits.without(left)
    return mask, str(watermark or await world.state.watermark())


def _scaled(values: Floats) -> Floats:
    return values / max(float(values.max(initial=0.0)), 1e-9)
