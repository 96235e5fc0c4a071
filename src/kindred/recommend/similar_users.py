"""People like one user, found live in the history: a bundle holds no row of anybody."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.core.errors import NotFound
from kindred.features.groups import user_key
from kindred.features.users import UserRecord, decode_user
from kindred.models.preference import preferences
from kindred.models.user_user import Histories, nearest_users
from kindred.ports.interactions import InteractionStore
from kindred.recommend.ask import SimilarUsersAnswer, SimilarUsersAsk
from kindred.recommend.hydrators.user import as_interactions
from kindred.recommend.known_user import known_user
from kindred.recommend.world import World

TELLING = 20
RECENT = 200
CANDIDATES = 200
SHRINKAGE = 3.0


async def similar_users(
    world: World, interactions: InteractionStore, ask: SimilarUsersAsk, now: int
) -> SimilarUsersAnswer:
    """Answer with the users whose taste is nearest; raise NotFound for a user who is not known.

    Candidates are the latest users of the items that tell most of this one; who is nearest is judged by everybody's
    whole present history, read in one go, so that nobody appears who was erased or merged into another.
    """
    known = await known_user(world.state, ask.user_id, world.partition_of)
    if known.record is None:
        raise NotFound(f"there is no user {ask.user_id!r}")
    items, values = _tastes(world, known.record, now)
    telling = items[np.lexsort((items, -values))][:TELLING][: int((values > 0).sum())]
    records = await _candidates(world, interactions, telling, known.user_id)
    names = sorted(records)
    tastes = [_tastes(world, records[name], now) for name in names]
    sizes = [len(one) for one, _ in tastes]
    others = Histories(
        np.concatenate([items[:0], *(one for one, _ in tastes)]),
        np.concatenate([values[:0], *(weights for _, weights in tastes)]),
        np.repeat(np.arange(len(names)), sizes),
        len(names),
    )
    rows, similarities, common = nearest_users(items, values, others, ask.count, SHRINKAGE)
    found = zip(rows.tolist(), similarities.tolist(), common.tolist(), strict=True)
    return SimilarUsersAnswer(
        user_id=known.user_id,
        state_version=str(max(known.watermark, known.version or known.watermark)),
        users=[(names[row], similarity, shared) for row, similarity, shared in found],
    )


async def _candidates(
    world: World, interactions: InteractionStore, items: Ordinals, user_id: str
) -> Mapping[str, UserRecord]:
    """Return the records of the users who share most of `items`, those who still stand for themselves."""
    lists = await asyncio.gather(*(interactions.by_item(item, RECENT) for item in items.tolist()))
    shared = Counter(user for rows in lists for user in {row.user_id for row in rows} if user != user_id)
    best = sorted(shared, key=lambda user: (-shared[user], user))[:CANDIDATES]
    return await _records(world, best)


async def _records(world: World, users: Sequence[str]) -> Mapping[str, UserRecord]:
    view = await world.state.read([user_key(user) for user in users])
    read = {user: decode_user(each.value) for user, each in zip(users, view.records, strict=True) if each is not None}
    return {user: record for user, record in read.items() if record is not None and record.alias is None}


def _tastes(world: World, record: UserRecord, now: int) -> tuple[Ordinals, Floats]:
    """Return a user's items and their signed confidences, an item that many have counting less."""
    found = preferences(as_interactions(record.rows()), now, world.preference)
    rarity = np.log1p(world.models.manifest.window.users / (1.0 + world.evidence(found.items)))
    return found.items, (found.signed() * rarity).astype(np.float32)
