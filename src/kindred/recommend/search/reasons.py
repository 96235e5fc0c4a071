"""Why a result is there: its words, or what it is about."""

from dataclasses import dataclass

from kindred.core.query import Query
from kindred.core.slate import Reason, ReasonCode, Slate
from kindred.pipeline.stages import FailPolicy
from kindred.recommend.search.sources import terms_of
from kindred.recommend.world import World


@dataclass(frozen=True, slots=True)
class SearchReasons:
    """Says of each result whether the words searched for or its content brought it."""

    world: World
    name: str = "search_reasons"
    policy: FailPolicy = FailPolicy.OPEN

    def enabled(self, query: Query) -> bool:
        """Say yes."""
        return True

    async def explain(self, query: Query, slate: Slate) -> list[Reason]:
        """Return one reason per result; the catalogue items are left in `query.scratch["items"]`."""
        query.scratch["items"] = await self.world.cards.of(slate.candidates.items.tolist())
        text = terms_of(query).text
        matches = Reason(code=ReasonCode.MATCHES_QUERY, text=f"Matches “{text}”")
        related = Reason(code=ReasonCode.RELATED_TO_QUERY, text=f"Described like “{text}”")
        return [matches if source == "text" else related for source in slate.sources]
