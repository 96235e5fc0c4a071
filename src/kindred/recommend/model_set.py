"""ModelSet: a bundle's models, memory-mapped, each in its own folder of the bundle."""

from dataclasses import dataclass, field
from pathlib import Path

from kindred.core.bundle import Manifest
from kindred.core.errors import BundleCorrupt
from kindred.models.als import AlsModel
from kindred.models.blend import BlendModel
from kindred.models.content import ContentModel
from kindred.models.item_item import ItemItemModel
from kindred.models.popularity import PopularityModel
from kindred.models.ratings import RatingsModel
from kindred.models.trending import TrendingModel
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

    @property
    def version(self) -> str:
        """Return the bundle's version."""
        return self.manifest.version

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the bundle covers."""
        return self.manifest.n_items


def open_models(manifest: Manifest, folder: Path, indexes: VectorIndexes) -> ModelSet:
    """Map a bundle's models from `folder`; raise BundleCorrupt when one is missing, damaged or of another size."""
    countries = sorted(path for path in (folder / COUNTRIES).glob("*") if path.is_dir())
    models = ModelSet(
        manifest=manifest,
        popularity=PopularityModel.load(folder / "popularity"),
        trending=TrendingModel.load(folder / "trending"),
        ratings=RatingsModel.load(folder / "ratings"),
        item_item=ItemItemModel.load(folder / "item_item"),
        als=AlsModel.load(folder / "als"),
        content=ContentModel.load(folder / "content"),
        blend=BlendModel.load(folder / "blend"),
        als_index=indexes.open(folder / "als" / "index"),
        content_index=indexes.open(folder / "content" / "index"),
        countries={path.name: PopularityModel.load(path) for path in countries},
    )
    parts = (models.popularity, models.trending, models.ratings, models.item_item, models.als, models.content)
    for model in parts:
        if model.n_items != manifest.n_items:
            name = type(model).__name__
            raise BundleCorrupt(f"{folder.name}: {name} covers {model.n_items} items, not {manifest.n_items}")
    return models
