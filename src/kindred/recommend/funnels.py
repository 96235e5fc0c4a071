"""The funnel that Kindred serves with."""

from collections.abc import Sequence

from kindred.pipeline.funnel import Deadlines, Funnel
from kindred.pipeline.stages import Effect
from kindred.recommend.explainers.reasons import Reasons
from kindred.recommend.filters.rules import RULES, RuleFilter
from kindred.recommend.hydrators.features import CandidateFeatures
from kindred.recommend.hydrators.user import UserState
from kindred.recommend.placement_rules import RuleItems, Rules
from kindred.recommend.pools import Pools, Retired
from kindred.recommend.rerankers.constraints import CappedRoom
from kindred.recommend.rerankers.diversity import Diversity
from kindred.recommend.rerankers.exploration import Exploration
from kindred.recommend.scorers.blend import Blend
from kindred.recommend.scorers.boosts import Boosts
from kindred.recommend.scorers.models import ModelScores
from kindred.recommend.scorers.ranker import Ranker
from kindred.recommend.scorers.timeliness import Timeliness
from kindred.recommend.sources.lists import (
    AnythingSource,
    CountrySource,
    NewItemsSource,
    PopularSource,
    SeasonSource,
    SegmentSource,
    TrendingSource,
)
from kindred.recommend.sources.personal import ContentSource, OnScreenSource, RetrieverSource
from kindred.recommend.sources.promoted import PromotedSource
from kindred.recommend.world import World


def build_funnel(world: World, effects: Sequence[Effect] = (), deadlines: Deadlines | None = None) -> Funnel:
    """Put the stages over one world in order."""
    return Funnel(
        bundle=world.models.version,
        facts=[UserState(world), RuleItems(world)],
        sources=[
            *(RetrieverSource(world, name) for name in world.models.retrievers),
            ContentSource(world),
            OnScreenSource(world),
            TrendingSource(world),
            PopularSource(world),
            CountrySource(world),
            SegmentSource(world),
            NewItemsSource(world),
            SeasonSource(world),
            PromotedSource(world),
        ],
        fallbacks=[AnythingSource(world)],
        eligibility=[RuleFilter(world, name) for name in RULES],
        coarse=[ModelScores(world)],
        hydrators=[CandidateFeatures(world)],
        fine=[Blend(world), Ranker(world), Timeliness(world), Boosts(), Rules(world), Pools(world)],
        filters=[Retired(world)],
        rerankers=[Diversity(world)],
        draws=Exploration(world),
        room=CappedRoom(world),
        explainer=Reasons(world),
        effects=effects,
        deadlines=deadlines or Deadlines(),
    )
