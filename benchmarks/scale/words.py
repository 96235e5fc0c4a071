"""The made-up shop's language: terms of topics, texts made of them, and the model that turns texts into vectors."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from kindred.core.candidates import Floats
from kindred.models.content import ContentConfig, ContentModel, unit_rows
from kindred.models.text import CATEGORY, TAG, TermConfig

GROUP, OWN, SHARED, TAGS, TAGS_OF_TOPIC = 10, 60, 2_000, 1_000, 20
"""Topics of a category, own words of a topic, words of all, tags, and those that a topic mostly bears."""
_SYLLABLES = [first + last for first in "bdfgklmnprstvz" for last in "aeiou"]
_STRIDE = 104_729
_LANGUAGE = 9
Terms: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Words:
    """Numbered terms: the own words of each topic, words that all share, then categories, topics and tags.

    `names`: each term as the content model knows it; `projection (t, d) float32`, terms of one topic near one another;
    `idf (t,) float32`.
    """

    topics: int
    names: tuple[str, ...]
    projection: Floats
    idf: Floats

    FIELDS: ClassVar[dict[str, int]] = {"title": 4, "categories": 2, "tags": 3, "description": 9}
    """How many terms of an item's row are of which field, in order."""

    @classmethod
    def draw(cls, topics: int, dimensions: int, sample: NDArray[np.int16], seed: int) -> Self:
        """Draw a language; how rare its terms are is counted on texts for items of topics `sample`."""
        rng = np.random.default_rng((seed, _LANGUAGE))
        groups = -(-topics // GROUP)
        names = spelled(topics * OWN + SHARED)
        names += [f"{CATEGORY}category {n}" for n in range(groups)] + [f"{CATEGORY}topic {n}" for n in range(topics)]
        names += [f"{TAG}tag {n}" for n in range(TAGS)]
        wide = rng.normal(size=(groups, dimensions))
        centres = wide[np.arange(topics) // GROUP] + rng.normal(size=(topics, dimensions))
        shared, tags = np.zeros((SHARED, dimensions)), np.zeros((TAGS, dimensions))
        around = np.concatenate([np.repeat(centres, OWN, axis=0), shared, wide, centres, tags])
        projection = unit_rows(around + rng.normal(size=around.shape))
        unweighted = cls(topics, tuple(names), projection, np.ones(len(names), np.float32))
        texts = unweighted.texts(sample, rng)
        found = np.bincount(np.unique(_numbered_rows(texts) * len(names) + texts) % len(names), minlength=len(names))
        return replace(unweighted, idf=(np.log((1 + len(texts)) / (1 + found)) + 1).astype(np.float32))

    def texts(self, topic: NDArray[np.int16], rng: np.random.Generator) -> Terms:
        """Return the terms (m, 18) int32 of items of topics (m,), frequent words more often than others."""
        n, mine = len(topic), topic.astype(np.int32)[:, None]
        words = self.topics * OWN
        own = mine * OWN + (OWN * rng.random((n, 8)) ** 2).astype(np.int32)
        shared = words + (SHARED * rng.random((n, 5)) ** 3).astype(np.int32)
        first = words + SHARED
        categories = [first + mine // GROUP, first + -(-self.topics // GROUP) + mine]
        usual = (mine * 7 + rng.integers(0, TAGS_OF_TOPIC, (n, 3))) % TAGS
        tags = np.where(rng.random((n, 3)) < 0.8, usual, rng.integers(0, TAGS, (n, 3))) + len(self.names) - TAGS
        parts = [own[:, :3], shared[:, :1], *categories, tags, own[:, 3:], shared[:, 1:]]
        return np.concatenate(parts, axis=1).astype(np.int32)

    def written(self, texts: Terms) -> Iterator[tuple[str, str, list[str], list[str]]]:
        """Yield title, description, categories and tags of rows of terms."""
        plain = np.array([name.removeprefix(CATEGORY).removeprefix(TAG) for name in self.names], dtype=object)
        ends = [*itertools.accumulate(self.FIELDS.values())]
        for row in plain[texts].tolist():
            title, categories, tags, description = (row[a:b] for a, b in zip([0, *ends], ends, strict=False))
            yield " ".join(title).capitalize(), " ".join(description), categories, [*dict.fromkeys(tags)]

    def vectors(self, texts: Terms) -> Floats:
        """Return what the content model makes of rows of terms (m, d) float32."""
        weights = np.empty(texts.shape, np.float32)
        start = 0
        for field, width in self.FIELDS.items():
            of = texts[:, start : start + width]
            before = np.tril(of[:, :, None] == of[:, None, :], -1).sum(axis=2)
            # The n-th of a word adds ln(n / (n - 1)), since a word that stands there n times counts 1 + ln(n).
            again = np.zeros(before.shape) if field == "tags" else np.log1p(1 / np.maximum(before, 1))
            weights[:, start : start + width] = getattr(TermConfig(), field) * np.where(before, again, 1)
            start += width
        weights *= self.idf[texts]
        indptr = np.arange(len(texts) + 1) * texts.shape[1]
        rows = csr_matrix((weights.ravel(), texts.ravel(), indptr), (len(texts), len(self.names)))
        return unit_rows(rows @ self.projection)

    def model(self, item_vectors: Floats) -> ContentModel:
        """Return the model that encodes further texts alike."""
        order = sorted(range(len(self.names)), key=self.names.__getitem__)
        names = tuple(self.names[row] for row in order)
        config = ContentConfig(dimensions=item_vectors.shape[1])
        return ContentModel(names, self.idf[order], self.projection[order], item_vectors, len(item_vectors), config)


def spelled(count: int) -> list[str]:
    """Return different words of three syllables."""
    size = len(_SYLLABLES)
    numbers = [number * _STRIDE % size**3 for number in range(count)]
    return ["".join(_SYLLABLES[n] for n in (n // size**2, n // size % size, n % size)) for n in numbers]


def _numbered_rows(texts: Terms) -> NDArray[np.int64]:
    return np.arange(len(texts), dtype=np.int64)[:, None]
