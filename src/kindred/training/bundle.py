"""A bundle's folder: models and vector indexes, written and opened again."""

from pathlib import Path

from kindred.core.bundle import Manifest
from kindred.core.candidates import Floats
from kindred.models.blend import BlendModel
from kindred.models.forms import figures
from kindred.models.neural_ranker import NetworkHeads
from kindred.models.protocol import Model
from kindred.models.ranker import RankerModel
from kindred.models.sequential import SequentialModel
from kindred.ports.vectors import VectorIndexes
from kindred.recommend.model_set import CONTENT, CONTENT_LISTS, COUNTRIES, SEASON, SEGMENTS, ModelSet, open_models
from kindred.training.fit.content_lists import fit_content_lists
from kindred.training.fit.models import FittedModels

INDEX = "index"


def folders(models: FittedModels | ModelSet) -> dict[str, Model]:
    """Return the models by the folder that each has in a bundle."""
    return {
        "popularity": models.popularity,
        "trending": models.trending,
        "ratings": models.ratings,
        "item_item": models.item_item,
        CONTENT: models.content,
        SEGMENTS: models.segments,
        SEASON: models.season,
        **models.retrievers,
        **{f"{COUNTRIES}/{country}": model for country, model in models.countries.items()},
    }


def write_models(models: FittedModels, blend: BlendModel, folder: Path, indexes: VectorIndexes) -> dict[str, float]:
    """Write everything that a server opens into `folder`; return what was measured of the indexes."""
    for name, model in folders(models).items():
        model.save(folder / name)
    blend.save(folder / "blend")
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


def list_content(models: FittedModels, folder: Path, indexes: VectorIndexes) -> dict[str, float]:
    """Write what the most used items are like into `folder`, where the index is built; return what was measured."""
    content, users = models.content, models.popularity.user_counts
    index = indexes.open(folder / CONTENT / INDEX, content.item_vectors)
    lists, measured = fit_content_lists(index, content.item_vectors, users, content.config)
    lists.save(folder / CONTENT_LISTS)
    return {f"similar.{figure}": value for figure, value in measured.items()}


def form_metrics(models: FittedModels, ranker: RankerModel | None) -> dict[str, float]:
    """Return what was measured of the forms of each network that has several, by model."""
    found = {name: model.forms for name, model in models.retrievers.items() if isinstance(model, SequentialModel)}
    if ranker is not None and isinstance(ranker.heads, NetworkHeads):
        found["ranker"] = ranker.heads.forms
    return {f"{name}.{figure}": value for name, forms in found.items() for figure, value in figures(forms).items()}


def indexed(models: FittedModels) -> dict[str, Floats]:
    """Return the vectors (n, d) that servers search, by model."""
    found = {name: model.item_vectors for name, model in models.retrievers.items()}
    return {name: rows for name, rows in {**found, CONTENT: models.content.item_vectors}.items() if rows is not None}


def trial_models(models: FittedModels, blend: BlendModel, folder: Path, indexes: VectorIndexes) -> ModelSet:
    """Write models into an empty folder and open them as a server would, for a replay."""
    write_models(models, blend, folder, indexes)
    return open_trial(folder, models.popularity.n_items, indexes, tuple(models.retrievers))


def open_trial(folder: Path, n_items: int, indexes: VectorIndexes, retrievers: tuple[str, ...]) -> ModelSet:
    """Open models that are no bundle, as a server would; raise BundleCorrupt."""
    return open_models(Manifest(version="replay", created=0, n_items=n_items, retrievers=retrievers), folder, indexes)
