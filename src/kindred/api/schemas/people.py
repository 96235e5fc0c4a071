"""Bodies and answers about one person's identity and history."""

from typing import Literal

import msgspec

from kindred.api.schemas.fields import Id


class MergeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who the user of the address turned out to be."""

    into: Id


class MergeOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a merge; `into` is the end of a chain, `unchanged` was merged before, at `position` if known."""

    user_id: str
    into: str
    status: Literal["stored", "queued", "unchanged"]
    position: str | None


class RemovalOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a removal from a history: `stored` when answers know it, `queued` when they soon will."""

    user_id: str
    item_id: str
    status: Literal["stored", "queued"]
    position: str


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One interaction; `timestamp` is null where nobody knows the time, `value` where there is no rating or price."""

    item_id: str | None
    title: str | None
    event_type: str
    timestamp: str | None
    value: float | None


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """A user's interactions, newest first; `user_id` is the known user where the address named an alias.

    `next_before` continues, null at the end. A page may be longer than its limit, because a millisecond is never split;
    `cut` says that so many rows share the last one that some are left out.
    """

    user_id: str
    history: list[HistoryEntry]
    next_before: int | None
    cut: bool
