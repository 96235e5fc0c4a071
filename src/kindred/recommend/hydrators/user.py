"""The user's state: one read at the start of every request, and one more of who was merged into another."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kindred.core.position import Position
from kindred.core.query import Query, UserFacts
from kindred.features.history import HistoryRows
from kindred.features.users import UserRecord
from kindred.features.values.shown import shown_in_vain
from kindred.models.preference import Interactions, PreferenceConfig, preferences
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.known_user import KNOWN_USER, KnownUser, known_user
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class UserState:
    """Reads the user's record; without it the user is treated as new and the answer says so."""

    world: World
    name: str = "user_state"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    async def hydrate(self, query: Query) -> Mapping[str, Any]:
        """Return `facts`: the user's record as preferences of now; `record`: the record itself; `rows`: its
        interactions, newest first; `shown`: what was lately shown to the user and not clicked since, and how often.
        """
        known: KnownUser | None = query.scratch.get(KNOWN_USER)
        if known is None:
            known = await known_user(self.world.state, query.user_id, self.world.partition_of)
        user = known.record
        if user is None or known.version is None:
            return {"facts": UserFacts(state_version=known.watermark)}
        facts = user_facts(user, known.version, query.context.time, self.world.preference, known.watermark)
        shown = shown_in_vain(user, query.context.time)
        return {"facts": facts, "record": user, "rows": user.rows(), "shown": shown}


def user_facts(
    record: UserRecord, version: Position, now: int, config: PreferenceConfig, watermark: Position
) -> UserFacts:
    """Turn a record into what the stages read; `now` is ms, `watermark` was read no later than the record."""
    rows = record.rows()
    interactions = as_interactions(rows)
    found = preferences(interactions, now, config)
    order = np.lexsort((found.items, -found.timestamps))
    found = found.take(order)
    return UserFacts(
        known=True,
        history=found.items,
        confidence=found.confidence,
        positive=found.positive,
        last=found.timestamps,
        seen=record.seen_items(),
        hidden=np.sort(found.items[~found.positive]),
        interactions=record.interactions,
        version=version,
        state_version=max(version, watermark),
        profile=record.profile,
    )


def as_interactions(rows: HistoryRows) -> Interactions:
    """Return one user's rows as interaction columns, oldest first, as the preference function expects them."""
    back = rows.take(slice(None, None, -1))
    users = np.zeros(len(rows), np.int32)
    return Interactions(users, back.items, back.timestamps, back.codes.astype(np.int16), back.values, rows.names)
