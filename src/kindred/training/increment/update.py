"""The models' rows for items that something new happened to."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kindred.core.candidates import Floats, Ordinals
from kindred.models.content import ContentModel
from kindred.models.item_item import ItemItemModel
from kindred.models.popularity import PopularityModel
from kindred.models.preference import Preferences, preferences
from kindred.models.ratings import fit_ratings
from kindred.models.trending import fit_trending
from kindred.recommend.item_text import item_text
from kindred.recommend.model_set import COUNTRIES, ModelSet
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.fit.item_item import ItemPairs
from kindred.training.increment.changes import Change
from kindred.training.increment.factors import Factors, solve_items
from kindred.training.increment.fresh import Fresh


class Update(NamedTuple):
    """What an increment changes: rows of arrays by name, and what is small enough to be written whole.

    `items`: those that something new happened to; `described`: those whose text is new; `factors`: of a bundle with
    ALS, whose change is named `als`. Other retrieval models stay as they are in the base.
    """

    items: Ordinals
    described: Ordinals
    changes: list[Change]
    factors: Factors | None
    popularity: PopularityModel
    countries: dict[str, PopularityModel]


def work_out(models: ModelSet, dataset: Dataset, fresh: Fresh, configs: TrainConfigs, as_of: int) -> Update:
    """Work out the rows of every model that `fresh` changes; what it does not touch stays as it is, bit for bit."""
    rows = dataset.interactions.take(fresh.kept)
    new = fresh.new[fresh.kept]
    items = busiest(rows.items[new], configs.increment.max_items)
    now = preferences(rows, as_of, configs.preference)
    active = np.unique(rows.users[new])
    earlier = rows.take(np.isin(rows.users, active) & ~new)
    als = models.als
    before = preferences(earlier, as_of, configs.preference)
    solved = None if als is None else solve_items(als, now, before, items, active)
    described = _described(models, dataset)
    touched = dataset.interactions.take(fresh.kept & np.isin(dataset.interactions.items, items))
    categories = dataset.categories()
    popularity = models.popularity.recounted(touched, items, categories, as_of, configs.preference)
    ratings = fit_ratings(touched, dataset.n_items, models.ratings.config, models.ratings.mean)
    trending = fit_trending(
        touched.users, touched.items, touched.timestamps, dataset.n_items, as_of, models.trending.config
    )
    countries, homes = {}, np.array(dataset.countries(), np.object_)
    for name, model in models.countries.items():
        members = np.flatnonzero(homes == name)
        mine = touched.take(np.isin(touched.users, members))
        countries[name] = model.recounted(mine, items, categories, as_of, configs.preference)
    vectors = content_rows(models.content, dataset, described)
    changes = [
        *([Change.of("als", "item_factors", als.item_factors, items, solved.rows)] if als and solved else []),
        *_pair_changes(models.item_item, now, items, dataset.n_items, configs.increment.max_spread),
        *_counts("popularity", models.popularity, popularity, items),
        *(one for name, new_model in countries.items() for one in _of_country(name, models, new_model, items)),
        Change.of("ratings", "averages", models.ratings.averages, items, ratings.averages[items], np.nan),
        Change.of("trending", "trend_scores", models.trending.scores.T, items, trending.scores.T[items]),
        Change.of("content", "item_vectors", models.content.item_vectors, described, vectors),
    ]
    return Update(items, described, changes, solved, popularity, countries)


def busiest(items: Ordinals, most: int) -> Ordinals:
    """Return the distinct items, ascending; of more than `most` those with the most rows."""
    found, counts = np.unique(items, return_counts=True)
    if len(found) > most:
        found = np.sort(found[np.argsort(-counts, kind="stable")[:most]])
    return found.astype(np.int32)


def content_rows(model: ContentModel, dataset: Dataset, items: Ordinals) -> Floats:
    """Return the content vectors (m, d) of items as the catalogue describes them now; zeros for what is not listed."""
    found = np.zeros((len(items), model.dimensions), np.float32)
    for row, ordinal in enumerate(items.tolist()):
        one = dataset.items[ordinal]
        if one is not None and one.listed:
            found[row] = model.encode(item_text(one.item))
    return found


def save_update(update: Update, models: ModelSet, n_items: int, folder: Path) -> None:
    """Write a delta's folder: changed rows, and whole what is small: Gram matrices, short lists, sizes."""
    for change in update.changes:
        change.save(folder)
    als = models.als
    if als is not None and update.factors is not None:
        _, gram, users = update.factors
        replace(als, gram=gram, user_gram=users).save_grams(folder / "als")
        als.save_meta(folder / "als", n_items)
    for name in ("item_item", "content", "ratings", "trending"):
        getattr(models, name).save_meta(folder / name, n_items)
    update.popularity.save_lists(folder / "popularity")
    for name, model in update.countries.items():
        model.save_lists(folder / COUNTRIES / name)


def _described(models: ModelSet, dataset: Dataset) -> Ordinals:
    """Return the items that are new or were edited since the active bundle."""
    seq = models.manifest.window.catalogue_seq
    return np.array([o for o, one in enumerate(dataset.items) if one is not None and one.seq > seq], np.int32)


def _counts(place: str, before: PopularityModel, after: PopularityModel, items: Ordinals) -> list[Change]:
    return [
        Change.of(place, name, getattr(before, name), items, getattr(after, name)[items])
        for name in ("scores", "user_counts")
    ]


def _of_country(name: str, models: ModelSet, after: PopularityModel, items: Ordinals) -> list[Change]:
    return _counts(f"{COUNTRIES}/{name}", models.countries[name], after, items)


def _pair_changes(
    model: ItemItemModel, now: Preferences, items: Ordinals, n_items: int, max_spread: int
) -> list[Change]:
    """Make the lists of `items` anew, and those of the items near which they now stand.

    Without the second part a new item would be near to others, but nothing that people have would lead to it.
    """
    pairs = ItemPairs(now, n_items, model.config)
    gained = np.zeros(model.n_items, np.float32)
    least = model.similarities[:, -1][model.rows(np.arange(model.n_items, dtype=np.int32))]
    for row, others, sims in pairs.similarities(items):
        inside = others < model.n_items
        others, sims = others[inside], sims[inside]
        near = sims > least[others]
        others, sims = others[near], sims[near]
        entering = (model.neighbours[model.rows(others)] != items[row]).all(axis=1)
        np.maximum.at(gained, others[entering], sims[entering])
    gained[items[items < model.n_items]] = 0
    spread = np.flatnonzero(gained)
    spread = spread[np.argsort(-gained[spread], kind="stable")[:max_spread]]
    rows = np.union1d(items, spread).astype(np.int32)
    nearest, values = pairs.nearest(rows)
    stood = np.full(len(rows), len(model.neighbours), np.int32)
    stood[rows < model.n_items] = model.rows(rows[rows < model.n_items])
    return [
        Change.of("item_item", "neighbours", model.neighbours, rows, nearest, -1, stood),
        Change.of("item_item", "similarities", model.similarities, rows, values, 0, stood),
    ]
