"""One reason per item, true to the source with the largest share of its score."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Ordinals
from kindred.core.item import CatalogItem
from kindred.core.query import Query
from kindred.core.slate import Reason, ReasonCode, Slate
from kindred.models.content import SharedAttribute
from kindred.models.segments import ATTRIBUTE
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.item_text import item_text, title_of
from kindred.recommend.sources.lists import country_of
from kindred.recommend.taste import (
    latest_history,
    nearest_liked,
    retriever_anchors,
    segments_of,
    trend,
    weightiest_event,
)
from kindred.recommend.world import World

VERBS = {
    "view": (ReasonCode.BECAUSE_YOU_WATCHED, "watched"),
    "rating": (ReasonCode.BECAUSE_YOU_RATED, "rated"),
    "purchase": (ReasonCode.BECAUSE_YOU_BOUGHT, "bought"),
    "like": (ReasonCode.BECAUSE_YOU_LIKED, "liked"),
    "add_to_cart": (ReasonCode.BECAUSE_YOU_ADDED, "added to your cart"),
    "click": (ReasonCode.BECAUSE_YOU_CLICKED, "looked at"),
}
OTHER_VERB = (ReasonCode.BECAUSE_YOU_INTERACTED, "chose")
_NAMED = 3
WINDOW_NAMES = {"1h": "the last hour", "24h": "the last 24 hours", "7d": "the last 7 days"}


@dataclass(frozen=True, slots=True)
class Reasons:
    """Names the history item, the shared attributes, the window or the list that brought each item."""

    world: World
    name: str = "reasons"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    async def explain(self, query: Query, slate: Slate) -> list[Reason]:
        """Return one reason per item; the catalogue items read on the way are left in `query.scratch["items"]`."""
        items = slate.candidates.items
        sources = np.array(slate.sources)
        anchor = self._anchors(query, items, sources)
        wanted = [*items.tolist(), *(a for a in anchor.tolist() if a >= 0)]
        if query.context.item is not None:
            wanted.append(query.context.item)
        known = await self.world.cards.of(wanted)
        query.scratch["items"] = known
        write: dict[str, Callable[[Query, int, int, Mapping[int, CatalogItem]], Reason]] = {
            **dict.fromkeys(self.world.models.retrievers, self._because),
            "content": self._shared,
            "on_screen": self._similar,
            "trending": self._trending,
            "popular": self._popular,
            "country": self._country,
            "segment": self._segment,
            "new": self._new,
            "season": self._season,
            "promoted": self._promoted,
        }
        return [
            write.get(source, self._listed)(query, int(item), int(a), known)
            for item, source, a in zip(items, slate.sources, anchor, strict=True)
        ]

    def _anchors(self, query: Query, items: Ordinals, sources: np.ndarray[tuple[int], np.dtype[np.str_]]) -> Ordinals:
        """Return the history item behind each slate item (n,) int32, -1 where its source has none."""
        found = np.full(len(items), -1, np.int32)
        for name in self.world.models.retrievers:
            rows = sources == name
            if rows.any():
                found[rows] = retriever_anchors(self.world, query, name, items[rows])
        rows = sources == "content"
        if rows.any():
            history = latest_history(self.world, query)
            mine, theirs = self.world.content_vectors(items[rows]), self.world.content_vectors(history.items)
            found[rows] = nearest_liked(mine, theirs, history)
        return found

    def _because(self, query: Query, item: int, anchor: int, known: Mapping[int, CatalogItem]) -> Reason:
        if anchor < 0:
            return Reason(code=ReasonCode.LIKE_MINDED, text="Chosen by people with a history like yours")
        code, verb = VERBS.get(weightiest_event(self.world, query, anchor), OTHER_VERB)
        return Reason(code=code, text=f"Because you {verb} {title_of(known, anchor)}", anchor=anchor)

    def _shared(self, query: Query, item: int, anchor: int, known: Mapping[int, CatalogItem]) -> Reason:
        shared: list[SharedAttribute] = []
        if anchor in known and item in known:
            texts = item_text(known[item].item), item_text(known[anchor].item)
            shared = self.world.models.content.shared_attributes(*texts)
        if anchor < 0:
            return self._chosen(query, item) or self._listed(query, item, anchor, known)
        if not shared:
            return Reason(code=ReasonCode.SHARED_ATTRIBUTES, text=f"Much like {title_of(known, anchor)}", anchor=anchor)
        names = listed_words([one.value for one in shared])
        text = f"Shares {names} with {title_of(known, anchor)}"
        return Reason(code=ReasonCode.SHARED_ATTRIBUTES, text=text, anchor=anchor)

    def _chosen(self, query: Query, item: int) -> Reason | None:
        """Return the preferred categories and tags that the item bears, None where it bears none."""
        profile, table = query.facts.profile, self.world.table
        if profile is None:
            return None
        names = [name for name in profile.preferred_categories if table.categories.bears(item, name)]
        names += [name for name in profile.preferred_tags if table.tags.bears(item, name)]
        if not names:
            return None
        return Reason(code=ReasonCode.MATCHES_CHOICES, text=f"Because you chose {listed_words(names[:_NAMED])}")

    def _similar(self, query: Query, item: int, anchor: int, known: Mapping[int, CatalogItem]) -> Reason:
        screen = -1 if query.context.item is None else query.context.item
        return Reason(code=ReasonCode.SIMILAR_TO_THIS, text=f"Similar to {title_of(known, screen)}", anchor=screen)

    def _trending(self, query: Query, item: int, anchor: int, known: Mapping[int, CatalogItem]) -> Reason:
        window = WINDOW_NAMES[trend(self.world, query).window]
        category = self._wanted_category(query, item)
        if category is not None:
            return Reason(code=ReasonCode.TRENDING_IN_CATEGORY, text=f"Trending among {category} in {window}")
        return Reason(code=ReasonCode.TRENDING, text=f"Trending in {window}")

    def _popular(self, query: Query, item: int, anchor: int, known: Mapping[int, CatalogItem]) -> Reason:
        category = self._wanted_category(query, item)
        if category is not None:
            return Reason(code=ReasonCode.POPULAR_IN_CATEGORY, text=f"Popular in {category}")
        return Reason(code=ReasonCode.POPULAR, text="Popular with everyone")

    def _wanted_category(self, query: Query, item: int) -> str | None:
        """Return the category that the request asks for and the item bears."""
        bears = self.world.table.categories.bears
        return next((name for name in query.filters.categories if bears(item, name)), None)

    def _country(self, query: Query, item: int, anchor: int, known: Mapping[int, CatalogItem]) -> Reason:
        return Reason(code=ReasonCode.POPULAR_IN_COUNTRY, text=f"Popular in {country_of(query)}")

    def _segment(self, query: Query, item: int, anchor: int, known: Mapping[int, CatalogItem]) -> Reason:
        model, one = self.world.models.segments, np.array([item], np.int32)
        lifts = {name: float(model.lift(name, one)[0]) for name in segments_of(self.world, query)}
        best = max(lifts, key=lambda name: lifts[name], default=None)
        if best is None or lifts[best] <= 1:
            return self._popular(query, item, anchor, known)
        return Reason(
            code=ReasonCode.POPULAR_IN_SEGMENT,
            text=f"Popular with people like you ({best.removeprefix(ATTRIBUTE).replace('=', ' ')})",
        )

    def _new(self, query: Query, item: int, anchor: int, known: Mapping[int, CatalogItem]) -> Reason:
        category = self.world.table.category_of(item)
        return Reason(code=ReasonCode.NEW, text=f"New in {category}" if category else "New")

    def _season(self, query: Query, item: int, anchor: int, known: Mapping[int, CatalogItem]) -> Reason:
        return Reason(code=ReasonCode.IN_SEASON, text="In season: popular at this time of year")

    def _promoted(self, query: Query, item: int, anchor: int, known: Mapping[int, CatalogItem]) -> Reason:
        return Reason(code=ReasonCode.PROMOTED, text="Promoted")

    def _listed(self, query: Query, item: int, anchor: int, known: Mapping[int, CatalogItem]) -> Reason:
        return Reason(code=ReasonCode.FROM_CATALOGUE, text="From the catalogue, to fill what you asked for")


def listed_words(words: list[str]) -> str:
    """Join words as a sentence does: `a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
