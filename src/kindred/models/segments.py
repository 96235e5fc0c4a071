"""Segments: how much more, or less, than all users those of one device, age or other trait like an item."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.config import Config, Count, MoreThanZero, unknown_key
from kindred.core.errors import BundleCorrupt, ConfigError
from kindred.core.profile import Profile, age_decade
from kindred.models.arrays import check_ordinals, load_array, load_json, load_offsets, save_array, save_json, values_at
from kindred.models.layers import Folder

DEVICE = "device"
AGE = "age"
ATTRIBUTE = "attributes."
TRAITS = (DEVICE, AGE, "gender", "country", "region", "language")
_LONGEST = 64
_MOST_TRAITS = 16
_ATTRIBUTE = re.compile(r"attributes\..{1,128}", re.DOTALL)


class SegmentsConfig(Config, frozen=True, kw_only=True):
    """Which traits make segments, and how much is kept of each.

    `by`: device (of the request), age (decades), gender, country, region, language (of the profile), or `attributes.`
    and the name of a profile's attribute; none = no segments. `users`: a segment of fewer users is left out. `most`:
    segments of one trait, the largest ones. `top`: items of a segment that are kept, and as many of those popular with
    everyone. `prior`: how many users of a segment an item must be expected to have for what they do to count half; with
    fewer the segment is believed to be like everyone. An unknown trait, one named twice and too many raise ConfigError.
    """

    by: tuple[str, ...] = (DEVICE, AGE, "gender")
    users: Count = 20
    most: Annotated[int, Meta(ge=1, le=10_000)] = 100
    top: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    prior: MoreThanZero = 50.0

    def __post_init__(self) -> None:
        """Check the names."""
        for number, name in enumerate(self.by):
            if name not in TRAITS and not _ATTRIBUTE.fullmatch(name):
                known = unknown_key(name, [*TRAITS, f"{ATTRIBUTE}NAME"])
                raise ConfigError(f"by: {name!r}: {known}")
            if name in self.by[:number]:
                raise ConfigError(f"by: {name!r} is named twice")
        if len(self.by) > _MOST_TRAITS:
            raise ConfigError(f"by: names {len(self.by)} traits, at most {_MOST_TRAITS} are kept apart")


def traits(by: Sequence[str], profile: Profile | None, device: str | None, now: int) -> list[str]:
    """Return the segments, as `trait=value`, of a user on a device at `now` (ms); what is not known makes none."""
    found = ((name, _value(name, profile, device, now)) for name in by)
    return [f"{name}={value}" for name, value in found if value]


def _value(name: str, profile: Profile | None, device: str | None, now: int) -> str | None:
    if name == DEVICE:
        return _text(device)
    if profile is None:
        return None
    if name == AGE:
        return age_decade(profile, now)
    if name.startswith(ATTRIBUTE):
        return _text(profile.attributes.get(name.removeprefix(ATTRIBUTE)))
    return _text(getattr(profile, name))


def _text(value: Any) -> str | None:
    """Return a value as a segment's name, in small letters; None for what has no name, such as a list."""
    if not isinstance(value, str | int):
        return None
    return str(value).strip().lower()[:_LONGEST] or None


class _Meta(msgspec.Struct):
    """What stands beside the arrays."""

    n_items: int
    names: list[str]
    config: SegmentsConfig


@dataclass(frozen=True, slots=True)
class SegmentsModel:
    """What segments like more or less than everyone, by item.

    `places`: the row of each segment, by its name `trait=value`; those of row r are `items[offsets[r]:offsets[r + 1]]`,
    ascending, with `excess`, by how much the lift exceeds 1. An item that is not listed has the lift 1.
    """

    places: Mapping[str, int]
    offsets: NDArray[np.int64]
    items: Ordinals
    excess: Floats
    n_items: int
    config: SegmentsConfig

    @classmethod
    def none(cls, n_items: int = 0, config: SegmentsConfig | None = None) -> Self:
        """Return a model without segments."""
        nothing = np.empty(0, np.int32), np.empty(0, np.float32)
        return cls({}, np.zeros(1, np.int64), *nothing, n_items, config or SegmentsConfig())

    def of(self, profile: Profile | None, device: str | None, now: int) -> tuple[str, ...]:
        """Return the segments that the model knows of a user on a device at `now` (ms)."""
        return tuple(name for name in traits(self.config.by, profile, device, now) if name in self.places)

    def listed(self, segments: Sequence[str]) -> Ordinals:
        """Return the items (n,) that any of these segments lists, ascending."""
        rows = [self._row(name)[0] for name in segments]
        return np.unique(np.concatenate(rows)) if rows else np.empty(0, np.int32)

    def lift(self, segment: str, items: Ordinals) -> Floats:
        """Return how many times as much as everyone a segment likes items (n,) float32."""
        return values_at(*self._row(segment), items) + np.float32(1)

    def lifts(self, segments: Sequence[str], items: Ordinals) -> Floats:
        """Return the product of the lifts (n,) float32 of items by several segments: 1 where none is known.

        Traits are taken for independent given the item, as naive Bayes does.
        """
        found = np.ones(len(items), np.float32)
        for name in segments:
            found *= self.lift(name, items)
        return found

    def _row(self, segment: str) -> tuple[Ordinals, Floats]:
        row = self.places[segment]
        part = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return self.items[part], self.excess[part]

    def save(self, folder: Path) -> None:
        """Write the arrays and names into `folder`."""
        save_json(folder, "segments", _Meta(self.n_items, list(self.places), self.config))
        for name in ("offsets", "items", "excess"):
            save_array(folder, name, getattr(self, name))

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the arrays read-only; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        meta = load_json(folder, "segments", _Meta)
        items = load_array(folder, "items", np.int32, (None,))
        excess = load_array(folder, "excess", np.float32, (len(items),))
        offsets = load_offsets(folder, "offsets", len(meta.names), len(items))
        check_ordinals(folder, "items", items, meta.n_items)
        places = {name: row for row, name in enumerate(meta.names)}
        if len(places) != len(meta.names):
            raise BundleCorrupt(f"segments.json in {folder} names a segment twice")
        return cls(places, offsets, items, excess, meta.n_items, meta.config)


def smoothed_lift(counts: NDArray[Any], expected: NDArray[Any], prior: float) -> NDArray[np.float64]:
    """Return `(count + prior) / (expected + prior)` (n,): 1 without evidence, the plain ratio with much.

    `counts (n,)`: users of a segment who like each item; `expected (n,)`: how many would, were they like everyone. The
    posterior mean of a Poisson rate under a gamma prior of mean 1 (DuMouchel 1999).
    """
    found: NDArray[np.float64] = (counts + prior) / (expected + prior)
    return found
