"""Questions and answers of the request path, as the HTTP and command line rooms put and get them."""

from dataclasses import dataclass, field

import msgspec

from kindred.core.item import CatalogItem
from kindred.core.query import Boost
from kindred.core.slate import Reason
from kindred.core.trace import Trace


@dataclass(frozen=True, slots=True)
class Ask:
    """A question for a slate; ids are the catalogue's own, `time` is milliseconds since 1970 UTC (None = now).

    `where` and those of `boosts` are expressions as they were written; `shown` are ordinals that stand above the answer
    already.
    """

    user_id: str
    placement: str | None = None
    page: str | None = None
    device: str | None = None
    location: str | None = None
    time: int | None = None
    session_id: str | None = None
    item_id: str | None = None
    categories: tuple[str, ...] = ()
    exclude_seen: bool = True
    min_rating: float | None = None
    tags: tuple[str, ...] = ()
    exclude_items: tuple[str, ...] = ()
    where: str | None = None
    boosts: tuple[Boost, ...] = ()
    page_token: str | None = None
    shown: tuple[int, ...] = ()
    count: int | None = None
    diversity: float | None = None
    exploration: float | None = None
    prefetch: bool = False
    trace: bool = False


@dataclass(frozen=True, slots=True)
class SearchAsk:
    """A search: `ask` says for whom and among what, its `user_id` is empty where nobody is named.

    `offset`: results that are passed over. `personalisation`: in [0, 1], None = as configured.
    """

    ask: Ask
    text: str
    offset: int = 0
    personalisation: float | None = None


SHOWN = "shown_items"
"""Under this name a query's scratch holds, by ordinal, what earlier answers from the same reserve showed of items."""
WRITTEN = "written_items"
"""Under this name a query's scratch holds, by ordinal, what an interface wrote of those items: it goes when they go."""
ANSWERED = "answered"
"""Under this name a query's scratch holds the ids of the items of its answer, in their order."""


class ShownItem(msgspec.Struct, frozen=True, gc=False):
    """One item of an answer.

    `rating` is the smoothed average, else the catalogue's own. `text_score`: how well it has the words of a search, in
    [0, 1].
    """

    ordinal: int
    catalog_item: CatalogItem
    score: float
    reason: Reason
    anchor_item_id: str | None
    source: str
    sources: tuple[str, ...]
    rating: float | None = None
    text_score: float = 0.0


@dataclass(frozen=True, slots=True)
class Served:
    """An answered question; `propensities`: with which probability each item was chosen for its slot.

    `written`: where the items are those of a reserve, and later answers show the same ones, a place for what is written
    of each, by ordinal.
    """

    request_id: str
    items: list[ShownItem]
    propensities: list[float]
    strategy: str
    degraded: list[str]
    model_version: str
    state_version: str
    took_ms: float
    placement: str
    trace: Trace | None = None
    next_page_token: str | None = None
    written: dict[int, bytes] | None = None


@dataclass(frozen=True, slots=True)
class SimilarAsk:
    """A question for items like another; `metric` is `hybrid`, `collaborative` or `content`."""

    item_id: str
    count: int = 10
    metric: str = "hybrid"
    category: str | None = None
    exclude_items: tuple[str, ...] = ()
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class SimilarAnswer:
    """Items like another: (item, similarity in [0, 1], reason), best first."""

    item_id: str
    metric: str
    model_version: str
    state_version: str
    items: list[tuple[CatalogItem, float, str]] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SimilarUsersAsk:
    """A question for users whose taste is like another's."""

    user_id: str
    count: int = 10


@dataclass(frozen=True, slots=True)
class SimilarUsersAnswer:
    """Users like another: (user, similarity in (0, 1], items both think alike of), best first.

    `user_id`: the one at the end of the merges of who was asked for.
    """

    user_id: str
    state_version: str
    users: list[tuple[str, float, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ListAsk:
    """A question for a list that is the same for everyone; `kind` is `trending`, `popular` or `starters`."""

    kind: str
    category: str | None = None
    country: str | None = None
    window: str = "24h"
    count: int = 20


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """A list that is the same for everyone: (item, score, reason), best first; `window` is the one that was used."""

    window: str
    model_version: str
    state_version: str
    items: list[tuple[CatalogItem, float, str]] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
