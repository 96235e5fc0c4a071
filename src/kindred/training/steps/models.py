"""The models of a run in its work folder: fitted or taken from the active bundle, with their indexes."""

import os
import shutil
from functools import partial
from pathlib import Path

from kindred.core.candidates import Floats
from kindred.core.config import unknown_key
from kindred.core.errors import InvalidInput
from kindred.models.arrays import load_json, save_json
from kindred.ports.vectors import VectorIndexes
from kindred.recommend.model_set import CONTENT_LISTS, RANKER, ModelSet
from kindred.training.bundle import INDEX, folders, indexed, list_content
from kindred.training.config import TrainConfigs
from kindred.training.fit.models import FittedModels
from kindred.training.steps.work import Work

MODELS = "models"
"""Part of the work: models of all rows, which are to be published."""
TRIAL = "trial"
"""Part of the work: models of the rows before the split, which are judged."""
BLEND = "blend"


def build(work: Work, models: FittedModels, indexes: VectorIndexes) -> dict[str, float]:
    """Build the index of each model that has vectors, where no earlier run did; return what was measured."""
    measured: dict[str, float] = {}
    for name, vectors in indexed(models).items():
        place = work.folder / name / INDEX

        def make(vectors: Floats = vectors, place: Path = place) -> None:
            save_json(place, "measured", dict(indexes.build(vectors, place)))

        figures = work.step(f"{name}/{INDEX}", make, partial(load_json, place, "measured", dict[str, float]))
        measured |= {f"index.{name}.{figure}": float(value) for figure, value in figures.items()}
    return measured


def build_lists(work: Work, models: FittedModels, indexes: VectorIndexes) -> dict[str, float]:
    """Find what is like the most used items, where no earlier run did; return what was measured."""
    place = work.folder / CONTENT_LISTS

    def make() -> None:
        save_json(place, "measured", list_content(models, work.folder, indexes))

    return work.step(CONTENT_LISTS, make, partial(load_json, place, "measured", dict[str, float]))


def adopt(work: Work, bundle: ModelSet, trial: Path | None, only: tuple[str, ...], configs: TrainConfigs) -> None:
    """Take all models but `only` from a bundle, and from its `trial` where that was fitted on the same rows.

    Fitted in any case are models that the settings name and the bundle lacks, or holds for fewer items than there were,
    as an increment does. The blend and the ranker are always learnt anew: they weigh what changed.
    """
    retrieval = configs.training.retrieval
    for name, model in folders(bundle).items():
        if name in only or (name in bundle.retrievers and name not in (*retrieval, "item_item")):
            continue
        if model.n_items == bundle.n_items and not work.part(MODELS).kept(name):
            with work.part(MODELS).making(name) as folder:
                model.save(folder)
        if trial is not None and (trial / name).is_dir() and not work.part(TRIAL).kept(name):
            with work.part(TRIAL).making(name) as folder:
                link_tree(trial / name, folder)


def check_names(only: tuple[str, ...], bundle: ModelSet, configs: TrainConfigs) -> None:
    """Raise InvalidInput for the name of a model that neither the bundle nor the settings have."""
    known = [*folders(bundle), *configs.training.retrieval, BLEND]
    known += [RANKER] if bundle.ranker is not None or configs.ranker.learn else []
    names = sorted({name for name in known if "/" not in name})
    for name in only:
        if name not in names:
            raise InvalidInput.at("only", f"{name!r} is {unknown_key(name, names)}")


def link_tree(source: Path, target: Path) -> None:
    """Put the files below `source` into `target` too, without a second copy where the file system can."""
    shutil.copytree(source, target, copy_function=_linked, dirs_exist_ok=True)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
