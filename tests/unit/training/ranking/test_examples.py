"""Examples know what stood at their moment and nothing else."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from tests.unit.training.tastes import DAY, START, tastes

from kindred.adapters.local.vectors import LocalVectorIndexes
from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.models.ranker import RankerConfig
from kindred.recommend.model_set import ModelSet
from kindred.training.bundle import trial_models
from kindred.training.config import TrainConfigs, TrainingConfig
from kindred.training.dataset import Dataset
from kindred.training.fit.inputs import silent
from kindred.training.fit.models import fit_models
from kindred.training.holdout import configured_blend, inner_split
from kindred.training.ranking.examples import RankingExamples, make_examples
from kindred.training.ranking.fit import train_ranker
from kindred.training.replay import ReplayPorts

CONFIGS = TrainConfigs(
    training=TrainingConfig(min_users=30, threads=1), ranker=RankerConfig(min_users=20, trees=5, horizon=5 * 86_400.0)
)
PORTS = ReplayPorts(MemoryCatalog(), LocalVectorIndexes())


def models_of(train: Dataset, folder: Path) -> ModelSet:
    folder.mkdir()
    fitted = fit_models(train, CONFIGS, START + 9 * DAY)
    return trial_models(fitted, configured_blend(CONFIGS), folder, PORTS.indexes)


def split_of(data: Dataset) -> tuple[Dataset, Dataset]:
    split = inner_split(data, CONFIGS)
    assert split is not None
    return split[0], split[1]


async def examples_of(data: Dataset, models: ModelSet, configs: TrainConfigs = CONFIGS) -> RankingExamples:
    found = await make_examples(data, split_of(data)[1], models, PORTS, configs)
    assert found is not None
    return found


async def test_a_later_row_changes_no_feature_and_an_earlier_one_does(tmp_path):
    data = tastes()
    models = models_of(split_of(data)[0], tmp_path / "models")
    before = await examples_of(data, models)
    # Everything behind the last moment becomes something else: other items, another type of event.
    late = data.interactions.timestamps > before.moments.max() + 1
    assert late.sum() > 20
    rows = tastes().interactions
    rows.items[late] = rows.items[late][::-1]
    codes = np.where(late, 1, 0).astype(np.int16)
    later = replace(data, interactions=replace(rows, event_types=codes, names=("purchase", "click")))
    changed = await examples_of(later, models)
    common = np.isin(before.users, changed.users)
    of = common[before.requests]
    mine = np.isin(changed.users, before.users)[changed.requests]
    assert of.sum() == mine.sum() > 500
    assert np.array_equal(before.items[of], changed.items[mine])
    columns = [before.schema.columns.index(name) for name in changed.schema.columns]
    assert np.array_equal(before.columns[of][:, columns], changed.columns[mine], equal_nan=True)

    early = tastes().interactions
    early.timestamps[early.timestamps < START + 3 * DAY] += 3_600_000
    moved = await examples_of(replace(data, interactions=early), models)
    assert not np.array_equal(before.columns, moved.columns, equal_nan=True)


async def test_labels_are_what_followed_and_nobody_is_shown_what_they_had(tmp_path):
    data = tastes()
    train, future = split_of(data)
    found = await examples_of(data, models_of(train, tmp_path / "models"))
    rows = future.interactions
    for request, (user, moment) in enumerate(zip(found.users.tolist(), found.moments.tolist(), strict=True)):
        mine = found.requests == request
        later = (rows.users == user) & (rows.timestamps > moment) & (rows.timestamps <= moment + 5 * DAY)
        assert set(found.items[mine][found.labels[mine, 0]]) <= set(rows.items[later])
        assert found.wanted[request] == len(np.unique(rows.items[later]))
        had = data.interactions.items[(data.interactions.users == user) & (data.interactions.timestamps <= moment)]
        assert not set(had) & set(found.items[mine])
    assert found.labels.any()
    assert found.columns.dtype == np.float32


async def test_several_moments_of_a_user_each_know_their_own_past(tmp_path):
    data = tastes()
    models = models_of(split_of(data)[0], tmp_path / "models")
    twice = replace(CONFIGS, ranker=msgspec.structs.replace(CONFIGS.ranker, moments=2))
    found = await examples_of(data, models, twice)
    many = found.schema.columns.index("user.interactions")
    by_user: dict[int, list[tuple[int, float]]] = {}
    for request, user in enumerate(found.users.tolist()):
        row = np.flatnonzero(found.requests == request)[0]
        by_user.setdefault(user, []).append((int(found.moments[request]), float(found.columns[row, many])))
    pairs = [sorted(told) for told in by_user.values() if len(told) == 2]
    assert pairs
    for (_, fewer), (_, more) in pairs:
        assert more > fewer


async def test_an_item_is_not_proposed_before_it_was_created(tmp_path):
    data = tastes()
    models = models_of(split_of(data)[0], tmp_path / "models")
    before = await examples_of(data, models)
    often = int(np.bincount(before.items).argmax())
    item = data.items[often]
    assert item is not None
    later = msgspec.structs.replace(item, item=msgspec.structs.replace(item.item, created=START + 900 * DAY))
    changed = replace(data, items=[*data.items[:often], later, *data.items[often + 1 :]])
    assert often not in (await examples_of(changed, models)).items


async def test_too_few_users_make_no_ranker(tmp_path):
    data = tastes()
    models = models_of(split_of(data)[0], tmp_path / "models")
    few = replace(CONFIGS, ranker=msgspec.structs.replace(CONFIGS.ranker, min_users=500))
    assert (await train_ranker(data, split_of(data)[1], models, few, PORTS, silent)).model is None
    off = replace(CONFIGS, ranker=msgspec.structs.replace(CONFIGS.ranker, learn=False))
    assert await train_ranker(data, split_of(data)[1], models, off, PORTS, silent) == (None, {})
