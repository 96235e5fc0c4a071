"""Slate: the ordered answer, and the reason of each item."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

import msgspec
import numpy as np

from kindred.core.candidates import Candidates
from kindred.core.position import START, Position
from kindred.core.trace import Trace


class ReasonCode(StrEnum):
    """The closed list of reasons; one verb per kind of event."""

    BECAUSE_YOU_WATCHED = "because_you_watched"
    BECAUSE_YOU_RATED = "because_you_rated"
    BECAUSE_YOU_BOUGHT = "because_you_bought"
    BECAUSE_YOU_LIKED = "because_you_liked"
    BECAUSE_YOU_ADDED = "because_you_added"
    BECAUSE_YOU_CLICKED = "because_you_clicked"
    BECAUSE_YOU_INTERACTED = "because_you_interacted"
    LIKE_MINDED = "like_minded"
    SHARED_ATTRIBUTES = "shared_attributes"
    MATCHES_CHOICES = "matches_choices"
    SIMILAR_TO_THIS = "similar_to_this"
    TRENDING = "trending"
    TRENDING_IN_CATEGORY = "trending_in_category"
    POPULAR = "popular"
    POPULAR_IN_CATEGORY = "popular_in_category"
    POPULAR_IN_COUNTRY = "popular_in_country"
    POPULAR_IN_SEGMENT = "popular_in_segment"
    NEW = "new"
    IN_SEASON = "in_season"
    PROMOTED = "promoted"
    MATCHES_QUERY = "matches_query"
    RELATED_TO_QUERY = "related_to_query"
    FROM_CATALOGUE = "from_catalogue"


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why an item is here, true to the source that proposed it; `anchor` is the ordinal of the item that led to it."""

    code: ReasonCode
    text: str
    anchor: int | None = None


@dataclass(frozen=True, slots=True)
class Slate:
    """An ordered answer.

    `candidates` holds the shown items in order with their columns (`score`, `propensity (n,) float32`);
    `sources[i]` is the source with the largest share of item i's score, `all_sources[i]` every one that proposed it.
    `degraded` names what failed open and why there are fewer items than asked for.
    """

    request_id: str
    candidates: Candidates
    sources: list[str] = field(default_factory=list)
    all_sources: list[tuple[str, ...]] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    strategy: str = "standard"
    degraded: list[str] = field(default_factory=list)
    state_version: Position = START
    bundle: str = ""
    trace: Trace | None = None

    def take(self, rows: Sequence[int]) -> Self:
        """Return a slate of some rows, in their order."""
        return replace(
            self,
            candidates=self.candidates.take(np.array(rows, np.intp)),
            sources=[self.sources[row] for row in rows],
            all_sources=[self.all_sources[row] for row in rows],
            reasons=[self.reasons[row] for row in rows] if self.reasons else [],
        )
