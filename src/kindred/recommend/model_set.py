"""ModelSet: a bundle's models, memory-mapped, each in its own folder of the bundle, with later changes over them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kindred.core.bundle import Manifest
from kindred.core.errors import BundleCorrupt, NotFound
from kindred.models.als import AlsModel
from kindred.models.blend import BlendModel, blended
from kindred.models.content import ContentModel
from kindred.models.content_lists import ContentLists
from kindred.models.item_item import ItemItemModel
from kindred.models.layers import Folder, Layers, layered
from kindred.models.popularity import PopularityModel
from kindred.models.protocol import Model, Retriever
from kindred.models.ranker import RankerModel
from kindred.models.ratings import RatingsModel
from kindred.models.retrieval import open_retriever
from kindred.models.season import SeasonModel
from kindred.models.segments import SegmentsModel
from kindred.models.trending import TrendingModel
from kindred.ports.models import ModelStore
from kindred.ports.vectors import VectorIndex, VectorIndexes

COUNTRIES = "countries"
CONTENT = "content"
# What increments change of vectors that have an index, by model: the name of their array.
_VECTORS = {"als": "item_factors", CONTENT: "item_vectors"}
CONTENT_LISTS = f"{CONTENT}/lists"
RANKER = "ranker"
SEGMENTS, SEASON = "segments", "season"


@dataclass(frozen=True, slots=True)
class ModelSet:
    """What a bundle holds.

    `retrievers`: the models that propose and score by a user's history, by name, in the order of the settings.
    `item_item` is there in any case, for similar items, the item on screen and sessions. `indexes`: of every model with
    vectors and of content, by name. `content_lists`: None in a bundle that searches for every item. `countries` maps
    ISO 3166 alpha-2 to the popularity among that country's users. `segments`: what those of other traits like more or
    less than everyone. `season`: what is due in each month.
    """

    manifest: Manifest
    popularity: PopularityModel
    trending: TrendingModel
    ratings: RatingsModel
    item_item: ItemItemModel
    content: ContentModel
    blend: BlendModel
    retrievers: Mapping[str, Retriever]
    indexes: Mapping[str, VectorIndex]
    countries: dict[str, PopularityModel] = field(default_factory=dict)
    ranker: RankerModel | None = None
    content_lists: ContentLists | None = None
    segments: SegmentsModel = field(default_factory=SegmentsModel.none)
    season: SeasonModel = field(default_factory=SeasonModel.none)

    @property
    def version(self) -> str:
        """Return the bundle's version."""
        return self.manifest.version

    @property
    def base(self) -> str:
        """Return the version of the bundle that lies below all changes."""
        return self.manifest.base or self.manifest.version

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the bundle covers."""
        return self.manifest.n_items

    @property
    def scored(self) -> tuple[str, ...]:
        """Return the names of all that is blended: each candidate has a column `model.<name>` of every one."""
        return blended(self.retrievers, bool(self.segments.places))

    @property
    def als(self) -> AlsModel | None:
        """Return the factors that increments solve anew, None in a bundle without."""
        found = self.retrievers.get("als")
        return found if isinstance(found, AlsModel) else None


async def open_layers(store: ModelStore, version: str) -> tuple[Manifest, Layers]:
    """Return a bundle's manifest and its folders, the base first.

    Raises NotFound for an unknown version, BundleCorrupt or BundleMismatch for what cannot be used, also when a bundle
    that a delta needs is not kept.
    """
    manifest, folder = await store.open(version)
    folders = []
    for needed in manifest.needs:
        try:
            folders.append((await store.open(needed))[1])
        except NotFound as error:
            raise BundleCorrupt(f"bundle {version} needs {needed}, which is not kept: run `kindred train`") from error
    return manifest, layers_of([*folders, folder])


def layers_of(folders: Sequence[Path]) -> Layers:
    """Return folders, the base first, as layers."""
    return Layers(folders[0], tuple(folders[1:]))


def open_models(manifest: Manifest, folder: Folder, indexes: VectorIndexes) -> ModelSet:
    """Map a bundle's models from its layers; raise BundleCorrupt when one is missing, damaged or of another size.

    Rows that deltas changed go into the vector indexes' side segments; raises StoreFull when they do not fit, and
    BundleMismatch for a retrieval model that cannot be served here.
    """
    layers = layered(folder)
    countries = sorted(path for path in (layers.base / COUNTRIES).glob("*") if path.is_dir())
    retrievers = {name: open_retriever(name, layers / name) for name in manifest.retrievers}
    lists = retrievers.get("item_item")
    content, edited = ContentModel.load(layers / CONTENT), (layers / CONTENT).changed("item_vectors")
    listed = (layers.base / CONTENT_LISTS).is_dir()
    indexed = {**{name: model.item_vectors for name, model in retrievers.items()}, CONTENT: content.item_vectors}
    models = ModelSet(
        manifest=manifest,
        popularity=PopularityModel.load(layers / "popularity"),
        trending=TrendingModel.load(layers / "trending"),
        ratings=RatingsModel.load(layers / "ratings"),
        item_item=lists if isinstance(lists, ItemItemModel) else ItemItemModel.load(layers / "item_item"),
        content=content,
        blend=BlendModel.load(layers / "blend"),
        retrievers=retrievers,
        indexes={
            name: indexes.open(layers.base / name / "index", rows) for name, rows in indexed.items() if rows is not None
        },
        countries={path.name: PopularityModel.load(layers / COUNTRIES / path.name) for path in countries},
        ranker=RankerModel.load(layers / RANKER) if (layers.base / RANKER).is_dir() else None,
        content_lists=ContentLists.load(layers.base / CONTENT_LISTS, edited) if listed else None,
        season=SeasonModel.load(layers / SEASON),
        segments=SegmentsModel.load(layers / SEGMENTS),
    )
    _check_sizes(models, layers)
    for name, array in _VECTORS.items():
        vectors, changed = indexed.get(name), (layers / name).changed(array)
        if vectors is not None and len(changed):
            models.indexes[name].upsert(changed, vectors[changed])
    return models


def _check_sizes(models: ModelSet, layers: Layers) -> None:
    """Raise BundleCorrupt for a model over another number of items than the manifest says.

    Retrieval models that increments do not change go on covering the base's items.
    """
    for name, model in _parts(models):
        short = model.n_items < models.n_items and name in models.retrievers and layers.deltas
        if model.n_items != models.n_items and not short:
            raise BundleCorrupt(f"{layers.name}: {name} covers {model.n_items} items, not {models.n_items}")


def _parts(models: ModelSet) -> Iterator[tuple[str, Model]]:
    yield from models.retrievers.items()
    for name in ("popularity", "trending", "ratings", "item_item", CONTENT):
        yield name, getattr(models, name)
    yield from ((f"{COUNTRIES}/{name}", model) for name, model in models.countries.items())
