"""What became of something written: one thing, or each element of a batch."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from kindred.core.errors import Fault


class ItemOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an item: `stored` when answers see it, `queued` when it is durable and soon will be."""

    item_id: str
    status: Literal["stored", "queued", "deleted"]
    position: str


class UserOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a user's profile."""

    user_id: str
    status: Literal["stored", "queued", "erased"]
    position: str


class EventOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A tracked event: durable, at `position` in the log; a `duplicate` already stood there."""

    event_id: str
    status: Literal["queued", "duplicate"]
    position: str


class ElementOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one element of a batch; `errors` says why it was rejected."""

    status: Literal["queued", "duplicate", "stored", "rejected"]
    event_id: str | None = None
    item_id: str | None = None
    user_id: str | None = None
    position: str | None = None
    errors: Sequence[Fault] | None = None


class BatchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch: one result per element, in order."""

    accepted: int
    rejected: int
    results: list[ElementOutcome]
