"""Trials: the models of each kept bundle as they were fitted on the rows before its split, for the next gate."""

import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec

from kindred.core.bundle import SCHEMA
from kindred.core.errors import BundleError
from kindred.models.arrays import load_json, save_json
from kindred.ports.vectors import VectorIndexes
from kindred.recommend.model_set import ModelSet
from kindred.training.bundle import open_trial

_SAID = "trial"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial was fitted on: the rows before `cut` (ms; None: all but each user's newest) of a training.

    `share`: of the rows that were held back; `rows`: hash of those that were not; `taught`: whether users who do not
    judge taught it a blend or a ranker.
    """

    cut: int | None
    share: float
    rows: str
    taught: bool
    n_items: int
    retrievers: tuple[str, ...]
    schema: str = SCHEMA

    def save(self, folder: Path) -> None:
        """Write it beside the models, which makes them a trial."""
        save_json(folder, _SAID, self)

    def knows_no_more(self, than: "Trial") -> bool:
        """Say whether it has surely seen nothing of what is held back of another: the same rows, or earlier ones."""
        if self.rows == than.rows:
            return True
        timed = self.cut is not None and than.cut is not None and self.cut <= than.cut
        return timed and self.share == than.share


class Kept(NamedTuple):
    """The trial of a kept bundle, and its models."""

    trial: Trial
    models: ModelSet


class Trials:
    """One folder per version below `folder`. No server reads them; without them nothing is compared but popularity."""

    def __init__(self, folder: Path) -> None:
        """Keep trials below `folder`, which need not be there."""
        self._folder = folder

    def place(self, version: str) -> Path:
        """Return where the trial of a bundle lies, or would lie."""
        return self._folder / version

    def comparable(self, version: str, ours: Trial, indexes: VectorIndexes) -> Kept | None:
        """Open the trial of a bundle that has seen nothing of what is held back of `ours`; None where there is none."""
        said = self._said(version)
        if said is None or not said.knows_no_more(ours):
            return None
        try:
            return Kept(said, open_trial(self.place(version), said.n_items, indexes, said.retrievers))
        except BundleError:
            return None

    def fitted_on(self, version: str, rows: str) -> Path | None:
        """Return where the trial of a bundle lies if it was fitted on the rows of a hash."""
        said = self._said(version)
        return None if said is None or said.rows != rows else self.place(version)

    def _said(self, version: str) -> Trial | None:
        try:
            said = load_json(self.place(version), _SAID, Trial)
        except BundleError:
            return None
        return said if said.schema == SCHEMA else None

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
