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
from kindred.recommend.known_user import known_user
from kindred.recommend.model_set import CONTENT
from kindred.recommend.world import World

METRICS = ("hybrid", "collaborative", "content")
KEPT = 200
DAY = 86_400.0


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
    items, scores = await _neighbours(world, cache, known.ordinal, ask.metric)
    mask, version = await _mask(world, ask, now)
    kept = mask.has(items)
    items, scores = items[kept][: ask.count], scores[kept][: ask.count]
    found = await world.cards.in_order(items.tolist())
    shown = [
        (item, float(score), similarity_reason(world, ask.metric, known, item))
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
    behaviour = world.models.item_item.similar(item, KEPT)
    content = _content(world, item)
    if metric == "collaborative":
        return behaviour
    if metric == "content":
        return content
    users = float(world.evidence(np.array([item], np.int32))[0])
    share = users / (users + max(world.config.cold_item, 1e-6)) if len(behaviour[0]) else 0.0
    items = np.concatenate([behaviour[0], content[0]])
    parts = np.concatenate([share * _scaled(behaviour[1]), (1 - share) * content[1]])
    distinct, rows = np.unique(items, return_inverse=True)
    totals = np.bincount(rows, parts, len(distinct)).astype(np.float32)
    order = np.lexsort((distinct, -totals))[:KEPT]
    order = order[totals[order] > 0]
    return distinct[order].astype(np.int32), totals[order]


def similarity_reason(world: World, metric: str, a: CatalogItem, b: CatalogItem) -> str:
    """Say what two items share, or that the same people chose them, as the metric saw it."""
    if metric == "collaborative":
        return "Chosen by the same people"
    shared = world.models.content.shared_attributes(item_text(b.item), item_text(a.item))
    if shared:
        return f"Shares {listed_words([one.value for one in shared])}"
    chosen_together = metric == "hybrid" and b.ordinal in world.models.item_item.similar(a.ordinal, KEPT)[0]
    return "Chosen by the same people" if chosen_together else "Described alike"


def _content(world: World, item: int) -> tuple[Ordinals, Floats]:
    vector = world.content_vectors(np.array([item], np.int32))[0]
    if not vector.any():
        return np.empty(0, np.int32), np.empty(0, np.float32)
    items, scores = world.models.indexes[CONTENT].search(vector, KEPT + 1)
    other = (items != item) & (scores > 0)
    return items[other][:KEPT], np.clip(scores[other][:KEPT], 0, 1)


async def _neighbours(world: World, cache: Cache, item: int, metric: str) -> tuple[Ordinals, Floats]:
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


async def _mask(world: World, ask: SimilarAsk, now: int) -> tuple[Bits, str]:
    named = await world.catalog.get(list(ask.exclude_items)) if ask.exclude_items else []
    left = np.array([item.ordinal for item in named if item is not None], np.int32)
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
