"""Blend: how the scores of several models become one, with each model's share."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from kindred.core.candidates import Floats
from kindred.core.config import Config
from kindred.core.errors import ConfigError
from kindred.models.arrays import load_json, save_json
from kindred.models.layers import Folder
from kindred.models.retrieval import RETRIEVERS

FAMILIES = ("collaborative", "content", "popularity", "demographic")
SEGMENT = "segment"
GENERAL = {
    "content": "content",
    "popular": "popularity",
    "trending": "popularity",
    "country": "demographic",
    SEGMENT: "demographic",
}
"""Scores besides those of retrieval models, and their families; all retrieval models are `collaborative`."""
WEIGHTABLE = (*FAMILIES, *RETRIEVERS, *(name for name in GENERAL if name not in FAMILIES))
"""What a table of weights may name: families, and models by themselves."""


class BlendConfig(Config, frozen=True, kw_only=True):
    """Weights by family of models, or by model, for users and items with much, little or no evidence.

    Those of one table count relative to one another, of what the bundle holds.
    `standard`: users and items with evidence, unless training learned better ones. `cold_user`: users without;
    `chosen_user`: those of them whose profile names categories or tags they prefer.
    `cold_item`: items without. `cold_item_scale`: what those weigh beside the others; the best match by content is a
    weaker claim than the best of what people chose, and at 1 unknown items crowd out known ones. `shares`: by model,
    how much of its family's weight it takes beside the others that the bundle holds, 1 where it is not named. `learn`:
    whether training replaces `standard` by weights that it finds on held-back data.
    """

    standard: dict[str, float] = msgspec.field(
        default_factory=lambda: {"collaborative": 0.7, "content": 0.2, "popularity": 0.1}
    )
    cold_user: dict[str, float] = msgspec.field(
        default_factory=lambda: {"popular": 0.6, "country": 0.3, "collaborative": 0.1, "segment": 1.5}
    )
    chosen_user: dict[str, float] = msgspec.field(
        default_factory=lambda: {"popular": 0.4, "content": 0.4, "demographic": 0.2}
    )
    cold_item: dict[str, float] = msgspec.field(
        default_factory=lambda: {"content": 0.7, "popularity": 0.2, "collaborative": 0.1}
    )
    cold_item_scale: float = 0.4
    shares: dict[str, float] = msgspec.field(default_factory=lambda: {"popular": 0.9, "trending": 0.1})
    learn: bool = True

    def __post_init__(self) -> None:
        """Raise ConfigError for a weight that is no number."""
        for table in ("standard", "cold_user", "chosen_user", "cold_item", "shares"):
            for name, weight in getattr(self, table).items():
                if not math.isfinite(weight):
                    raise ConfigError(f"{table}.{name} must be a number, is {weight}")


class _Stored(msgspec.Struct):
    """What stands in the file."""

    weights: dict[str, float]
    learned: bool
    config: BlendConfig


@dataclass(frozen=True, slots=True)
class BlendModel:
    """Weights by model for users and items with evidence; they sum to 1. A name that a bundle lacks counts nothing."""

    weights: Mapping[str, float]
    learned: bool
    config: BlendConfig

    @classmethod
    def from_config(cls, config: BlendConfig, names: Sequence[str]) -> Self:
        """Split the configured families among the models `names`."""
        return cls(split_families(config.standard, config, names), False, config)

    def save(self, folder: Path) -> None:
        """Write the weights into `folder`."""
        save_json(folder, "blend", _Stored(dict(self.weights), self.learned, self.config))

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Read the weights; raise BundleCorrupt when they are missing."""
        stored = load_json(folder, "blend", _Stored)
        return cls(stored.weights, stored.learned, stored.config)


def split_families(weights: Mapping[str, float], config: BlendConfig, names: Sequence[str]) -> dict[str, float]:
    """Return weights of the models `names` that sum to 1, from weights by family or by model; all 0 where none fits.

    A family's weight is split among those of its models that are there, by `config.shares`.
    """
    shares = {name: max(config.shares.get(name, 1.0), 0.0) for name in names}
    totals = {family: sum(shares[name] for name in names if family_of(name) == family) for family in FAMILIES}
    raw = {}
    for name in names:
        family = family_of(name)
        part = shares[name] / totals[family] if totals[family] else 0.0
        own = 0.0 if name in FAMILIES else max(weights.get(name, 0.0), 0.0)
        raw[name] = own + part * max(weights.get(family, 0.0), 0.0)
    total = sum(raw.values()) or 1.0
    return {name: weight / total for name, weight in raw.items()}


def blended(retrievers: Iterable[str], segments: bool = False) -> tuple[str, ...]:
    """Return the names of all that is blended in a bundle with these retrieval models, and with segments or without."""
    return (*retrievers, *(name for name in GENERAL if segments or name != SEGMENT))


def family_of(name: str) -> str:
    """Return the family of a model."""
    return GENERAL.get(name, "collaborative")


def normalised(scores: Floats) -> Floats:
    """Scale each row of scores (m, n) float32 so that its highest is 1; what is missing counts 0, negatives stay.

    Models score on scales of their own; relative to the best of the same request they can be added.
    """
    filled = np.where(np.isnan(scores), np.float32(0), scores)
    highest = filled.max(axis=1, initial=0.0, keepdims=True)
    scaled: Floats = np.clip(filled / np.where(highest > 0, highest, np.float32(1)), -1.0, 1.0)
    return scaled
