"""Who a user is: one who was merged into another reads as that other."""

from collections.abc import Callable
from typing import NamedTuple

from kindred.core.position import Position
from kindred.features.groups import user_key
from kindred.features.users import UserRecord, decode_user
from kindred.ports.state import StateStore

KNOWN_USER = "known_user"
"""Under this name a query's scratch holds its user where they were read before the stages ran."""


class KnownUser(NamedTuple):
    """A user under the name at the end of their merges, and what the state holds of them.

    `version`: the position of the record (None without one); `watermark` was read no later than the record.
    """

    user_id: str
    record: UserRecord | None
    version: Position | None
    watermark: Position


async def known_user(state: StateStore, user_id: str, partition_of: Callable[[str], int]) -> KnownUser:
    """Read a user; of one who was merged, the record of the known one. A circle of merges ends where it closes."""
    met = {user_id}
    while True:
        view = await state.read([user_key(user_id)], partition_of(user_id))
        stored = view.records[0]
        record = None if stored is None else decode_user(stored.value)
        if stored is None or record is None or record.alias is None or record.alias in met:
            return KnownUser(user_id, record, None if stored is None else stored.position, view.watermark)
        user_id = record.alias
        met.add(user_id)
