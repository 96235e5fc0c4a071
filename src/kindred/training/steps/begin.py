"""The first step of a training run: the rows it learns from, and whether an interrupted run is taken up again."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import xxhash

from kindred import __version__
from kindred.core.bundle import SCHEMA, Manifest
from kindred.core.errors import InvalidInput
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.steps.window import parse_since, windowed
from kindred.training.steps.work import Plan, Work


class Wanted(NamedTuple):
    """What a run was asked for: `only`: the models to fit anew; `since`: a span or date that the data begins with."""

    only: tuple[str, ...] = ()
    since: str | None = None


class Begun(NamedTuple):
    """A run that knows its data: `left_out` counts rows by why they do not teach."""

    plan: Plan
    work: Work
    dataset: Dataset
    left_out: dict[str, float]


def begin(
    folder: Path,
    collected: Dataset,
    configs: TrainConfigs,
    wanted: Wanted,
    now: int,
    active: Manifest | None,
    version: Callable[[int], str],
    pointed: str | None,
) -> Begun:
    """Take up the work below `folder` that an interrupted run left, or clear it and begin anew.

    It is taken up where it is not older than `training.resume` seconds, the settings, the code and what was asked for
    are the same, and the rows that stood in the log then are the same still: later ones wait for the next training.
    With `wanted.only` the data is that of the `active` bundle. `pointed`: the active version, also of a bundle that
    cannot be used. Raises InvalidInput where nothing can be learnt.
    """
    check_weights(configs)
    if wanted.only and active is not None:
        window = active.window
        collected = collected.until(window.position, window.catalogue_seq, active.n_items)
    if not collected.listed().any():
        raise InvalidInput(
            "the catalogue has no listed item, so there is nothing to recommend: run `kindred import` with a mapping "
            "that has [items] or [interactions], or add items over HTTP, then train again"
        )
    work, recipe = Work(folder), recipe_of(configs, wanted, active)
    left = work.plan()
    if left is not None and left.recipe == recipe and 0 <= now - left.now <= configs.training.resume * 1_000:
        dataset = collected.until(left.position, left.catalogue_seq, left.n_items)
        dataset, left_out = _windowed(dataset, configs, wanted, left.now)
        if dataset.fingerprint() == left.data:
            return Begun(left, work, dataset, left_out)
    dataset, left_out = _windowed(collected, configs, wanted, now)
    plan = Plan(
        recipe=recipe,
        data=dataset.fingerprint(),
        position=dataset.position,
        catalogue_seq=dataset.catalogue_seq,
        n_items=dataset.n_items,
        now=now,
        version=version(now),
        active=pointed,
    )
    work.begin(plan)
    return Begun(plan, work, dataset, left_out)


def _windowed(dataset: Dataset, configs: TrainConfigs, wanted: Wanted, now: int) -> tuple[Dataset, dict[str, float]]:
    since = None if wanted.since is None else parse_since(wanted.since, now)
    return windowed(dataset, configs.training, now, since)


def recipe_of(configs: TrainConfigs, wanted: Wanted, active: Manifest | None) -> str:
    """Return a hash of everything but the data that decides what is fitted; the gate decides nothing of it."""
    settings = {name: value for name, value in configs.parameters().items() if name not in ("gate", "increment")}
    rest = active.version if wanted.only and active is not None else None
    said = [SCHEMA, __version__, list(wanted), rest, settings]
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode(said, order="sorted"))


def check_weights(configs: TrainConfigs) -> None:
    """Raise InvalidInput for a weight of the preferences that is no number: every model would be none."""
    config = configs.preference
    weights = {f"events.types.{name}": weight for name, weight in config.event_weights.items()}
    weights |= {"preference.default_weight": config.default_weight, "preference.alpha": config.alpha}
    for name, weight in weights.items():
        if not np.isfinite(weight):
            raise InvalidInput.at(name, f"weighs {weight}: give a finite number")
