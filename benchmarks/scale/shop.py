"""A made-up shop of any size: topics that cluster what people do and what texts say, and popularity by Zipf's law.

Everything follows from the configuration. Columns of a few bytes an item are drawn at once, all else part by part, each
part from a seed of its own, so that memory stays bounded and a part can be made without the ones before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.scale.words import GROUP, Words
from kindred.core.candidates import Floats, Ordinals
from kindred.core.config import Config, Count, CountOrZero
from kindred.core.item import Item

PART = 50_000
DAY = 86_400_000
COLOURS = ("black", "blue", "green", "grey", "red", "white", "yellow")
_COLUMNS, _FACTORS, _TEXT, _FACTS = range(4)


class ShopConfig(Config, frozen=True, kw_only=True):
    """How large the shop is.

    `items` in the catalogue; `users` with a history; `factors`, `content`: dimensions of what behaviour and texts give;
    `topics`: clusters of items, ten of them to a category; `uses`: mean number of users of an item; `learners`: users
    that a ranker is learned from, 0 leaves it out.
    """

    items: Count = 1_000_000
    users: Count = 4_000
    factors: Count = 64
    content: Count = 128
    topics: Count = 400
    uses: Count = 10
    learners: CountOrZero = 400
    seed: int = 42


@dataclass(frozen=True, slots=True)
class Shop:
    """The columns (n,) of all items, and the vectors that parts are drawn around.

    `topic int16`; `creator int32`; `users int32`: how many used the item, none of about a third; `age float32`: days
    since it was created. `centres (topics, factors)`, `creators (c, factors)` float32.
    """

    config: ShopConfig
    words: Words
    topic: NDArray[np.int16]
    creator: Ordinals
    users: Ordinals
    age: Floats
    centres: Floats
    creators: Floats

    @classmethod
    def draw(cls, config: ShopConfig) -> Self:
        """Draw the columns."""
        n, topics = config.items, min(config.topics, max(8, config.items // 200))
        rng = np.random.default_rng((config.seed, _COLUMNS))
        share = 1 / np.arange(1, topics + 1) ** 0.7
        topic = rng.choice(topics, n, p=share / share.sum()).astype(np.int16)
        each = max(2, n // 50 // topics)
        place = (each * rng.random(n, np.float32) ** 2).astype(np.int32)
        age = rng.exponential(400.0, n).astype(np.float32)
        expected = config.uses * n / (1 + rng.permutation(n)) / np.log(n)
        users = (expected * -np.expm1(-age / 30)).astype(np.int32)
        words = Words.draw(topics, config.content, topic[:PART], config.seed)
        category = rng.normal(size=(-(-topics // GROUP), config.factors))
        centres = unit(category[np.arange(topics) // GROUP] + rng.normal(size=(topics, config.factors)))
        creators = unit(rng.normal(size=(topics * each, config.factors)))
        return cls(config, words, topic, topic * np.int32(each) + place, users, age, centres, creators)

    def parts(self) -> Iterator["Part"]:
        """Go through the items in parts."""
        for number in range(-(-self.config.items // PART)):
            yield self.part(number)

    def part(self, number: int) -> "Part":
        """Return a part."""
        return Part(self, number, slice(number * PART, min((number + 1) * PART, self.config.items)))

    def popular(self, most: int) -> Ordinals:
        """Return the ordinals (m,) of the `most` most used items, in order of topic, then creator, then use."""
        used = np.flatnonzero(self.users)
        if len(used) > most:
            used = used[np.argpartition(self.users[used], len(used) - most)[len(used) - most :]]
        return used[np.lexsort((-self.users[used], self.creator[used]))].astype(np.int32)


@dataclass(frozen=True, slots=True)
class Part:
    """Items `rows` of a shop."""

    shop: Shop
    number: int
    rows: slice

    @property
    def size(self) -> int:
        """Return how many items there are."""
        return self.rows.stop - self.rows.start

    def factors(self) -> Floats:
        """Return what behaviour says (m, factors) float32: longer for the much used, zero for the unused."""
        shop, users = self.shop, self.shop.users[self.rows]
        own = unit(self._rng(_FACTORS).normal(size=(self.size, shop.config.factors)))
        found = shop.centres[shop.topic[self.rows]] + 0.6 * shop.creators[shop.creator[self.rows]] + 0.8 * own
        return unit(found) * (0.1 * np.log1p(users))[:, None].astype(np.float32)

    def texts(self) -> "NDArray[np.int32]":
        """Return the terms (m, TERMS) int32 of each item's text, in the order of `Words.FIELDS`."""
        return self.shop.words.texts(self.shop.topic[self.rows], self._rng(_TEXT))

    def vectors(self) -> Floats:
        """Return what texts say (m, content) float32, of length 1: what the content model makes of them."""
        return self.shop.words.vectors(self.texts())

    def ratings(self) -> Floats:
        """Return average ratings (m,) float32, NaN for the unused."""
        mean = 3.6 + 0.6 * self._rng(_FACTS).normal(size=self.size)
        return np.where(self.shop.users[self.rows] > 0, np.clip(mean, 1, 5), np.nan).astype(np.float32)

    def items(self, now: int) -> list[Item]:
        """Return the catalogue's rows at a time (ms)."""
        shop, rng = self.shop, self._rng(_FACTS)
        ratings = np.clip(3.6 + 0.6 * rng.normal(size=self.size), 1, 5).round(2).tolist()
        prices = np.exp(3 + rng.normal(size=self.size)).round(2).tolist()
        created = (now - (shop.age[self.rows].astype(np.float64) * DAY).astype(np.int64)).tolist()
        stock, chance = rng.integers(0, 50, self.size).tolist(), rng.random((self.size, 3)).tolist()
        colours, weights = rng.integers(0, len(COLOURS), self.size).tolist(), rng.integers(1, 5_000, self.size).tolist()
        creators, texts = shop.creator[self.rows].tolist(), shop.words.written(self.texts())
        return [
            Item(
                item_id=item_id(self.rows.start + row),
                title=title,
                description=description,
                categories=categories,
                tags=tags,
                creator=f"creator-{creators[row]}",
                rating=ratings[row],
                price=prices[row],
                stock=stock[row] if chance[row][0] < 0.3 else None,
                regions=["US"] if chance[row][1] < 0.01 else [],
                active=chance[row][2] >= 0.01,
                created=created[row],
                attributes={"colour": COLOURS[colours[row]], "weight": weights[row]},
            )
            for row, (title, description, categories, tags) in enumerate(texts)
        ]

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.shop.config.seed, stream, self.number))


def item_id(ordinal: int) -> str:
    """Return the id of the item at an ordinal."""
    return f"item-{ordinal:08d}"


def unit(rows: NDArray[np.floating]) -> Floats:
    """Return rows (m, d) float32 of length 1."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
