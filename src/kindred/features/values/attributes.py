"""The catalogue's side of features: attributes of items as columns."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Ordinals
from kindred.core.item import Item

VOCABULARY = 1_000
WORDS = 16


@dataclass(frozen=True, slots=True)
class Names:
    """What codes stand for: `categories` by code, `rarity (c,)` their inverse frequency, `tags` by bit."""

    categories: tuple[str, ...] = ()
    rarity: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    tags: tuple[str, ...] = ()

    def category(self, code: int) -> str | None:
        """Return a category by its code; None for none."""
        return self.categories[code] if code >= 0 else None


@dataclass(frozen=True, slots=True)
class ItemAttributes:
    """n items: `primary`, `secondary` int32 codes of categories, -1 = none; `tags (n, 16) uint64` bits, or None where
    nobody asks for them; `created` int64 ms, 0 = unknown; `price` float32, NaN = none; `popularity`, `quality` float32,
    what `popularity_score` and `quality_score` were when last computed for the whole catalogue, NaN = unknown;
    `content`, `collaborative` float32 (n, d), zeros where the models know nothing, or None.
    """

    names: Names
    primary: Ordinals
    secondary: Ordinals
    tags: NDArray[np.uint64] | None
    created: NDArray[np.int64]
    price: Floats
    popularity: Floats
    quality: Floats
    content: Floats | None = None
    collaborative: Floats | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.primary)

    def take(self, ordinals: NDArray[np.integer[Any]]) -> "ItemAttributes":
        """Return the rows at `ordinals (m,)`; those outside [0, n) have no attributes."""
        if not len(self):
            return replace(blank(len(ordinals)), names=self.names)
        outside = (ordinals < 0) | (ordinals >= len(self))
        if not outside.any():
            return self._taken(ordinals)
        taken, without = self._taken(np.where(outside, 0, ordinals)), blank(1)
        for name in ("primary", "secondary", "created", "price", "popularity", "quality"):
            getattr(taken, name)[outside] = getattr(without, name)[0]
        for rows in (taken.tags, taken.content, taken.collaborative):
            if rows is not None:
                rows[outside] = 0
        return taken

    def _taken(self, rows: NDArray[np.integer[Any]]) -> "ItemAttributes":
        return ItemAttributes(
            self.names,
            self.primary[rows],
            self.secondary[rows],
            None if self.tags is None else self.tags[rows],
            self.created[rows],
            self.price[rows],
            self.popularity[rows],
            self.quality[rows],
            None if self.content is None else self.content[rows],
            None if self.collaborative is None else self.collaborative[rows],
        )


def blank(size: int) -> ItemAttributes:
    """Return n items of which nothing is known."""
    return ItemAttributes(
        Names(),
        np.full(size, -1, np.int32),
        np.full(size, -1, np.int32),
        None,
        np.zeros(size, np.int64),
        np.full(size, np.nan, np.float32),
        np.full(size, np.nan, np.float32),
        np.full(size, np.nan, np.float32),
    )


def attributes_of(items: Sequence[Item | None], names: Names | None = None) -> ItemAttributes:
    """Return items as columns, None = not in the catalogue; `names` are made of these items unless given.

    Names compare without regard to case; `rarity` is the inverse document frequency ln((1 + N) / (1 + n)).
    """
    names = names or _names_of([item for item in items if item is not None])
    codes = {name.casefold(): code for code, name in enumerate(names.categories)}
    bits = {name.casefold(): bit for bit, name in enumerate(names.tags)}
    tagged = np.zeros((len(items), WORDS), np.uint64)
    made = replace(blank(len(items)), names=names, tags=tagged)
    for row, item in enumerate(items):
        if item is None:
            continue
        for column, name in zip((made.primary, made.secondary), item.categories, strict=False):
            column[row] = codes.get(name.casefold(), -1)
        for tag in item.tags:
            bit = bits.get(tag.casefold())
            if bit is not None:
                tagged[row, bit // 64] |= np.uint64(1 << bit % 64)
        made.created[row] = item.created or 0
        made.price[row] = np.nan if item.price is None else item.price
    return made


def _names_of(items: Sequence[Item]) -> Names:
    """Number the categories of items and their commonest tags."""
    spelled: dict[str, str] = {}
    categories: Counter[str] = Counter()
    tags: Counter[str] = Counter()
    for item in items:
        for name in (*item.categories, *item.tags):
            spelled.setdefault(name.casefold(), name)
        categories.update({name.casefold() for name in item.categories})
        tags.update({name.casefold() for name in item.tags})
    ordered = sorted(categories)
    counts = np.array([categories[key] for key in ordered], np.float64)
    common = sorted(tags, key=lambda key: (-tags[key], key))[:VOCABULARY]
    return Names(
        tuple(spelled[key] for key in ordered),
        np.log((1 + len(items)) / (1 + counts)),
        tuple(spelled[key] for key in common),
    )
