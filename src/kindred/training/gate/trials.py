"""Trials: the models of each kept bundle as they were fitted on the rows before its split, for the next gate."""

import shutil
from pathlib import Path

import msgspec

from kindred.core.bundle import SCHEMA
from kindred.core.errors import BundleError
from kindred.models.arrays import load_json, save_json
from kindred.ports.vectors import VectorIndexes
from kindred.recommend.model_set import ModelSet
from kindred.training.bundle import open_trial
from kindred.training.holdout import Asked

_SAID = "trial"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial was fitted on: the rows before `cut` (ms; None: all but each user's newest) of a training."""

    cut: int | None
    n_items: int
    retrievers: tuple[str, ...]
    schema: str = SCHEMA

    def save(self, folder: Path) -> None:
        """Write it beside the models, which makes them a trial."""
        save_json(folder, _SAID, self)


class Trials:
    """One folder per version below `folder`. No server reads them; without them nothing is compared but popularity."""

    def __init__(self, folder: Path) -> None:
        """Keep trials below `folder`, which need not be there."""
        self._folder = folder

    def place(self, version: str) -> Path:
        """Return where the trial of a bundle lies, or would lie."""
        return self._folder / version

    def comparable(self, version: str, asked: Asked, indexes: VectorIndexes) -> ModelSet | None:
        """Open the trial of a bundle that has seen nothing of what is asked now; None where there is no such."""
        place = self.place(version)
        try:
            said = load_json(place, _SAID, Trial)
            if said.schema != SCHEMA or (said.cut is None) != (asked.cut is None):
                return None
            if said.cut is not None and asked.cut is not None and said.cut > asked.cut:
                return None
            return open_trial(place, said.n_items, indexes, said.retrievers)
        except BundleError:
            return None

    def keep(self, version: str, folder: Path) -> None:
        """Move a finished trial from a run's work folder to where the next gate finds it; without one do nothing."""
        if not (folder / f"{_SAID}.json").exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.place(version), ignore_errors=True)
        folder.rename(self.place(version))

    def prune(self, kept: set[str]) -> None:
        """Delete the trials of bundles that are no more."""
        for place in self._folder.glob("*"):
            if place.name not in kept:
                shutil.rmtree(place, ignore_errors=True)
