"""The score of a result: how well it matches, times how much the user cares for it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kindred.core.candidates import Candidates, Floats
from kindred.core.query import Query
from kindred.pipeline.stages import FailPolicy, Order
from kindred.recommend.search.config import SearchConfig
from kindred.recommend.search.sources import query_vector, terms_of
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class Relevance:
    """`relevance × (1 − p + p × taste)`: p is the personalisation, less for users of whom little is known.

    `relevance` is the mean of the text's score, the cosine of the content and the popularity by their weights, `taste`
    what the blended models say, the best result 1. A product, so that what hardly matches stays behind however much it
    is to the user's taste.
    """

    world: World
    config: SearchConfig
    name: str = "relevance"
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    def score(self, query: Query, candidates: Candidates) -> Mapping[str, Floats]:
        """Return `score`, `relevance`, both in [0, 1], and what text and content have of it."""
        by_text = np.nan_to_num(candidates.column("raw.text", 0.0))
        vectors = self.world.content_vectors(candidates.items)
        by_content = self.config.content * np.maximum(vectors @ query_vector(self.world, query), 0)
        by_popularity = self.config.popularity * candidates.column("model.popular", 0.0)
        whole = np.float32(1 + self.config.content + self.config.popularity)
        relevance = (by_text + by_content + by_popularity) / whole
        blended = candidates.column("score", 0.0)
        taste = blended / max(float(blended.max(initial=0.0)), 1e-9)
        part = np.float32(self.strength(query))
        return {
            "score": relevance * (1 - part + part * taste),
            "relevance": relevance,
            "share.text": by_text / whole,
            "share.text_content": by_content / whole,
        }

    def strength(self, query: Query) -> float:
        """Return p: what the request says, times n / (n + k) of the user's n interactions; 0 for an unknown user."""
        known = query.facts.interactions
        return terms_of(query).personalisation * known / (known + max(self.world.config.evidence, 1e-6))


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Leaves out the results before the page that is asked for."""

    name: str = "passed_over"
    policy: FailPolicy = FailPolicy.CLOSED

    def enabled(self, query: Query) -> bool:
        """Say whether it is another page than the first."""
        return terms_of(query).offset > 0

    def order(self, query: Query, candidates: Candidates) -> Order:
        """Return the rows behind the offset, as they stand."""
        rows = np.arange(min(terms_of(query).offset, len(candidates)), len(candidates))
        return Order(rows, np.ones(len(rows), np.float32), {"offset": terms_of(query).offset})
