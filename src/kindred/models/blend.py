"""Blend: how the scores of several models become one, with each model's share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from kindred.core.candidates import Floats
from kindred.core.config import Config
from kindred.models.arrays import load_json, save_json
from kindred.models.layers import Folder

FAMILIES = {
    "als": "collaborative",
    "item_item": "collaborative",
    "content": "content",
    "popular": "popularity",
    "trending": "popularity",
    "country": "demographic",
}


class BlendConfig(Config, frozen=True, kw_only=True):
    """Weights by family of models for users and items with much, little or no evidence.

    `standard`: users and items with evidence, unless training learned better ones. `cold_user`: users without.
    `cold_item`: items without. `cold_item_scale`: what those weigh beside the others; the best match by content is a
    weaker claim than the best of what people chose, and at 1 unknown items crowd out known ones. `als_share`: of the
    collaborative family, while training has not learned it. `trending_share`: of the popularity family. `learn`:
    whether training replaces `standard` by weights that it finds on held-back data.
    """

    standard: dict[str, float] = msgspec.field(
        default_factory=lambda: {"collaborative": 0.7, "content": 0.2, "popularity": 0.1}
    )
    cold_user: dict[str, float] = msgspec.field(
        default_factory=lambda: {"popularity": 0.6, "demographic": 0.3, "collaborative": 0.1}
    )
    cold_item: dict[str, float] = msgspec.field(
        default_factory=lambda: {"content": 0.7, "popularity": 0.2, "collaborative": 0.1}
    )
    cold_item_scale: float = 0.4
    als_share: float = 0.5
    trending_share: float = 0.1
    learn: bool = True


class _Stored(msgspec.Struct):
    """What stands in the file."""

    weights: dict[str, float]
    learned: bool
    config: BlendConfig


@dataclass(frozen=True, slots=True)
class BlendModel:
    """Weights by model for users and items with evidence; they sum to 1."""

    weights: Mapping[str, float]
    learned: bool
    config: BlendConfig

    @classmethod
    def from_config(cls, config: BlendConfig) -> Self:
        """Split the configured families among their models."""
        return cls(split_families(config.standard, config), False, config)

    def save(self, folder: Path) -> None:
        """Write the weights into `folder`."""
        save_json(folder, "blend", _Stored(dict(self.weights), self.learned, self.config))

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Read the weights; raise BundleCorrupt when they are missing."""
        stored = load_json(folder, "blend", _Stored)
        return cls(stored.weights, stored.learned, stored.config)


def split_families(families: Mapping[str, float], config: BlendConfig) -> dict[str, float]:
    """Return weights by model that sum to 1, from weights by family."""
    inside = {
        "als": config.als_share,
        "item_item": 1 - config.als_share,
        "content": 1.0,
        "popular": 1 - config.trending_share,
        "trending": config.trending_share,
        "country": 1.0,
    }
    raw = {model: max(families.get(family, 0.0), 0.0) * inside[model] for model, family in FAMILIES.items()}
    total = sum(raw.values()) or 1.0
    return {model: weight / total for model, weight in raw.items()}


def normalised(scores: Floats) -> Floats:
    """Scale each row of scores (m, n) float32 so that its highest is 1; what is missing counts 0, negatives stay.

    Models score on scales of their own; relative to the best of the same request they can be added.
    """
    filled = np.where(np.isnan(scores), np.float32(0), scores)
    highest = filled.max(axis=1, initial=0.0, keepdims=True)
    scaled: Floats = np.clip(filled / np.where(highest > 0, highest, np.float32(1)), -1.0, 1.0)
    return scaled
