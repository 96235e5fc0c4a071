"""Answers of similar items, trending and popular."""

import msgspec


class SimilarItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item like the one asked for."""

    item_id: str
    title: str
    thumbnail_url: str
    similarity_score: float
    reason: str
    category: str | None


class SimilarResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Items like another, best first."""

    item_id: str
    metric: str
    model_version: str
    state_version: str
    similar_items: list[SimilarItem]
    degraded: list[str]


class SimilarUser(msgspec.Struct, frozen=True, kw_only=True):
    """One user like the one asked for."""

    user_id: str
    similarity: float
    items_in_common: int


class SimilarUsersResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Users like another, best first."""

    user_id: str
    state_version: str
    similar_users: list[SimilarUser]


class ListedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a list that is the same for everyone."""

    item_id: str
    title: str
    thumbnail_url: str
    score: float
    reason: str
    category: str | None


class ListResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A list that is the same for everyone, best first; `window` is the one that was used."""

    items: list[ListedItem]
    window: str
    model_version: str
    state_version: str
    degraded: list[str]
