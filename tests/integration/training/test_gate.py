"""The gate: what it refuses, and that it says which check and by how much."""

import dataclasses

import numpy as np
import pytest
from tests.integration.training.test_run import NOW, Stores, bought, listed, logged, stores  # noqa: F401

from kindred.core.clock import FixedClock
from kindred.core.event import Interaction
from kindred.models.als import AlsConfig
from kindred.models.preference import Interactions, Preferences
from kindred.recommend.model_set import open_layers, open_models
from kindred.training.config import GateConfig, TrainConfigs, TrainingConfig
from kindred.training.fit import models as fitting
from kindred.training.gate.check import GateRefused
from kindred.training.records import RunRecords
from kindred.training.run import train
from kindred.training.steps.begin import Wanted

HOUR = 3_600_000
GROUPS = 8
N_ITEMS = 10 * GROUPS
CONFIGS = TrainConfigs(training=TrainingConfig(threads=1), als=AlsConfig(factors=8, iterations=8, regularization=1.0))


def gated(**fields: object) -> TrainConfigs:
    return dataclasses.replace(CONFIGS, gate=GateConfig(**fields))


def by_group(users: int, when: int, first: int = 0, prefix: str = "u") -> list[Interaction]:
    """Return purchases of users who keep to the ten items of their group, seven each."""
    rng, found = np.random.default_rng(1), []
    for user in range(users):
        for item in rng.choice(10, 7, replace=False).tolist():
            place = first + len(found)
            found.append(bought(f"{prefix}{user}", f"i{10 * (user % GROUPS) + item}", f"e{place}", when + place))
    return found


@pytest.fixture
async def filled(stores: Stores) -> Stores:  # noqa: F811
    """Return stores with 80 users of eight groups, and items whose text says nothing of the groups."""
    await listed(stores, N_ITEMS)
    await logged(stores, *by_group(80, NOW))
    return stores


async def learn(stores: Stores, configs: TrainConfigs = CONFIGS, hours: int = 1, **options):  # noqa: F811
    return await train(stores, configs, FixedClock(NOW + hours * HOUR), **options)


def shuffle_labels(patch: pytest.MonkeyPatch) -> None:
    """Let models learn from items that are dealt out anew among the users."""
    taught = fitting.preferences

    def shuffled(rows: Interactions, *rest: object) -> Preferences:
        found = taught(rows, *rest)
        items = np.random.default_rng(1).permutation(found.items)
        order = np.lexsort((items, found.users))
        return dataclasses.replace(found, items=items[order])

    patch.setattr(fitting, "preferences", shuffled)


async def test_a_model_of_shuffled_labels_is_refused(filled: Stores) -> None:
    active = await learn(filled)
    with pytest.MonkeyPatch.context() as patch:
        shuffle_labels(patch)
        configs = dataclasses.replace(CONFIGS, als=AlsConfig(factors=8, iterations=9, regularization=1.0))
        with pytest.raises(GateRefused, match=r"active: NDCG@10 is 0\.\d+ against .* worse by \d+\.\d%") as error:
            await learn(filled, configs, 2)
    assert active.version in error.value.detail
    assert await filled.models.active() == active.version
    assert [each.version for each in await filled.models.bundles()] == [active.version]
    (record, *_) = RunRecords(filled.home).records()
    assert record.outcome == "refused"
    assert "active" in [check.name for check in record.gate if not check.passed]
    healed = await learn(filled, hours=3)
    assert await filled.models.active() == healed.version


async def test_a_fit_that_fails_only_on_all_of_the_rows_is_refused(filled: Stores) -> None:
    calls = iter(range(10))
    with pytest.MonkeyPatch.context() as patch:
        taught = fitting.preferences
        shuffle_labels(patch)
        shuffled = fitting.preferences
        patch.setattr(fitting, "preferences", lambda *given: (taught if next(calls) else shuffled)(*given))
        with pytest.raises(GateRefused, match="full_fit"):
            await learn(filled, gated(full_fit_loss=0.0))
    assert await filled.models.active() is None


async def test_relaxed_settings_of_the_gate_take_up_the_refused_work(filled: Stores) -> None:
    with pytest.raises(GateRefused, match="latency: the median request took") as error:
        await learn(filled, gated(latency_ms=1e-6))
    assert "there is still no bundle" in error.value.detail
    (record,) = RunRecords(filled.home).records()
    manifest = await learn(filled, gated(latency_ms=1e-6, skip=("latency",)), 2)
    assert manifest.version == record.version
    assert await filled.models.active() == manifest.version


async def test_values_that_are_no_numbers_are_refused(filled: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = fitting.fit_trending

    def broken(*given: object):
        made = fit(*given)
        made.scores[:] = np.nan
        return made

    monkeypatch.setattr(fitting, "fit_trending", broken)
    with pytest.raises(GateRefused, match=r"finite: \d+ values are no numbers, none may be .trending/"):
        await learn(filled)


async def test_few_users_pass_with_a_note(stores: Stores) -> None:  # noqa: F811
    await listed(stores)
    await logged(stores, *(bought(f"u{n % 9}", f"i{n % 12}", f"e{n}", NOW - n * 1_000) for n in range(60)))
    manifest = await learn(stores)
    assert await stores.models.active() == manifest.version
    (record,) = RunRecords(stores.home).records()
    assert {check.name for check in record.gate} >= {"finite", "comparison"}
    assert all(check.passed for check in record.gate)


async def test_the_same_recipe_is_no_worse_than_itself_and_the_record_says_so(filled: Stores) -> None:
    await learn(filled)
    manifest = await learn(filled, hours=2)
    assert manifest.metrics["gate.difference.active"] == 0.0
    (record, *_) = RunRecords(filled.home).records()
    assert {"popularity", "active", "full_fit", "coverage", "cold_items", "popularity_bias"} <= {
        check.name for check in record.gate
    }
    figure = record.metrics["gate.ndcg@10.candidate"]
    assert figure.low is not None
    assert figure.low < (figure.value or 0) < (figure.high or 0)


async def test_only_one_model_is_fitted_and_the_rest_comes_from_the_active_bundle(filled: Stores) -> None:
    first = await learn(filled)
    await logged(filled, *by_group(30, NOW + HOUR, 50_000, "v"))
    configs = dataclasses.replace(CONFIGS, als=AlsConfig(factors=12, iterations=8, regularization=1.0))
    second = await learn(filled, configs, 2, wanted=Wanted(only=("als",)))
    before, after = [open_models(*await open_layers(filled.models, m.version), filled.vectors) for m in (first, second)]
    assert after.retrievers["als"].item_vectors.shape == (N_ITEMS, 12)
    assert before.retrievers["als"].item_vectors.shape == (N_ITEMS, 8)
    assert np.array_equal(before.item_item.similarities, after.item_item.similarities)
    assert second.window == first.window, "what came later waits for a training of everything"
