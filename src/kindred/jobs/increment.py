"""The job that keeps the models current between trainings."""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from kindred.core.bundle import Manifest
from kindred.core.clock import Clock
from kindred.core.errors import LeaseHeld
from kindred.training.config import TrainConfigs
from kindred.training.fit.inputs import silent
from kindred.training.increment.gate import IncrementRefused
from kindred.training.increment.run import increment
from kindred.training.publishing import TrainStores

Outcome: TypeAlias = Literal["published", "nothing_new", "refused", "busy"]


class IncrementReport(NamedTuple):
    """What became of an increment; `manifest` where one was published, `detail` for a person."""

    outcome: Outcome
    detail: str
    manifest: Manifest | None = None


async def run_increment(
    stores: TrainStores, configs: TrainConfigs, clock: Clock, progress: Callable[[str], None] = silent
) -> IncrementReport:
    """Publish what is new as a delta over the active bundle, or say why there is none.

    What a later run may mend is reported, not raised: a refusal by the gate, another trainer at work. Raises NoBundle
    where nothing was ever trained, Conflict where only a training helps.
    """
    try:
        manifest = await increment(stores, configs, clock, progress)
    except IncrementRefused as error:
        return IncrementReport("refused", error.detail)
    except LeaseHeld as error:
        return IncrementReport("busy", error.detail)
    if manifest is None:
        return IncrementReport("nothing_new", "nothing is new since the active bundle")
    figures = manifest.metrics
    detail = f"{figures['increment.rows']:.0f} new rows changed {figures['increment.items']:.0f} items"
    return IncrementReport("published", f"bundle {manifest.version}: {detail}", manifest)
