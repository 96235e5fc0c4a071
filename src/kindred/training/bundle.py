"""A bundle's folder: models and vector indexes, written and opened again."""

from pathlib import Path

from kindred.core.bundle import Manifest
from kindred.core.candidates import Floats
from kindred.models.blend import BlendModel
from kindred.ports.vectors import VectorIndexes
from kindred.recommend.model_set import COUNTRIES, ModelSet, open_models
from kindred.training.fit.models import FittedModels

MODEL_NAMES = ("popularity", "trending", "ratings", "item_item", "als", "content")
INDEX = "index"


def write_models(models: FittedModels, blend: BlendModel, folder: Path, indexes: VectorIndexes) -> dict[str, float]:
    """Write everything that a server opens into `folder`; return what was measured of the indexes."""
    for name in MODEL_NAMES:
        getattr(models, name).save(folder / name)
    blend.save(folder / "blend")
    for country, model in models.countries.items():
        model.save(folder / COUNTRIES / country)
    return build_indexes(models, folder, indexes)


def build_indexes(models: FittedModels, folder: Path, indexes: VectorIndexes) -> dict[str, float]:
    """Build the index of each model that has vectors into its folder; return what was measured."""
    measured: dict[str, float] = {}
    for name, vectors in indexed(models).items():
        place = folder / name / INDEX
        place.mkdir(parents=True, exist_ok=True)
        figures = indexes.build(vectors, place)
        measured |= {f"index.{name}.{figure}": float(value) for figure, value in figures.items()}
    return measured


def indexed(models: FittedModels) -> dict[str, Floats]:
    """Return the vectors (n, d) that servers search, by model."""
    return {"als": models.als.item_factors, "content": models.content.item_vectors}


def trial_models(models: FittedModels, blend: BlendModel, folder: Path, indexes: VectorIndexes) -> ModelSet:
    """Write models into an empty folder and open them as a server would, for a replay."""
    write_models(models, blend, folder, indexes)
    return open_trial(folder, models.popularity.n_items, indexes)


def open_trial(folder: Path, n_items: int, indexes: VectorIndexes) -> ModelSet:
    """Open models that are no bundle, as a server would; raise BundleCorrupt."""
    return open_models(Manifest(version="replay", created=0, n_items=n_items), folder, indexes)
