"""An increment: from what is new behind the active bundle to a published delta, or to nothing at all."""

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from kindred import __version__
from kindred.core.bundle import Manifest
from kindred.core.clock import Clock
from kindred.core.errors import Conflict, NoBundle
from kindred.models.layers import Layers
from kindred.ports.vectors import VectorIndexes
from kindred.recommend.model_set import ModelSet, layers_of, open_layers, open_models
from kindred.training.collect import collect
from kindred.training.config import IncrementConfig, TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.fit.inputs import silent
from kindred.training.gate.check import Check
from kindred.training.increment.fresh import Fresh, find_fresh
from kindred.training.increment.gate import (
    IncrementRefused,
    canary_check,
    canary_questions,
    finite_check,
    norm_checks,
    share_check,
)
from kindred.training.increment.update import Update, save_update, work_out
from kindred.training.publishing import TrainStores, new_version, publish, staged, training_lease


async def increment(
    stores: TrainStores,
    configs: TrainConfigs,
    clock: Clock,
    progress: Callable[[str], None] = silent,
    activate: bool = True,
) -> Manifest | None:
    """Learn from what is new behind the active bundle and publish a delta over it; None where nothing is new.

    Raises NoBundle without an active bundle, LeaseHeld while another process trains, IncrementRefused when the gate
    does not let it pass, Conflict when settings that change what is learnt were changed since the base, or its deltas
    are too many. Whatever is raised, the active bundle stays and nothing is published.
    """
    async with training_lease(stores.leases) as fence:
        started = time.perf_counter()
        version = await stores.models.active()
        if version is None:
            raise NoBundle
        manifest, layers = await open_layers(stores.models, version)
        models = await asyncio.to_thread(open_models, manifest, layers, stores.vectors)
        check_settings(manifest, configs)
        base = manifest if manifest.base is None else (await stores.models.open(manifest.base))[0]
        progress("data")
        dataset = await collect(stores)
        seconds = {"data": round(time.perf_counter() - started, 3)}
        now = clock.now()
        with threadpool_limits(limits=1, user_api="blas"):
            async with staged(stores.models) as folder:
                made = learn(models, layers, base, dataset, configs, now, folder, stores.vectors, progress)
                if made is None:
                    shutil.rmtree(folder, ignore_errors=True)
                    return None
                published = msgspec.structs.replace(
                    made, version=new_version(now), code_version=__version__, seconds={**seconds, **made.seconds}
                )
                await publish(stores, folder, published, fence, activate, progress)
        await stores.models.prune(configs.training.keep)
        return published


def learn(
    models: ModelSet,
    layers: Layers,
    base: Manifest,
    dataset: Dataset,
    configs: TrainConfigs,
    now: int,
    folder: Path,
    indexes: VectorIndexes,
    progress: Callable[[str], None] = silent,
) -> Manifest | None:
    """Write a delta over `layers` into `folder` and put it through the gate; return its manifest, without a version.

    None where nothing is new. Raises IncrementRefused.
    """
    config, active, started = configs.increment, models.manifest, time.perf_counter()
    fresh = find_fresh(dataset, active.window, base.window, now, config, configs.preference)
    if not fresh.new.any() and dataset.catalogue_seq <= active.window.catalogue_seq:
        return None
    checked = passed([share_check(fresh, config)], models.version)
    progress("models")
    update = work_out(models, dataset, fresh, configs, now)
    checked += passed([finite_check(update.changes), *_norms(models, update, config)], models.version)
    worked = time.perf_counter()
    save_update(update, models, dataset.n_items, folder)
    between = () if active.base is None else (*active.deltas, active.version)
    manifest = Manifest(
        version="increment",
        created=now,
        base=base.version,
        deltas=between,
        n_items=dataset.n_items,
        window=dataset.window(),
        metrics=_metrics(update, fresh),
        parameters=configs.parameters(),
        models=sorted({one.place for one in update.changes if len(one.rows)}),
        retrievers=active.retrievers,
    )
    progress("gate")
    after = open_models(manifest, layers_of([*layers.folders, folder]), indexes)
    asked = canary_questions(dataset, fresh, now, configs)
    checked += passed([canary_check(models, after, asked, config)], models.version)
    figures = {f"gate.{one.name}": round(float(one.value), 6) for one in checked}
    took = {"models": round(worked - started, 3), "gate": round(time.perf_counter() - worked, 3)}
    return msgspec.structs.replace(manifest, metrics={**manifest.metrics, **figures}, seconds=took)


def passed(checks: Sequence[Check], active: str) -> list[Check]:
    """Return checks that all hold; raise IncrementRefused for the first that does not."""
    for check in checks:
        if not check.passed:
            raise IncrementRefused(check, active)
    return list(checks)


def check_settings(active: Manifest, configs: TrainConfigs) -> None:
    """Raise Conflict when an increment cannot go on from the active bundle."""
    if len(active.needs) >= configs.increment.max_deltas:
        raise Conflict(f"{len(active.needs)} increments lie over base {active.base}: run `kindred train`")
    present = msgspec.json.decode(msgspec.json.encode(configs.preference))
    trained = active.parameters.get("preference", present)
    if msgspec.json.decode(msgspec.json.encode(trained)) != present:
        raise Conflict("settings of `preference` were changed since the base was trained: run `kindred train`")


def _norms(models: ModelSet, update: Update, config: IncrementConfig) -> list[Check]:
    """Look at the lengths of changed factors, where the bundle has any."""
    changes = [one for one in update.changes if one.place == "als"]
    return [check for one in changes if models.als for check in norm_checks(models.als.item_factors, one, config)]


def _metrics(update: Update, fresh: Fresh) -> dict[str, float]:
    norms = np.empty(0) if update.factors is None else np.linalg.norm(update.factors.rows, axis=1)
    return {
        "increment.rows": float(fresh.new.sum()),
        "increment.items": float(len(update.items)),
        "increment.described": float(len(update.described)),
        "increment.trimmed_users": float(len(fresh.heavy)),
        "increment.changed": float(sum(len(one.rows) for one in update.changes)),
        "increment.longest_share": round(fresh.share_before, 6),
        "increment.median_norm": round(float(np.median(norms)), 6) if len(norms) else 0.0,
    }
