"""Lists that are the same for everyone: trending, popular, and what new users may choose from."""

import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.core.errors import InvalidInput
from kindred.models.popularity import PopularityModel
from kindred.models.trending import window_hours
from kindred.recommend.ask import ListAnswer, ListAsk
from kindred.recommend.explainers.reasons import WINDOW_NAMES
from kindred.recommend.items.masks import KeptMask
from kindred.recommend.sources.lists import popular_allowed
from kindred.recommend.starters import POOL, starters
from kindred.recommend.world import World

KINDS = ("trending", "popular", "starters")
WIDER = {"1h": ("1h", "24h", "7d"), "24h": ("24h", "7d"), "7d": ("7d",)}


async def list_items(world: World, ask: ListAsk, now: int) -> ListAnswer:
    """Answer from the live trend lists or from the bundle's popularity, under the live masks.

    A window in which nothing trends is widened, and `degraded` says so. With a country, popular means popular there,
    and trending is what trends there, else limited to what people there use. Starters are chosen among what is popular.

    Raises InvalidInput for an unknown kind or window.
    """
    if ask.kind not in KINDS:
        raise InvalidInput.at("/kind", f"is {ask.kind!r}, known are {', '.join(KINDS)}")
    window_hours(ask.window)
    mask = world.offered(now, ask.country, ask.category)
    degraded: list[str] = []
    local = world.models.countries.get((ask.country or "").upper())
    live = ask.kind == "trending" and world.trends.knows(ask.country or "")
    if ask.country is not None and local is None and not live:
        degraded.append("unknown_country")
    pick = {"trending": _trending, "popular": _popular, "starters": _starters}[ask.kind]
    items, scores, window = pick(world, ask, mask, local, degraded)
    found = await world.cards.in_order(items.tolist())
    reason = _reason(ask, window, live or local is not None)
    shown = [(item, float(score), reason) for item, score in zip(found, scores, strict=True) if item is not None]
    if len(shown) < ask.count:
        degraded.append("under_filled")
    return ListAnswer(
        window=window,
        model_version=world.models.version,
        state_version=str(await world.state.watermark()),
        items=shown,
        degraded=degraded,
    )


def _trending(
    world: World, ask: ListAsk, mask: KeptMask, local: PopularityModel | None, degraded: list[str]
) -> tuple[Ordinals, Floats, str]:
    for window in WIDER[ask.window]:
        items, scores = world.trends.in_country(window, ask.country or "")
        kept = mask.bits.has(items) & (scores > 0)
        if not kept.any() and (not ask.country or not world.trends.knows(ask.country)):
            found = world.trends.of(window)
            items, scores = found.items, found.scores
            kept = mask.bits.has(items) & (scores > 0)
            if local is not None:
                kept &= local.score_candidates(items) > 0
        if kept.any():
            if window != ask.window:
                degraded.append(f"window_widened:{window}")
            return items[kept][: ask.count], scores[kept][: ask.count], window
    return np.empty(0, np.int32), np.empty(0, np.float32), ask.window


def _popular(
    world: World, ask: ListAsk, mask: KeptMask, local: PopularityModel | None, degraded: list[str]
) -> tuple[Ordinals, Floats, str]:
    model = local or world.models.popularity
    items = popular_allowed(world, model, mask, mask.bits, ask.count)
    return items, model.scores[items], ask.window


def _starters(
    world: World, ask: ListAsk, mask: KeptMask, local: PopularityModel | None, degraded: list[str]
) -> tuple[Ordinals, Floats, str]:
    model = local or world.models.popularity
    pool = popular_allowed(world, model, mask, mask.bits, POOL)
    items = starters(pool, model.scores[pool], world.models.item_item, ask.count)
    return items, model.scores[items], ask.window


def _reason(ask: ListAsk, window: str, local: bool) -> str:
    what = f"Trending in {WINDOW_NAMES[window]}" if ask.kind == "trending" else "Popular"
    inside = f" among {ask.category}" if ask.category else ""
    return f"{what}{inside}" + (f" in {ask.country.upper()}" if ask.country and local else "")
