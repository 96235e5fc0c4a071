"""Where results come from: words of the items, and the likeness of their content to the query's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates, Floats, Ordinals
from kindred.core.query import Query, SearchTerms
from kindred.models.text import ItemText, words
from kindred.pipeline.stages import FailPolicy, Source
from kindred.ports.text import TextIndex
from kindred.recommend.filters.rules import allowed
from kindred.recommend.model_set import CONTENT
from kindred.recommend.search.config import SearchConfig
from kindred.recommend.sources.lists import ranked
from kindred.recommend.world import World

REACH = 1_000
"""Results that pages can reach."""


def terms_of(query: Query) -> SearchTerms:
    """Return what a query searches for, nothing where it is none."""
    return query.search or SearchTerms(text="")


@dataclass(frozen=True, slots=True)
class TextSource:
    """What matches the words: the best by these alone, and whatever else of everyone's and the user's favourites.

    So these are among the results where more matches than is ever ranked.
    """

    world: World
    text: TextIndex
    config: SearchConfig
    everyones: Source
    own: Sequence[Source]
    name: str = "text"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    async def propose(self, query: Query) -> Candidates:
        """Return allowed items that match, best first."""
        asked = terms_of(query)
        mask = allowed(self.world, query)
        # The same for every page: with another set of candidates results would change places between pages.
        depth = max(self.config.depth, REACH)
        found = await self.text.search(asked.text, depth, mask, await self._favourites(query))
        return ranked(self.name, *found)

    async def _favourites(self, query: Query) -> Ordinals:
        own = self.own if terms_of(query).personalisation > 0 else ()
        found: list[Ordinals] = []
        for source in (self.everyones, *own):
            try:
                if source.enabled(query):
                    found.append((await source.propose(query)).items)
            except Exception:
                # What has the words is found without anybody's favourites too.
                query.failures.append(source.name)
        return np.unique(np.concatenate([np.empty(0, np.int32), *found]))


@dataclass(frozen=True, slots=True)
class TextContentSource:
    """What is described like the query, whether or not it has its words."""

    world: World
    config: SearchConfig
    name: str = "text_content"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say whether content counts."""
        return self.config.content > 0

    async def propose(self, query: Query) -> Candidates:
        """Return allowed items with cosines above the floor, best first."""
        vector = query_vector(self.world, query)
        if not vector.any():
            return Candidates.empty()
        mask = allowed(self.world, query)
        items, cosines = self.world.models.indexes[CONTENT].search(vector, self.config.depth, mask)
        near = cosines >= self.config.content_floor
        return ranked(self.name, items[near], cosines[near])


def query_vector(world: World, query: Query) -> Floats:
    """Return the content vector (d,) float32 of the words searched for, made once per request; zero if none is known.

    They may be words of a title, and a category or a tag, whole or word by word.
    """
    found: Floats | None = query.scratch.get("query_vector")
    if found is None:
        text = terms_of(query).text
        names = tuple(dict.fromkeys([text, *words(text)]))
        found = world.models.content.encode(ItemText(title=text, categories=names, tags=names))
        query.scratch["query_vector"] = found
    return found
