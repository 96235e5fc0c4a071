"""ModelSet: a bundle's models, memory-mapped, each in its own folder of the bundle, with later changes over them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kindred.core.bundle import Manifest
from kindred.core.errors import BundleCorrupt, NotFound
from kindred.models.als import AlsModel
from kindred.models.blend import BlendModel
from kindred.models.content import ContentModel
from kindred.models.item_item import ItemItemModel
from kindred.models.layers import Folder, Layers, layered
from kindred.models.popularity import PopularityModel
from kindred.models.protocol import Model
from kindred.models.ranker import RankerModel
from kindred.models.ratings import RatingsModel
from kindred.models.trending import TrendingModel
from kindred.ports.models import ModelStore
from kindred.ports.vectors import VectorIndex, VectorIndexes

COUNTRIES = "countries"


@dataclass(frozen=True, slots=True)
class ModelSet:
    """What a bundle holds; `countries` maps ISO 3166 alpha-2 to the popularity among that country's users."""

    manifest: Manifest
    popularity: PopularityModel
    trending: TrendingModel
    ratings: RatingsModel
    item_item: ItemItemModel
    als: AlsModel
    content: ContentModel
    blend: BlendModel
    als_index: VectorIndex
    content_index: VectorIndex
    countries: dict[str, PopularityModel] = field(default_factory=dict)
    ranker: RankerModel | None = None

    @property
    def version(self) -> str:
        """Return the bundle's version."""
        return self.manifest.version

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the bundle covers."""
        return self.manifest.n_items


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

    Rows that deltas changed go into the vector indexes' side segments; raises StoreFull when they do not fit.
    """
    layers = layered(folder)
    countries = sorted(path for path in (layers.base / COUNTRIES).glob("*") if path.is_dir())
    models = ModelSet(
        manifest=manifest,
        popularity=PopularityModel.load(layers / "popularity"),
        trending=TrendingModel.load(layers / "trending"),
        ratings=RatingsModel.load(layers / "ratings"),
        item_item=ItemItemModel.load(layers / "item_item"),
        als=AlsModel.load(layers / "als"),
        content=ContentModel.load(layers / "content"),
        blend=BlendModel.load(layers / "blend"),
        als_index=indexes.open(layers.base / "als" / "index"),
        content_index=indexes.open(layers.base / "content" / "index"),
        countries={path.name: PopularityModel.load(layers / COUNTRIES / path.name) for path in countries},
        ranker=RankerModel.load(layers / "ranker") if (layers.base / "ranker").is_dir() else None,
    )
    parts: list[Model] = [models.popularity, models.trending, models.ratings, models.item_item, models.als]
    for model in (*parts, models.content, *models.countries.values()):
        if model.n_items != manifest.n_items:
            name = type(model).__name__
            raise BundleCorrupt(f"{layers.name}: {name} covers {model.n_items} items, not {manifest.n_items}")
    for index, vectors, place in (
        (models.als_index, models.als.item_factors, (layers / "als").changed("item_factors")),
        (models.content_index, models.content.item_vectors, (layers / "content").changed("item_vectors")),
    ):
        if len(place):
            index.upsert(place, vectors[place])
    return models
