"""From what was asked to what the stages read: defaults ← placement ← request, ids to ordinals."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from kindred.app.page_tokens import Page
from kindred.app.placements import Placements
from kindred.core.config import nearest
from kindred.core.errors import InvalidInput
from kindred.core.query import Boost, Context, Filters, Params, Query, SearchTerms
from kindred.core.rng import seed_of
from kindred.recommend.ask import Ask, SearchAsk
from kindred.recommend.config import PlacementConfig, RecommendConfig
from kindred.recommend.effects.replay import CATALOGUE
from kindred.recommend.search.config import SearchConfig
from kindred.recommend.where.grammar import canonical_text
from kindred.recommend.where.passing import let_through
from kindred.recommend.world import World

DEFAULT_PLACEMENT = "home"
# Nobody's record is read, and nothing is logged as served to nobody.
_OF_A_USER = ("user_state", "served_log")
_MOST_USUAL = 1_000
_usual: dict[int, tuple[PlacementConfig, RecommendConfig, Params]] = {}
UNKNOWN_ITEM = "unknown_item"
BUNDLE_CHANGED = "bundle_changed"


def placement_of(ask: Ask, placements: Mapping[str, PlacementConfig]) -> str:
    """Return the named surface of a request: as asked, else its page, else `home`.

    Raises InvalidInput for a placement that is asked for by name and is none of `placements`.
    """
    if ask.placement is None:
        return ask.page if ask.page is not None and ask.page in placements else DEFAULT_PLACEMENT
    if ask.placement not in placements:
        near = nearest(ask.placement, placements)
        hint = f"; did you mean `{near}`?" if near else ""
        raise InvalidInput.at(
            "/placement", f"{ask.placement!r} is unknown; known are {', '.join(sorted(placements))}{hint}"
        )
    return ask.placement


def params_of(ask: Ask, placement: PlacementConfig, config: RecommendConfig) -> Params:
    """Return what steers the stages of a request."""
    usual = _usual_params(placement, config)
    if ask.diversity is None and ask.exploration is None and not ask.boosts:
        return usual
    return msgspec.structs.replace(
        usual,
        diversity=usual.diversity if ask.diversity is None else ask.diversity,
        exploration=usual.exploration if ask.exploration is None else ask.exploration,
        boosts=tuple(
            Boost(where=canonical_text(each.where, f"/boosts/{place}/where"), factor=each.factor)
            for place, each in enumerate(ask.boosts)
        ),
    )


def _usual_params(placement: PlacementConfig, config: RecommendConfig) -> Params:
    """Return what steers the stages of requests that ask for nothing of their own; worked out once per placement."""
    kept = _usual.get(id(placement))
    if kept is not None and kept[0] is placement and kept[1] is config:
        return kept[2]

    def first(value: float | None, default: float) -> float:
        return default if value is None else value

    params = Params(
        candidates=placement.candidates or config.candidates,
        ranked=placement.ranked or config.ranked,
        diversity=first(placement.diversity, config.diversity),
        reranker=placement.reranker or config.reranker,
        category_cap=first(placement.category_cap, config.category_cap),
        creator_spacing=config.creator_spacing if placement.creator_spacing is None else placement.creator_spacing,
        exploration=first(placement.exploration, config.exploration),
        disabled=placement.disabled if config.served_log else (*placement.disabled, "served_log"),
        weights=placement.weights,
        rules=placement.rules,
    )
    if len(_usual) >= _MOST_USUAL:
        _usual.clear()
    _usual[id(placement)] = (placement, config, params)
    return params


async def build_query(
    ask: Ask,
    request_id: str,
    now: int,
    placements: Placements,
    world: World,
    page: Page | None = None,
) -> Query:
    """Return the query of a request that goes on behind `page`; ids that the catalogue does not know exclude nothing.

    Raises InvalidInput for an unknown placement and for expressions that cannot be used; an unknown item on screen and
    a bundle that is not the page's degrade the answer.
    """
    name, config = placement_of(ask, placements.by_name), world.config
    placement = placements.by_name[name]
    ids = [*ask.exclude_items, *([] if ask.item_id is None else [ask.item_id])]
    known = await world.catalog.get(ids) if ids else []
    found = {item.item.item_id: item.ordinal for item in known if item is not None}
    failures = [UNKNOWN_ITEM] if ask.item_id is not None and ask.item_id not in found else []
    if page is not None and page.bundle != world.models.version:
        failures.append(BUNDLE_CHANGED)
    return Query(
        user_id=ask.user_id,
        request_id=request_id,
        placement=name,
        placements_version=placements.version,
        count=ask.count or placement.count,
        context=Context(
            time=now if ask.time is None else ask.time,
            page=ask.page or DEFAULT_PLACEMENT,
            device=ask.device,
            location=ask.location,
            session_id=ask.session_id,
            item=None if ask.item_id is None else found.get(ask.item_id),
        ),
        filters=Filters(
            categories=ask.categories,
            exclude_seen=ask.exclude_seen,
            min_rating=ask.min_rating,
            tags=ask.tags,
            exclude_items=tuple(found[item_id] for item_id in ask.exclude_items if item_id in found),
            where=None if ask.where is None else canonical_text(ask.where, "/filters/where"),
        ),
        params=params_of(ask, placement, config),
        seed=_seed(request_id, config, page),
        received=now,
        prefetch=ask.prefetch,
        want_trace=ask.trace,
        shown=ask.shown + (() if page is None else page.shown),
        where=await let_through(world, _expressions(ask)),
        failures=failures,
        scratch={CATALOGUE: world.table.seq},
    )


def _expressions(ask: Ask) -> dict[str, str]:
    """Return what is asked for by expressions as it was written, so that errors name places in that."""
    where = {} if ask.where is None else {"/filters/where": ask.where}
    return where | {f"/boosts/{place}/where": each.where for place, each in enumerate(ask.boosts)}


def _seed(request_id: str, config: RecommendConfig, page: Page | None) -> int:
    if page is not None:
        return seed_of("page", page.seed)
    return seed_of(request_id) if config.seed is None else config.seed


def as_search(query: Query, asked: SearchAsk, config: SearchConfig) -> Query:
    """Return a query as a search: results stand by their score alone, and all that was found is ranked."""
    params = query.params
    disabled = params.disabled if query.user_id else (*params.disabled, *_OF_A_USER)
    strength = config.personalisation if asked.personalisation is None else asked.personalisation
    return replace(
        query,
        params=msgspec.structs.replace(
            params, diversity=0.0, exploration=0.0, ranked=params.candidates, disabled=disabled
        ),
        search=SearchTerms(text=asked.text, offset=asked.offset, personalisation=strength),
    )
