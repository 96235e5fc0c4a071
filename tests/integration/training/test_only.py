"""`--only`: what comes from the active bundle and its trial, and what must be fitted anyway."""

import dataclasses
from pathlib import Path

import pytest
from tests.integration.training.test_gate import CONFIGS, HOUR, N_ITEMS, filled, gated, learn  # noqa: F401
from tests.integration.training.test_run import NOW, Stores, bought, logged, stores  # noqa: F401

from kindred.core.bundle import Manifest
from kindred.core.clock import FixedClock
from kindred.core.errors import InvalidInput
from kindred.core.item import Item
from kindred.recommend.model_set import ModelSet, open_layers, open_models
from kindred.training.config import TrainConfigs, TrainingConfig
from kindred.training.gate.check import GateRefused
from kindred.training.gate.trials import Trials
from kindred.training.increment.run import increment
from kindred.training.records import RunRecords
from kindred.training.steps import models as steps
from kindred.training.steps.begin import Wanted

ALS = Wanted(only=("als",))


async def opened(stores: Stores, manifest: Manifest) -> ModelSet:  # noqa: F811
    return open_models(*await open_layers(stores.models, manifest.version), stores.vectors)


def trained(**fields: object) -> TrainConfigs:
    return dataclasses.replace(CONFIGS, training=TrainingConfig(threads=1, **fields))


async def grown(stores: Stores, configs: TrainConfigs) -> Manifest:  # noqa: F811
    """Publish an increment that learns of one more item."""
    await stores.catalog.upsert([Item(item_id="new", title="thing brand new")], NOW + HOUR)
    await logged(stores, *(bought(f"u{n}", "new", f"n{n}", NOW + HOUR + n) for n in range(5)))
    found = await increment(stores, configs, FixedClock(NOW + 2 * HOUR))
    assert found is not None
    return found


async def test_over_an_increment_what_the_increment_left_short_is_fitted_too(filled: Stores) -> None:  # noqa: F811
    configs = trained(retrieval=("als", "item_item", "ease"), holdout_share=0)
    await learn(filled, configs)
    assert (await opened(filled, await grown(filled, configs))).retrievers["ease"].n_items == N_ITEMS
    manifest = await learn(filled, configs, 3, wanted=ALS)
    assert manifest.base is None
    sizes = {name: model.n_items for name, model in (await opened(filled, manifest)).retrievers.items()}
    assert sizes == {"als": N_ITEMS + 1, "item_item": N_ITEMS + 1, "ease": N_ITEMS + 1}


async def test_over_an_increment_the_trial_of_the_base_is_asked(filled: Stores) -> None:  # noqa: F811
    base = await learn(filled)
    await grown(filled, CONFIGS)
    asked: list[str] = []
    fitted_on = Trials.fitted_on

    def heard(trials: Trials, version: str, rows: str) -> Path | None:
        asked.append(version)
        return fitted_on(trials, version, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trials, "fitted_on", heard)
        await learn(filled, hours=3, wanted=ALS)
    assert asked == [base.version]


@pytest.mark.parametrize(("share", "taken"), [(0.15, True), (0.3, False)])
async def test_the_trial_is_taken_only_if_it_saw_nothing_of_what_is_held_back(
    filled: Stores,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    share: float,
    taken: bool,
) -> None:
    first = await learn(filled)
    linked: list[Path] = []
    link_tree = steps.link_tree

    def heard(source: Path, target: Path) -> None:
        linked.append(source)
        link_tree(source, target)

    monkeypatch.setattr(steps, "link_tree", heard)
    await learn(filled, trained(holdout_share=share), 2, wanted=ALS)
    place = filled.home / "training" / "trials" / first.version
    assert (place / "popularity" in linked) is taken
    assert place / "als" not in linked


async def test_a_wrong_name_leaves_work_that_can_be_taken_up(filled: Stores) -> None:  # noqa: F811
    await learn(filled)
    with pytest.raises(GateRefused):
        await learn(filled, gated(latency_ms=1e-6), 2)
    (refused, *_) = RunRecords(filled.home).records()
    with pytest.raises(InvalidInput, match="'alss' is unknown; did you mean `als`"):
        await learn(filled, hours=3, wanted=Wanted(only=("alss",)))
    assert (await learn(filled, hours=3)).version == refused.version


async def test_the_ranker_is_a_name(filled: Stores) -> None:  # noqa: F811
    first = await learn(filled)
    second = await learn(filled, hours=2, wanted=Wanted(only=("ranker",)))
    assert (second.version != first.version, second.window) == (True, first.window)
