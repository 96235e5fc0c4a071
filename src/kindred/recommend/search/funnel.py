"""Builds the funnel of a search: the text's sources before the personal models of recommendations."""

from collections.abc import Sequence

from kindred.pipeline.funnel import Deadlines, Funnel
from kindred.pipeline.stages import Effect
from kindred.ports.text import TextIndex
from kindred.recommend.filters.rules import RULES, RuleFilter
from kindred.recommend.hydrators.user import UserState
from kindred.recommend.scorers.blend import Blend
from kindred.recommend.scorers.models import ModelScores
from kindred.recommend.search.config import SearchConfig
from kindred.recommend.search.reasons import SearchReasons
from kindred.recommend.search.relevance import PassedOver, Relevance
from kindred.recommend.search.sources import TextContentSource, TextSource
from kindred.recommend.sources.lists import PopularSource
from kindred.recommend.sources.personal import RetrieverSource
from kindred.recommend.world import World


def build_search_funnel(
    world: World,
    text: TextIndex,
    config: SearchConfig,
    effects: Sequence[Effect] = (),
    deadlines: Deadlines | None = None,
) -> Funnel:
    """Put the stages over one world in order; nothing is drawn, and no list fills up what too little matches."""
    own = [RetrieverSource(world, name) for name in world.models.retrievers]
    return Funnel(
        bundle=world.models.version,
        facts=[UserState(world)],
        sources=[TextSource(world, text, config, PopularSource(world), own), TextContentSource(world, config)],
        eligibility=[RuleFilter(world, name) for name in RULES],
        coarse=[ModelScores(world)],
        fine=[Blend(world), Relevance(world, config)],
        rerankers=[PassedOver()],
        explainer=SearchReasons(world),
        effects=effects,
        deadlines=deadlines or Deadlines(),
    )
