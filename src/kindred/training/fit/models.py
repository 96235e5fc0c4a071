"""Fit all models of a bundle on one dataset."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import TypeVar

import numpy as np

from kindred.models.content import ContentModel
from kindred.models.item_item import ItemItemModel
from kindred.models.popularity import PopularityModel, fit_popularity
from kindred.models.preference import preferences
from kindred.models.protocol import Retriever
from kindred.models.ratings import RatingsModel, fit_ratings
from kindred.models.retrieval import RETRIEVERS
from kindred.models.season import SeasonModel, fit_season
from kindred.models.segments import SegmentsModel
from kindred.models.trending import TrendingModel, fit_trending
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.fit.content import fit_content
from kindred.training.fit.inputs import FitInput, Progress, silent
from kindred.training.fit.item_item import fit_item_item
from kindred.training.fit.keep import Keep, M, Unkept
from kindred.training.fit.registry import check_installed, fit_retriever
from kindred.training.fit.segments import fit_segments

T = TypeVar("T")
_COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, slots=True)
class FittedModels:
    """Models that cover the same ordinals; `retrievers` by name, `seconds` per step of fitting them."""

    popularity: PopularityModel
    trending: TrendingModel
    ratings: RatingsModel
    item_item: ItemItemModel
    content: ContentModel
    countries: dict[str, PopularityModel]
    segments: SegmentsModel
    season: SeasonModel
    retrievers: dict[str, Retriever]
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Steps:
    """Says what is fitted, and takes the time."""

    progress: Progress
    kept: Keep
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, name: str, work: Callable[[], T]) -> T:
        self.progress(name)
        started = perf_counter()
        made = work()
        self.seconds[name] = round(perf_counter() - started, 3)
        return made

    def model(self, name: str, fit: Callable[[], M], kind: type[M]) -> M:
        return self.run(name, lambda: self.kept.model(name, fit, kind.load))


def fit_models(
    dataset: Dataset,
    configs: TrainConfigs,
    as_of: int,
    progress: Progress = silent,
    content: ContentModel | None = None,
    keep: Keep | None = None,
) -> FittedModels:
    """Fit everything but the blend; `as_of` is ms, `progress` hears each step's name, `content` is one already fitted.

    `keep`: where an interrupted run finds models again. A catalogue without interactions gives models that know content
    alone. Raises ConfigError when a retrieval model needs what is not installed.
    """
    check_installed(configs.training.retrieval)
    steps = _Steps(progress, keep or Unkept())
    rows, n, categories = dataset.interactions, dataset.n_items, dataset.categories()
    liked = steps.run("preferences", lambda: preferences(rows, as_of, configs.preference))
    texts = steps.model("content", lambda: content or fit_content(dataset.texts(), configs.content), ContentModel)
    popular = partial(fit_popularity, rows, categories, as_of, configs.popularity, configs.preference)
    acts = rows.users, rows.items, rows.timestamps, n, as_of
    trending = partial(fit_trending, *acts, configs.trending)
    data = FitInput(
        preferences=liked,
        interactions=rows,
        n_users=dataset.n_users,
        n_items=n,
        as_of=as_of,
        content=texts.item_vectors,
        threads=configs.training.threads,
        work=steps.kept.checkpoints,
        progress=progress,
    )
    # Similar items, the item on screen and sessions need the lists, whoever proposes.
    lists = steps.model("item_item", lambda: fit_item_item(data, configs.item_item), ItemItemModel)
    retrievers: dict[str, Retriever] = {}
    for name in configs.training.retrieval:
        fit = partial(fit_retriever, name, data, getattr(configs, name))
        retrievers[name] = lists if name == "item_item" else steps.model(name, fit, RETRIEVERS[name].model)
    fame = steps.model("popularity", popular, PopularityModel)
    traits = partial(fit_segments, dataset, fame, as_of, configs.segments, configs.preference)
    return FittedModels(
        popularity=fame,
        trending=steps.model("trending", trending, TrendingModel),
        ratings=steps.model("ratings", lambda: fit_ratings(rows, n, configs.ratings), RatingsModel),
        item_item=lists,
        content=texts,
        countries=steps.run("countries", lambda: _countries(dataset, configs, as_of, steps.kept)),
        segments=steps.model("segments", traits, SegmentsModel),
        season=steps.model("season", partial(fit_season, *acts), SeasonModel),
        retrievers=retrievers,
        seconds=steps.seconds,
    )


def _countries(dataset: Dataset, configs: TrainConfigs, as_of: int, kept: Keep) -> dict[str, PopularityModel]:
    """Fit the popularity among the users of each country that has enough of them."""
    active, countries = np.unique(dataset.interactions.users).tolist(), dataset.countries()
    known = {user: country for user in active if _is_country(country := countries[user])}
    sizes = Counter(known.values())
    categories = dataset.categories()
    found = {}
    for country in sorted(name for name, size in sizes.items() if name and size >= configs.training.country_users):
        members = np.array([user for user, name in known.items() if name == country], np.int32)
        rows = dataset.interactions.take(np.isin(dataset.interactions.users, members))
        fit = partial(fit_popularity, rows, categories, as_of, configs.popularity, configs.preference)
        found[country] = kept.model(f"countries/{country}", fit, PopularityModel.load)
    return found


def _is_country(name: str | None) -> bool:
    return name is not None and _COUNTRY.fullmatch(name) is not None
