"""A training run: from the stores to a published bundle, or to nothing at all."""

import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from threadpoolctl import threadpool_limits

from kindred import __version__
from kindred.core.bundle import Manifest
from kindred.core.clock import Clock
from kindred.core.errors import InvalidInput, LeaseHeld
from kindred.core.ids import new_id
from kindred.ports.models import ModelStore
from kindred.ports.operations import Leases, alone
from kindred.ports.vectors import VectorIndexes
from kindred.training.bundle import folders, write_models
from kindred.training.collect import DataStores, collect
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.fit.inputs import silent
from kindred.training.fit.models import FittedModels, fit_models
from kindred.training.holdout import Held, hold_out
from kindred.training.replay import ReplayPorts

LEASE = "trainer"


class TrainStores(DataStores, Protocol):
    """What a training run reads, and where it publishes."""

    @property
    def models(self) -> ModelStore:
        """Return where bundles are published."""
        ...

    @property
    def leases(self) -> Leases:
        """Return who keeps a second trainer out."""
        ...

    @property
    def vectors(self) -> VectorIndexes:
        """Return what builds vector indexes."""
        ...


async def train(
    stores: TrainStores,
    configs: TrainConfigs,
    clock: Clock,
    progress: Callable[[str], None] = silent,
    activate: bool = True,
) -> Manifest:
    """Train on everything that is known now and publish the bundle; `progress` hears the name of each step.

    Raises InvalidInput when the catalogue is empty, LeaseHeld while another process trains. When any step fails
    nothing is published and the active bundle stays.
    """
    async with training_lease(stores.leases) as fence:
        seconds: dict[str, float] = {}
        started = time.perf_counter()
        progress("data")
        dataset = await collect(stores)
        seconds["data"] = round(time.perf_counter() - started, 3)
        if not dataset.listed().any():
            raise InvalidInput(
                "the catalogue has no listed item, so there is nothing to recommend: run `kindred import` with a "
                "mapping that has [items] or [interactions], or add items over HTTP, then train again"
            )
        now = clock.now()
        models = fit_models(dataset, configs, now, progress)
        started = time.perf_counter()
        # A replay is many small products: BLAS threads only fight over the cores.
        with threadpool_limits(limits=1, user_api="blas"):
            ports = ReplayPorts(stores.catalog, stores.vectors)
            held = await hold_out(dataset, configs, ports, now, models.content, progress)
        seconds["holdout"] = round(time.perf_counter() - started, 3)
        manifest = await _publish(stores, dataset, configs, models, held, seconds, now, fence, activate, progress)
        await stores.models.prune(configs.training.keep)
        return manifest


async def _publish(
    stores: TrainStores,
    dataset: Dataset,
    configs: TrainConfigs,
    models: FittedModels,
    held: Held,
    seconds: Mapping[str, float],
    now: int,
    fence: int,
    activate: bool,
    progress: Callable[[str], None],
) -> Manifest:
    """Write a staged folder and publish it."""
    progress("write")
    async with staged(stores.models) as folder:
        started = time.perf_counter()
        measured = write_models(models, held.blend, folder, stores.vectors)
        written = round(time.perf_counter() - started, 3)
        manifest = Manifest(
            version=new_version(now),
            created=now,
            code_version=__version__,
            n_items=dataset.n_items,
            window=dataset.window(),
            metrics={**held.metrics, **measured},
            parameters={**configs.parameters(), "learned_blend": dict(held.blend.weights)},
            models=[*folders(models), "blend"],
            retrievers=tuple(models.retrievers),
            seconds={**seconds, **models.seconds, "write": written},
        )
        await publish(stores, folder, manifest, fence, activate, progress)
    return manifest


@asynccontextmanager
async def staged(models: ModelStore) -> AsyncIterator[Path]:
    """Give a folder for a bundle in the making; it goes when the block raises."""
    folder = await models.stage()
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


async def publish(
    stores: TrainStores,
    folder: Path,
    manifest: Manifest,
    fence: int,
    activate: bool,
    progress: Callable[[str], None],
) -> None:
    """Publish a staged folder; raise LeaseHeld where another trainer took over meanwhile."""
    if not await stores.leases.holds(LEASE, fence):
        raise LeaseHeld("another process took over training while this one worked; nothing was published")
    progress("publish")
    await stores.models.publish(folder, manifest, activate)


def new_version(now: int) -> str:
    """Return a bundle's version: its time (UTC) to the second, and characters that make it unique."""
    return f"{datetime.fromtimestamp(now / 1000, tz=UTC):%Y%m%dT%H%M%SZ}-{new_id('b')[-6:]}"


def training_lease(leases: Leases) -> AbstractAsyncContextManager[int]:
    """Be the one trainer; raise LeaseHeld saying who is."""
    return alone(leases, LEASE, "is training")
