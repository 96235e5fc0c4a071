"""Query: who asks for what, with which parameters, and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.position import START, Position
from kindred.core.profile import Profile
from kindred.core.rules import Rule


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The circumstances of a request; `time` is milliseconds since 1970 UTC, `location` is `CC[-region[-city]]`."""

    time: int
    page: str = "home"
    device: str | None = None
    location: str | None = None
    session_id: str | None = None
    item: int | None = None

    @property
    def country(self) -> str | None:
        """Return the country of `location`, in capitals."""
        return self.location.split("-")[0].upper() if self.location else None


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer must satisfy; `exclude_items` are ordinals, a category matches any of an item's categories.

    `where`: the canonical text of an expression over item attributes.
    """

    categories: tuple[str, ...] = ()
    exclude_seen: bool = True
    min_rating: float | None = None
    tags: tuple[str, ...] = ()
    exclude_items: tuple[int, ...] = ()
    where: str | None = None


class Boost(msgspec.Struct, frozen=True, kw_only=True):
    """Multiplies the score of what `where`, an expression, lets through."""

    where: str
    factor: float


class Params(msgspec.Struct, frozen=True, kw_only=True):
    """What steers the stages: defaults ← placement ← experiment overlay ← request.

    `candidates`: kept after the merge. `ranked`: kept after the coarse scorer. `diversity`: 0 orders by score alone, 1
    by difference alone. `reranker`: how difference is weighed, mmr or dpp. `category_cap`: largest share of a slate for
    one primary category. `creator_spacing`: slots between two items of one creator. `exploration`: expected share of
    slots that are drawn. `disabled`: names of stages that do not run. `weights`: by family of models or by model, over
    the learned and cold-start ones where given. `rules`: the placement's. `boosts`: what the request
    itself raises and lowers, its expressions in canonical text.
    """

    candidates: int = 1000
    ranked: int = 300
    diversity: float = 0.1
    reranker: str = "mmr"
    category_cap: float = 1.0
    creator_spacing: int = 0
    exploration: float = 0.3
    disabled: tuple[str, ...] = ()
    weights: Mapping[str, float] = {}
    rules: tuple[Rule, ...] = ()
    boosts: tuple[Boost, ...] = ()


class SearchTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for: `offset` results are passed over; `personalisation` is how much the user's taste may say.

    At 0 the order is the same for everyone, at 1 what the user would never choose stands last.
    """

    text: str
    offset: int = 0
    personalisation: float = 0.0


@dataclass(frozen=True, slots=True)
class UserFacts:
    """What the state knows of a user when the request is made.

    `history (h,) int32` ordinals newest first, with `confidence (h,) float32`, `positive (h,) bool` (a dislike is a
    history row too), `last (h,) int64` ms; `seen (s,) int32` sorted ordinals; `hidden` are those that must not come
    back. `interactions` counts all that were folded; `version` is the position of the last of them, `state_version`
    the watermark when they were read.
    """

    known: bool = False
    history: Ordinals = field(default_factory=lambda: np.empty(0, np.int32))
    confidence: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    positive: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    last: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    seen: Ordinals = field(default_factory=lambda: np.empty(0, np.int32))
    hidden: Ordinals = field(default_factory=lambda: np.empty(0, np.int32))
    interactions: int = 0
    version: Position = START
    state_version: Position = START
    profile: Profile | None = None


NOBODY = UserFacts()
"""What is known of nobody."""


@dataclass(slots=True)
class Query:
    """One request as the stages see it; `received` is when it came (ms), which `context.time` may differ from.

    `search`: what a search is for, None where recommendations are asked for. `shown` are ordinals that stand in what
    this answer continues: on earlier pages, or in rows above it. `where` holds what each expression of the filters and
    boosts lets through now, by its text.

    `placements_version`: of which stored version the placement is, 0 = as the settings say.
    `facts` is filled by the query hydrators; `scratch` passes what one stage computed to later ones of the same request
    (such as the solved user vector), under the name of the stage that owns it.
    """

    user_id: str
    request_id: str
    context: Context
    placement: str = "home"
    placements_version: int = 0
    count: int = 20
    filters: Filters = field(default_factory=Filters)
    params: Params = field(default_factory=Params)
    seed: int = 0
    received: int = 0
    prefetch: bool = False
    want_trace: bool = False
    search: SearchTerms | None = None
    shown: tuple[int, ...] = ()
    where: Mapping[str, Any] = field(default_factory=dict)
    facts: UserFacts = NOBODY
    failures: list[str] = field(default_factory=list)
    scratch: dict[str, Any] = field(default_factory=dict)
