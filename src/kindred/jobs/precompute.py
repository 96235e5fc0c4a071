"""Reserves made ahead: what active users are likely to ask for next is ranked before they do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from kindred.features.groups import USER
from kindred.features.users import decode_user
from kindred.ports.state import StateStore
from kindred.recommend.reserves.reserve import Grade


@dataclass(frozen=True, slots=True)
class Precomputed:
    """What a run did: users it ranked for, users whose reserve was there already, and whether it stopped at its limit.

    A run that was cut off is taken up by the next one: what is there is not made again.
    """

    ranked: int
    kept: int
    stopped: bool


async def precompute(state: StateStore, rank: Callable[[str], Awaitable[Grade]], since: int, most: int) -> Precomputed:
    """Rank for the users who did something after `since` (ms), at most `most`; `rank` says what it found of a user."""
    ranked = kept = 0
    async for user_id, stored in state.scan(USER):
        record = decode_user(stored.value)
        if record is None or record.alias is not None or not record.timestamps:
            continue
        if int(np.frombuffer(record.timestamps, "<i8", 1)[0]) <= since:
            continue
        if ranked + kept >= most:
            return Precomputed(ranked, kept, True)
        if await rank(user_id) is Grade.MISS:
            ranked += 1
        else:
            kept += 1
    return Precomputed(ranked, kept, False)
