"""What every training shares: being the one trainer, staging a bundle, and publishing it or nothing at all."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from kindred.core.bundle import Manifest
from kindred.core.errors import LeaseHeld
from kindred.core.ids import new_id
from kindred.ports.models import ModelStore
from kindred.ports.operations import Leases, alone
from kindred.ports.vectors import VectorIndexes
from kindred.training.collect import DataStores

LEASE = "trainer"


class TrainStores(DataStores, Protocol):
    """What a training run reads, and where it publishes."""

    @property
    def home(self) -> Path:
        """Return the data folder, below which runs keep their work, their trials and their records."""
        ...

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
