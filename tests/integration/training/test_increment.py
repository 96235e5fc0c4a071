"""Increments end to end: new events become a delta over the base, or the base stays and says why."""

import dataclasses
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.integration.training.test_run import NOW, Stores, bought, listed, logged, stores  # noqa: F401
from tests.unit.models.data import history

from kindred.core.bits import Bits
from kindred.core.clock import FixedClock
from kindred.core.errors import Conflict, LeaseHeld, NoBundle, StoreFull
from kindred.core.event import Interaction
from kindred.core.item import Item
from kindred.jobs.increment import run_increment
from kindred.models.als import AlsConfig
from kindred.models.item_item import ItemItemConfig
from kindred.models.preference import PreferenceConfig
from kindred.recommend.model_set import ModelSet, open_layers
from kindred.recommend.model_set import open_models as open_bundle
from kindred.training.collect import collect
from kindred.training.config import IncrementConfig, TrainConfigs, TrainingConfig
from kindred.training.fit.models import fit_models
from kindred.training.increment.gate import IncrementRefused
from kindred.training.increment.run import increment
from kindred.training.publishing import LEASE
from kindred.training.run import train

HOUR = 3_600_000
N_ITEMS, N_USERS = 40, 60
CONFIGS = TrainConfigs(
    training=TrainingConfig(holdout_share=0.0, threads=1),
    als=AlsConfig(factors=8, iterations=10, regularization=1.0),
    item_item=ItemItemConfig(neighbours=6, shrinkage=2.0),
)


def limits(**fields: object) -> TrainConfigs:
    return dataclasses.replace(CONFIGS, increment=IncrementConfig(**fields))


def purchases(seed: int, first: int, users: int, each: int, when: int, prefix: str = "u") -> list[Interaction]:
    """Return purchases of users who keep to the even or to the odd items."""
    rng = np.random.default_rng(seed)
    found = []
    for user in range(users):
        for item in rng.choice(np.arange(user % 2, N_ITEMS, 2), each, replace=False).tolist():
            found.append(bought(f"{prefix}{user}", f"i{item}", f"e{first + len(found)}", when + len(found)))
    return found


@pytest.fixture
async def trained(stores: Stores) -> Stores:  # noqa: F811
    """Return stores with a base over 60 users."""
    await listed(stores, N_ITEMS)
    await logged(stores, *purchases(1, 0, N_USERS, 8, NOW))
    await train(stores, CONFIGS, FixedClock(NOW + HOUR))
    return stores


async def opened(stores: Stores, version: str | None = None) -> ModelSet:  # noqa: F811
    version = version or await stores.models.active()
    assert version is not None
    return open_bundle(*await open_layers(stores.models, version), stores.vectors)


async def learn(stores: Stores, configs: TrainConfigs = CONFIGS, hours: int = 2):  # noqa: F811
    return await increment(stores, configs, FixedClock(NOW + hours * HOUR))


async def test_new_events_become_a_delta_and_the_rest_stays_bit_for_bit(trained: Stores) -> None:
    base = await opened(trained)
    await logged(trained, *[bought(f"u{n}", f"i{n % 4}", f"n{n}", NOW + HOUR + n) for n in range(30)])
    manifest = await learn(trained)
    assert manifest is not None
    assert (manifest.base, manifest.deltas, manifest.n_items) == (base.version, (), N_ITEMS)
    assert manifest.metrics["increment.rows"] == 30
    now = await opened(trained)
    touched = [0, 1, 2, 3]
    rest = np.setdiff1d(np.arange(N_ITEMS), touched)
    for name in ("als.item_factors", "popularity.scores", "popularity.user_counts", "content.item_vectors"):
        model, array = name.split(".")
        old, new = (getattr(getattr(models, model), array) for models in (base, now))
        assert old[rest].tobytes() == new[rest].tobytes(), name
    assert not np.array_equal(base.als.item_factors[touched], now.als.item_factors[touched])
    assert (now.popularity.user_counts[touched] > base.popularity.user_counts[touched]).all()
    found, _ = now.indexes["als"].search(now.als.item_factors[0], N_ITEMS)
    scores = now.als.item_factors @ now.als.item_factors[0]
    assert found[0] == np.argmax(scores)


async def test_a_catalogue_most_of_which_nobody_touched_learns_like_another(trained: Stores) -> None:
    idle = [Item(item_id=f"idle{n}", title=f"Idle {n}") for n in range(3 * N_ITEMS)]
    await trained.catalog.upsert(idle, NOW + HOUR)
    await train(trained, CONFIGS, FixedClock(NOW + HOUR))
    base = await opened(trained)
    assert len(base.item_item.neighbours) <= N_ITEMS + 1 < base.n_items, "lists are stored alone"
    newly = [bought(f"u{n}", item, f"{item}-{n}", NOW + HOUR + n) for n in range(0, 30, 2) for item in ("idle7", "i2")]
    await logged(trained, *purchases(2, 10_000, 20, 3, NOW + HOUR), *newly)
    assert await learn(trained) is not None
    now, full = await opened(trained), fit_models(await collect(trained), CONFIGS, NOW + 2 * HOUR)
    every = np.arange(now.n_items, dtype=np.int32)
    before, after = (model.item_item.similarities[model.item_item.rows(every)] for model in (base, now))
    rows = np.flatnonzero((before != after).any(axis=1))
    assert len(rows) > 10
    assert np.array_equal(after[rows], full.item_item.similarities[rows])
    assert N_ITEMS + 7 in rows
    for item in rows.tolist():
        for one, two in zip(now.item_item.similar(item, 6), full.item_item.similar(item, 6), strict=True):
            assert np.array_equal(one, two)


async def test_other_retrieval_models_stay_as_they_were_trained(trained: Stores) -> None:
    for number, retrieval in enumerate([("als", "ease"), ("ease",)]):
        training = msgspec.structs.replace(CONFIGS.training, retrieval=retrieval)
        configs = dataclasses.replace(CONFIGS, training=training)
        await train(trained, configs, FixedClock(NOW + HOUR))
        base = await opened(trained)
        assert tuple(base.retrievers) == base.manifest.retrievers == retrieval
        await trained.catalog.upsert([Item(item_id=f"new{number}", title="New")], NOW + HOUR)
        await logged(trained, *purchases(2, 10_000 * (1 + number), 20, 3, NOW + HOUR, f"v{number}"))
        assert await learn(trained, configs) is not None
        now = await opened(trained)
        assert tuple(now.retrievers) == retrieval
        asked = history([0, 1], np.full(2, 4.5))
        every = np.arange(now.n_items, dtype=np.int32)
        before, after = (models.retrievers["ease"].score(asked, every) for models in (base, now))
        assert np.array_equal(before, after)
        assert after.any()


async def test_lists_and_counts_equal_a_full_refit_where_they_changed(trained: Stores) -> None:
    base = await opened(trained)
    await logged(trained, *purchases(2, 10_000, 20, 3, NOW + HOUR))
    assert await learn(trained) is not None
    now, dataset = await opened(trained), await collect(trained)
    full = fit_models(dataset, CONFIGS, NOW + 2 * HOUR)
    rows = np.flatnonzero((base.item_item.similarities != now.item_item.similarities).any(axis=1))
    assert len(rows) > 10
    assert np.array_equal(now.item_item.neighbours[rows], full.item_item.neighbours[rows])
    assert np.array_equal(now.item_item.similarities[rows], full.item_item.similarities[rows])
    touched = np.unique(dataset.interactions.items[dataset.behind(base.manifest.window.position)])
    assert np.array_equal(now.popularity.user_counts[touched], full.popularity.user_counts[touched])
    # The scale of scores is the base's; the order among what was counted anew is the same.
    ratio = now.popularity.scores[touched] / full.popularity.scores[touched]
    assert np.allclose(ratio, ratio[0], rtol=1e-5)


async def test_factors_come_near_those_of_a_full_refit(trained: Stores) -> None:
    """Spaces of two fits differ by a rotation; what users are told by them must not."""
    configs = dataclasses.replace(CONFIGS, als=AlsConfig(factors=2, iterations=30, regularization=1.0))
    await train(trained, configs, FixedClock(NOW + HOUR))
    base = await opened(trained)
    await logged(trained, *purchases(2, 10_000, 40, 4, NOW + HOUR))
    await learn(trained, configs)
    now, dataset = await opened(trained), await collect(trained)
    full = fit_models(dataset, configs, NOW + 2 * HOUR)
    every = np.arange(N_ITEMS, dtype=np.int32)
    apart = {"base": [], "now": []}
    for user in range(dataset.n_users):
        mine = np.unique(dataset.interactions.items[dataset.interactions.users == user])
        asked = history(mine, np.full(len(mine), 4.5))
        truth = full.retrievers["als"].score(asked, every)
        for name, models in (("base", base), ("now", now)):
            found = models.als.score(asked, every)
            apart[name].append(np.sqrt(np.mean((found - truth) ** 2)))
    assert np.mean(apart["now"]) < np.mean(apart["base"])
    assert np.mean(apart["now"]) < 0.01


async def test_a_new_item_is_learnt_from_behaviour_and_others_lead_to_it(trained: Stores) -> None:
    await trained.catalog.upsert([Item(item_id="fresh", title="thing brand new", categories=["a"])], NOW + HOUR)
    await logged(trained, *[bought(f"u{n}", "fresh", f"n{n}", NOW + HOUR + n) for n in range(1, 41, 2)])
    manifest = await learn(trained)
    assert manifest is not None
    assert manifest.n_items == N_ITEMS + 1
    now = await opened(trained)
    ordinal = N_ITEMS
    assert np.linalg.norm(now.als.item_factors[ordinal]) > 0
    assert now.content.item_vectors[ordinal].any()
    assert now.popularity.user_counts[ordinal] == 20
    odd = now.item_item.neighbours[ordinal]
    assert set((odd[odd >= 0] % 2).tolist()) == {1}
    assert (now.item_item.neighbours == ordinal).any(), "nothing leads to it"
    mine = np.array([1, 3, 5], np.int32)
    solve = now.als.fold_in(mine, np.full(3, 4.0, np.float32), np.ones(3, bool))
    allowed = np.ones(now.indexes["als"].size, bool)
    allowed[mine] = False
    assert ordinal in now.indexes["als"].search(solve.vector, 10, Bits.of(allowed))[0]


async def test_deltas_chain_and_pruning_keeps_what_they_need(trained: Stores) -> None:
    base = await trained.models.active()
    made = []
    for turn in range(4):
        await logged(trained, *[bought(f"u{n}", f"i{turn}", f"t{turn}_{n}", NOW + HOUR + n) for n in range(12)])
        made.append(await learn(trained, hours=2 + turn))
    versions = [each.version for each in made]
    assert [each.deltas for each in made] == [tuple(versions[:n]) for n in range(4)]
    assert {each.base for each in made} == {base}
    now, third = await opened(trained), await opened(trained, versions[2])
    assert now.popularity.user_counts[3] > third.popularity.user_counts[3]
    assert np.array_equal(now.popularity.user_counts[:3], third.popularity.user_counts[:3])
    assert await trained.models.prune(1) == []
    await train(trained, CONFIGS, FixedClock(NOW + 9 * HOUR))
    assert {each.version for each in await trained.models.bundles()} >= {base, *versions}
    await trained.models.activate(versions[1])
    assert (await opened(trained)).version == versions[1]


async def test_nothing_new_publishes_nothing(trained: Stores) -> None:
    base = await trained.models.active()
    assert await learn(trained) is None
    report = await run_increment(trained, CONFIGS, FixedClock(NOW + 2 * HOUR))
    assert (report.outcome, report.manifest) == ("nothing_new", None)
    assert [each.version for each in await trained.models.bundles()] == [base]


def poison(count: int = 3_000) -> list[Interaction]:
    """Return thousands of purchases by one account, all of the odd items."""
    return [bought("bot", f"i{1 + 2 * (n % 20)}", f"p{n}", NOW + HOUR + n) for n in range(count)]


async def test_one_account_with_thousands_of_events_is_stopped(trained: Stores) -> None:
    """Either the increment is refused and says so, or it learns no more of the account than the rule allows."""
    base = await opened(trained)
    honest = [bought(f"u{n}", f"i{2 * (n % 8)}", f"h{n}", NOW + HOUR + n) for n in range(40)]
    await logged(trained, *poison(), *honest)
    with pytest.raises(IncrementRefused, match=r"one user makes \d+\.\d% .* at most 1\.0% is allowed") as error:
        await learn(trained, limits(heavy_users="refuse", user_rows=5))
    assert base.version in error.value.detail
    assert error.value.check.value > 0.2
    report = await run_increment(trained, limits(heavy_users="refuse", user_rows=5), FixedClock(NOW + 2 * HOUR))
    assert report.outcome == "refused"
    assert await trained.models.active() == base.version
    manifest = await learn(trained, limits(user_rows=2))
    assert manifest is not None
    assert manifest.metrics["increment.trimmed_users"] == 1
    now = await opened(trained)
    gained = now.popularity.user_counts - base.popularity.user_counts
    assert gained[1::2].sum() == 2, "the account teaches two items and no more"
    assert gained[::2].sum() > 20


async def test_trimming_holds_across_increments(trained: Stores) -> None:
    """Pushed in pieces, the account weighs what it weighs at once."""
    base = await opened(trained)
    for turn in range(3):
        honest = [bought(f"u{n}", f"i{2 * (n % 8)}", f"h{turn}_{n}", NOW + HOUR + n) for n in range(20)]
        await logged(trained, *poison()[turn * 7 : turn * 7 + 7], *honest)
        await learn(trained, limits(user_rows=2), hours=2 + turn)
    now = await opened(trained)
    gained = (now.popularity.user_counts - base.popularity.user_counts)[1::2]
    # Each turn has other items as its newest; what an earlier one took in is not taken back, but grows no further.
    assert gained.sum() <= 6


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"norm_drift": 1e-9}, "length"),
        ({"canary_loss": 0.0, "canary_depth": 1, "max_items": 1}, "items that were found"),
    ],
)
async def test_the_gate_says_which_check_and_by_how_much(
    trained: Stores, fields: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = await trained.models.active()
    await logged(trained, *purchases(2, 10_000, 40, 4, NOW + HOUR))
    if "canary_loss" in fields:
        from kindred.training.increment import gate

        counts = iter([[True] * 10, [True] * 3])
        monkeypatch.setattr(gate, "_finds", lambda *_: next(counts))
    with pytest.raises(IncrementRefused, match=said):
        await learn(trained, limits(**fields))
    assert await trained.models.active() == base
    assert [each.version for each in await trained.models.bundles()] == [base]
    assert await trained.leases.holder(LEASE) is None


async def test_values_that_are_no_numbers_are_refused(trained: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    from kindred.training.increment import update

    solve = update.solve_items

    def broken(*given):
        made = solve(*given)
        made.rows[0, 0] = np.nan
        return made

    monkeypatch.setattr(update, "solve_items", broken)
    await logged(trained, *purchases(2, 10_000, 10, 2, NOW + HOUR))
    with pytest.raises(IncrementRefused, match="not finite"):
        await learn(trained)


async def test_a_crash_in_the_middle_of_publishing_leaves_the_base(
    trained: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = await trained.models.active()
    await logged(trained, *purchases(2, 10_000, 10, 2, NOW + HOUR))
    renamed = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if self.parent.name == ".staging":
            raise KeyboardInterrupt
        return renamed(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            await learn(trained)
    assert await trained.models.active() == base
    assert [each.version for each in await trained.models.bundles()] == [base]
    assert await trained.leases.holder(LEASE) is None
    assert await learn(trained) is not None


async def test_a_full_disk_and_a_held_lease_publish_nothing(trained: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    base = await trained.models.active()
    await logged(trained, *purchases(2, 10_000, 10, 2, NOW + HOUR))

    async def full(*_: object) -> None:
        raise StoreFull("no room left")

    with monkeypatch.context() as patch:
        patch.setattr(trained.models, "publish", full)
        with pytest.raises(StoreFull):
            await learn(trained)
    fence = await trained.leases.acquire(LEASE, "somebody")
    assert fence is not None
    with pytest.raises(LeaseHeld, match="somebody"):
        await learn(trained)
    assert (await run_increment(trained, CONFIGS, FixedClock(NOW))).outcome == "busy"
    await trained.leases.release(LEASE, fence)
    assert await trained.models.active() == base


async def test_what_only_a_training_helps_says_so(stores: Stores, trained: Stores) -> None:  # noqa: F811
    await logged(trained, *purchases(2, 10_000, 10, 2, NOW + HOUR))
    with pytest.raises(Conflict, match="kindred train"):
        await learn(trained, dataclasses.replace(CONFIGS, preference=PreferenceConfig(alpha=9.0)))
    await learn(trained)
    await logged(trained, *purchases(3, 20_000, 10, 2, NOW + HOUR))
    with pytest.raises(Conflict, match="kindred train"):
        await learn(trained, limits(max_deltas=1))
    for folder in trained.models._folder.iterdir():
        if folder.is_dir() and folder.name != ".staging":
            shutil.rmtree(folder)
    (trained.models._folder / "ACTIVE").unlink()
    with pytest.raises(NoBundle):
        await learn(trained)
