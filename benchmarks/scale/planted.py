"""The models of a made-up shop: what training would find, planted instead of fitted, part by part on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.latency import DEVICES
from benchmarks.scale.lists import fill_lists
from benchmarks.scale.shop import Shop
from benchmarks.scale.words import GROUP
from kindred.core.candidates import Floats
from kindred.models.als import AlsConfig, AlsModel, Ridge
from kindred.models.categories import ItemCategories
from kindred.models.item_item import ItemItemConfig, ItemItemModel
from kindred.models.popularity import PopularityConfig, PopularityModel
from kindred.models.ratings import RatingsConfig, RatingsModel
from kindred.models.season import MONTHS, TOP, SeasonModel
from kindred.models.segments import AGE, DEVICE, SegmentsConfig, SegmentsModel
from kindred.models.trending import TrendingConfig, TrendingModel
from kindred.training.fit.models import FittedModels

LISTED, NEIGHBOURS, RISING = 1_000_000, 50, 5_000
COUNTRIES = ("DE", "US")
GENDERS = ("female", "male")
DECADES = range(0, 100, 10)
_WHOLE, _SEGMENTS, _SEASONS = 7, 9, 10


def planted_models(shop: Shop, scratch: Path, now: int) -> FittedModels:
    """Make the models as of `now` (ms); large arrays lie in files below `scratch`, which the caller removes."""
    rng = np.random.default_rng((shop.config.seed, _WHOLE))
    n, categories = shop.config.items, _categories(shop)
    factors, gram = _factors(shop, scratch)
    vectors = _array(scratch / "vectors.npy", (n, shop.config.content))
    ratings = np.empty(n, np.float32)
    for part in shop.parts():
        vectors[part.rows], ratings[part.rows] = part.vectors(), part.ratings()
    scores = (shop.users / max(int(shop.users.max()), 1)).astype(np.float32)

    def popularity(scores: Floats) -> PopularityModel:
        return PopularityModel.of(scores, shop.users, categories, now, 1.0, PopularityConfig())

    ridge = Ridge(AlsConfig().regularization)
    als = AlsModel(factors, gram, gram, ridge, ridge, AlsConfig(factors=shop.config.factors))
    lists = _lists(shop, factors, scratch)
    return FittedModels(
        popularity=popularity(scores),
        trending=_trending(shop, now, rng),
        ratings=RatingsModel(ratings, 3.6, RatingsConfig()),
        item_item=lists,
        content=shop.words.model(vectors),
        segments=_segments(shop),
        season=_season(shop),
        countries={name: popularity(scores * rng.uniform(0.1, 1, n).astype(np.float32)) for name in COUNTRIES},
        retrievers={"als": als, "item_item": lists},
    )


def _categories(shop: Shop) -> ItemCategories:
    """Return each item's category and topic, by the names that its catalogue row has."""
    topics = len(shop.centres)
    groups = -(-topics // GROUP)
    names = tuple(f"category {n}" for n in range(groups)) + tuple(f"topic {n}" for n in range(topics))
    topic = shop.topic.astype(np.int32)
    codes = np.stack([topic // GROUP, groups + topic], axis=1).ravel()
    return ItemCategories(names, np.arange(0, len(codes) + 1, 2, dtype=np.int64), codes)


def _factors(shop: Shop, scratch: Path) -> tuple[Floats, Floats]:
    """Return the factors (n, d), and the sum of their outer products (d, d)."""
    d = shop.config.factors
    factors, gram = _array(scratch / "factors.npy", (shop.config.items, d)), np.zeros((d, d), np.float32)
    for part in shop.parts():
        rows = factors[part.rows] = part.factors()
        gram += rows.T @ rows
    return factors, gram


def _lists(shop: Shop, factors: Floats, scratch: Path) -> ItemItemModel:
    shape = (shop.config.items, NEIGHBOURS)
    nearest, values = _array(scratch / "nearest.npy", shape, np.int32), _array(scratch / "values.npy", shape)
    for part in shop.parts():
        nearest[part.rows] = -1
    fill_lists(factors, shop.popular(LISTED), nearest, values)
    return ItemItemModel(nearest, values, ItemItemConfig(neighbours=NEIGHBOURS))


def _trending(shop: Shop, now: int, rng: np.random.Generator) -> TrendingModel:
    """Let some thousand of the used items rise."""
    scores = np.zeros((3, shop.config.items), np.float32)
    used = np.flatnonzero(shop.users)
    for row in scores:
        chosen = rng.choice(used, min(RISING, len(used)), replace=False)
        row[chosen] = rng.exponential(3.0, len(chosen))
    return TrendingModel(scores, now, TrendingConfig())


def _segments(shop: Shop) -> SegmentsModel:
    """Let those of each device, decade of age and gender like some items more, and others less, than everyone."""
    rng, config, used = np.random.default_rng((shop.config.seed, _SEGMENTS)), SegmentsConfig(), shop.popular(LISTED)
    told = {DEVICE: DEVICES, AGE: DECADES, "gender": GENDERS}
    names = [f"{trait}={value}" for trait, values in told.items() for value in values]
    rows = [
        np.union1d(rng.choice(used, min(config.top, len(used)), replace=False), shop.popular(config.top)) for _ in names
    ]
    items = np.concatenate(rows).astype(np.int32)
    excess = np.exp(rng.normal(0.2, 0.4, len(items))).astype(np.float32) - np.float32(1)
    ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    places = {name: row for row, name in enumerate(names)}
    return SegmentsModel(places, ends, items, excess, shop.config.items, config)


def _season(shop: Shop) -> SeasonModel:
    """Give each month as many items as a training keeps."""
    rng, used = np.random.default_rng((shop.config.seed, _SEASONS)), shop.popular(LISTED)
    each = min(TOP, len(used))
    items = np.concatenate([rng.choice(used, each, replace=False) for _ in range(MONTHS)]).astype(np.int32)
    scores = np.sort(rng.exponential(3.0, (MONTHS, each)), axis=1)[:, ::-1].astype(np.float32).ravel()
    return SeasonModel(np.arange(MONTHS + 1, dtype=np.int64) * each, items, scores, shop.config.items)


def _array(path: Path, shape: tuple[int, ...], dtype: Callable[..., object] = np.float32) -> NDArray[np.generic]:
    """Make a file of zeros, mapped for writing."""
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
