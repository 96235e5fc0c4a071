"""The hold-out learns from the past alone."""

import numpy as np
import pytest
from msgspec.structs import replace
from tests.unit.training.tastes import DAY, START, tastes

from kindred.adapters.local.vectors import LocalVectorIndexes
from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.training.config import TrainConfigs, TrainingConfig
from kindred.training.fit.content import fit_content
from kindred.training.fit.inputs import silent
from kindred.training.holdout import ask, hold_out, inner_split, last_times
from kindred.training.replay import ReplayPorts

CONFIGS = TrainConfigs(training=TrainingConfig(min_users=30))
PORTS = ReplayPorts(MemoryCatalog(), LocalVectorIndexes())


def test_one_moment_parts_train_from_test_where_users_stand_on_both_sides() -> None:
    split = inner_split(tastes(), CONFIGS)
    assert split is not None
    train, test, cut = split
    assert cut is not None
    assert train.interactions.timestamps.max() < cut <= test.interactions.timestamps.min()
    assert len(train.interactions) + len(test.interactions) == len(tastes().interactions)


def test_users_that_do_not_overlap_in_time_are_split_one_by_one() -> None:
    data = tastes()
    rows = data.interactions
    rows.timestamps[:] += rows.users.astype(np.int64) * 1_000 * DAY
    split = inner_split(data, CONFIGS)
    assert split is not None
    train, test, cut = split
    assert cut is None
    first = np.full(data.n_users, np.iinfo(np.int64).max)
    np.minimum.at(first, test.interactions.users, test.interactions.timestamps)
    tested = np.unique(test.interactions.users)
    assert (last_times(train)[tested] <= first[tested]).all()


@pytest.mark.parametrize("share", [0.0, 0.15])
def test_rows_without_time_are_never_held_back(share: float) -> None:
    data = tastes()
    data.interactions.timestamps[:] = -1
    configs = TrainConfigs(training=TrainingConfig(holdout_share=share))
    assert inner_split(data, configs) is None


@pytest.mark.parametrize("day", [2, 11], ids=["before the split", "after the split"])
def test_a_user_with_one_event_is_never_asked(day: int) -> None:
    data = tastes()
    rows = data.interactions
    first = np.flatnonzero(rows.users == 0)
    rows.timestamps[first[0]] = START + day * DAY
    asked = ask(data.with_rows(np.setdiff1d(np.arange(len(rows)), first[1:])), CONFIGS)
    assert asked is not None
    assert 0 not in asked.users
    assert len(asked.users) > 30


@pytest.mark.parametrize("kept", [0, 1], ids=["no row", "one row"])
async def test_a_split_with_an_empty_side_keeps_the_configured_blend(kept: int) -> None:
    data = tastes().with_rows(np.arange(kept))
    assert ask(data, CONFIGS) is None
    held = await hold_out(data, CONFIGS, PORTS, START + 20 * DAY, fit_content(data.texts()), silent)
    assert not held.blend.learned
    assert not held.metrics


async def test_the_blend_is_learned_and_measured() -> None:
    data = tastes(users=80)
    held = await hold_out(data, CONFIGS, PORTS, START + 20 * DAY, fit_content(data.texts()), silent)
    assert held.blend.learned
    assert sum(held.blend.weights.values()) == pytest.approx(1.0)
    assert held.metrics["holdout.users"] >= 1
    assert held.metrics["holdout.ndcg@10.blend"] > held.metrics["holdout.ndcg@10.popular"]


async def test_few_users_keep_the_configured_blend() -> None:
    data = tastes(users=10)
    held = await hold_out(data, TrainConfigs(), PORTS, START + 20 * DAY, fit_content(data.texts()), silent)
    assert not held.blend.learned
    assert sum(held.blend.weights.values()) == pytest.approx(1.0)


async def test_learning_can_be_switched_off() -> None:
    data = tastes(users=80)
    configs = TrainConfigs(training=CONFIGS.training, blend=replace(CONFIGS.blend, learn=False))
    held = await hold_out(data, configs, PORTS, START + 20 * DAY, fit_content(data.texts()), silent)
    assert not held.blend.learned
