"""Who did what to which item, newest first."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kindred.core.ids import hashed_id
from kindred.core.position import Position
from kindred.ports.resource import Resource

EVERY_ITEM, EVERY_TYPE = -1, ""

Tombstone: TypeAlias = tuple[bytes, int, str]
"""What is gone: hashed user, item or EVERY_ITEM, event type or EVERY_TYPE."""


class InteractionRow(NamedTuple):
    """One interaction; `timestamp` is milliseconds since 1970 UTC (None: unknown), `value` a rating, price or NaN.

    `row_id` (16 bytes) makes a second insertion of the same row a no-op.
    """

    row_id: bytes
    user_id: str
    item: int
    event_type: str
    timestamp: int | None
    value: float


def outliving(rows: Sequence[InteractionRow], gone: Set[Tombstone]) -> list[InteractionRow]:
    """Return the rows that no tombstone stands for."""
    hashes = {user_id: hashed_id(user_id) for user_id in {row.user_id for row in rows}}
    return [
        row
        for row in rows
        if gone.isdisjoint(
            (hashes[row.user_id], item, kind)
            for item, kind in ((EVERY_ITEM, EVERY_TYPE), (row.item, EVERY_TYPE), (row.item, row.event_type))
        )
    ]


@dataclass(frozen=True, slots=True)
class InteractionColumns:
    """Many interactions as columns of one length n, for bulk insertion.

    `row_ids (n,) S16` bytes, `users` list of str, `items (n,) int32` ordinals, `event_types` list of str,
    `timestamps (n,) int64` ms with -1 for unknown, `values (n,) float64` with NaN for none.
    """

    row_ids: NDArray[np.void]
    users: Sequence[str]
    items: NDArray[np.int32]
    event_types: Sequence[str]
    timestamps: NDArray[np.int64]
    values: NDArray[np.float64]


class Retained(Protocol):
    """Rows that leave after some time."""

    async def trim(self, before: int) -> int:
        """Delete rows of before a time (ms), those without time stay; return how many there were.

        In pieces, so that other writers get their turn; one that was cut off is made whole by calling again.
        """
        ...


class InteractionStore(Retained, Resource, Protocol):
    """The full history behind the hot state.

    Writers say up to which position they follow the log. What was forgotten or removed at a position stays so for every
    writer that stands at or before it, and nobody forgets or removes again what was at that position or a later one: so
    a zombie neither brings rows back nor takes newer ones away. A tombstone knows its user by a hash alone.
    """

    async def add(self, rows: Sequence[InteractionRow], position: Position) -> int:
        """Insert rows, skipping known row ids and what was forgotten or removed at `position` or later.

        Returns how many were new.
        """
        ...

    async def add_columns(self, columns: InteractionColumns) -> int:
        """Insert many rows at once, skipping known row ids, whatever was forgotten; return how many were new."""
        ...

    async def by_user(self, user_id: str, limit: int, before: int | None = None) -> list[InteractionRow]:
        """Return a user's rows newest first, those without time last; `before` (ms) leaves out rows at or after it."""
        ...

    async def by_item(self, item: int, limit: int) -> list[InteractionRow]:
        """Return an item's rows, newest first."""
        ...

    async def remove(
        self, user_id: str, item: int, position: Position, event_types: Sequence[str] | None = None
    ) -> int:
        """Delete a user's rows of one item, or those of some event types alone; return how many there were."""
        ...

    async def forget(self, user_id: str, position: Position) -> int:
        """Delete a user's rows; return how many there were."""
        ...

    async def counts(self) -> tuple[int, int, int]:
        """Return how many rows, distinct users and distinct items there are."""
        ...
