"""Content: TF-IDF over an item's text, projected to dense vectors; encodes new items at any time."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask, Ordinals
from kindred.core.config import Config, Count, CountOrZero
from kindred.core.errors import BundleCorrupt
from kindred.models.arrays import load_array, load_json, save_array, save_json, top_k
from kindred.models.layers import Folder
from kindred.models.text import (
    CATEGORY,
    TAG,
    ItemText,
    TermConfig,
    fold,
    weighted_terms,
    words,
    written_words,
)
from kindred.models.vectors import score_vectors

AttributeKind: TypeAlias = Literal["category", "tag", "title"]


class ContentConfig(Config, frozen=True, kw_only=True):
    """How text becomes a vector.

    `dimensions`: length d of a vector (fewer where the catalogue has fewer terms or items). `terms`: weights of the
    fields. `min_items`: a term of fewer items is left out. `max_share`: so is a word in a larger share of items (a
    category or tag stays). `max_terms`: the most frequent terms kept. `title_share`: a title word in more items than
    this share is too common to be given as a reason. `seed`: of the projection. `listed`: of how many items, those with
    the most users, what is like them is found at the training; of the others it is searched for when asked.
    `list_length`: how many items like one are looked at.
    """

    dimensions: int = 64
    terms: TermConfig = TermConfig()
    min_items: int = 2
    max_share: float = 0.5
    max_terms: int = 30_000
    title_share: float = 0.01
    seed: int = 42
    listed: CountOrZero = 1_000_000
    list_length: Count = 100


class _Meta(msgspec.Struct):
    """What stands beside the arrays."""

    n_items: int
    dimensions: int
    described: int
    config: ContentConfig


@dataclass(frozen=True, slots=True)
class SharedAttribute:
    """Something two items have in common, as the first item writes it; `weight`: product of their TF-IDF values."""

    kind: AttributeKind
    value: str
    weight: float


@dataclass(frozen=True, slots=True)
class ContentModel:
    """Dense text vectors of every ordinal and what encodes another text alike.

    `vocabulary`: t terms, sorted; `idf (t,) float32`; `projection (t, d) float32`; `item_vectors (n, d) float32`, once
    saved float16, of length 1, or zero for an item without a known term; `described`: items with any text, which the
    idf counts.
    """

    vocabulary: tuple[str, ...]
    idf: Floats
    projection: Floats
    item_vectors: Floats
    described: int
    config: ContentConfig
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the vocabulary."""
        object.__setattr__(self, "_index", {term: row for row, term in enumerate(self.vocabulary)})

    @property
    def n_items(self) -> int:
        """Return how many catalogue ordinals the arrays cover."""
        return len(self.item_vectors)

    @property
    def dimensions(self) -> int:
        """Return d."""
        return int(self.item_vectors.shape[1])

    def encode(self, text: ItemText) -> Floats:
        """Return the vector (d,) float32 of a text, of length 1, or zero when no term is known."""
        rows, frequencies = [], []
        for term, frequency in weighted_terms(text, self.config.terms).items():
            if (row := self._index.get(term)) is not None:
                rows.append(row)
                frequencies.append(frequency)
        if not rows:
            return np.zeros(self.dimensions, np.float32)
        index = np.array(rows)
        vector = (np.array(frequencies) * self.idf[index]) @ self.projection[index].astype(np.float64)
        return np.asarray(unit_rows(vector[None, :])[0], np.float32)

    def vector(self, item: int) -> Floats:
        """Return an ordinal's vector (d,) float32; zero for an item newer than the model."""
        if not 0 <= item < self.n_items:
            return np.zeros(self.dimensions, np.float32)
        return np.asarray(self.item_vectors[item], np.float32)

    def score_candidates(self, vector: Floats, candidates: Ordinals) -> Floats:
        """Return the cosine of each candidate with a unit vector, (c,) float32; 0 for items newer than the model."""
        return score_vectors(self.item_vectors, vector, candidates)

    def similar(self, query: int | Floats, k: int, allowed: Mask | None = None) -> tuple[Ordinals, Floats]:
        """Return the k ordinals most like an ordinal (itself left out) or a vector of length 1, and their cosines.

        `allowed (n,) bool` restricts them; only positive cosines count; an exact scan, best first, ties by ordinal.
        """
        vector = self.vector(int(query)) if isinstance(query, (int, np.integer)) else query
        scores = self.item_vectors @ vector
        if isinstance(query, (int, np.integer)) and 0 <= query < self.n_items:
            scores[int(query)] = 0.0
        if allowed is not None:
            scores = np.where(allowed, scores, np.float32(0))
        best = top_k(scores, k)
        return best.astype(np.int32), scores[best]

    def shared_attributes(self, a: ItemText, b: ItemText, k: int = 3) -> list[SharedAttribute]:
        """Return the k categories, tags and title words that both texts bear, the weightiest first.

        The weight is the product of both TF-IDF values; a term the model does not know counts as the rarest; title
        words in more than `title_share` of the items are no reason.
        """
        mine, theirs = (_terms(text, self.config.terms) for text in (a, b))
        other_title = set(words(b.title))
        found: dict[str, SharedAttribute] = {}
        for kind, term, written in _attributes(a):
            shared = term in other_title if kind == "title" else term in theirs
            if shared and term in mine and term in theirs and not (kind == "title" and self._common(term)):
                weight = mine[term] * theirs[term] * self._idf(term) ** 2
                found.setdefault(term, SharedAttribute(kind, written, weight))
        return sorted(found.values(), key=lambda one: (-one.weight, one.value))[:k]

    def _idf(self, term: str) -> float:
        """Return a term's idf, that of a term in one item where it is unknown."""
        row = self._index.get(term)
        return float(self.idf[row]) if row is not None else math.log((1 + self.described) / 2) + 1.0

    def _common(self, term: str) -> bool:
        """Return whether too many items bear a title word for it to be a reason."""
        row = self._index.get(term)
        if row is None:
            # Left out of the vocabulary for being rare, or for being everywhere: only the projection could tell.
            return True
        items = (1 + self.described) / math.exp(float(self.idf[row]) - 1.0) - 1
        return items > max(self.config.title_share * self.described, 3.0) + 0.5

    def save(self, folder: Path) -> None:
        """Write the arrays and the vocabulary into `folder`; vectors in half precision, cosines to three digits."""
        self.save_meta(folder, self.n_items)
        save_json(folder, "vocabulary", self.vocabulary)
        for name in ("idf", "projection"):
            save_array(folder, name, getattr(self, name))
        save_array(folder, "item_vectors", self.item_vectors.astype(np.float16), room=True)

    def save_meta(self, folder: Path, n_items: int) -> None:
        """Write the small facts into `folder`, for arrays over `n_items` ordinals."""
        save_json(folder, "content", _Meta(n_items, self.dimensions, self.described, self.config))

    @classmethod
    def load(cls, folder: Folder) -> Self:
        """Map the arrays read-only; raise BundleCorrupt for a missing, cut or mis-shaped file."""
        meta = load_json(folder, "content", _Meta)
        vocabulary = tuple(load_json(folder, "vocabulary", list[str]))
        if any(a >= b for a, b in itertools.pairwise(vocabulary)):
            raise BundleCorrupt(f"vocabulary.json in {folder} is not sorted")
        terms = len(vocabulary)
        idf = load_array(folder, "idf", np.float32, (terms,))
        projection = load_array(folder, "projection", np.float32, (terms, meta.dimensions))
        vectors = load_array(folder, "item_vectors", np.float16, (meta.n_items, meta.dimensions))
        return cls(vocabulary, idf, projection, vectors, meta.described, meta.config)


def unit_rows(vectors: NDArray[Any]) -> Floats:
    """Scale rows (n, d) to length 1, float32; a row of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 1e-12)
    return np.asarray(scaled, np.float32)


@lru_cache(maxsize=2_048)
def _terms(text: ItemText, config: TermConfig) -> Mapping[str, float]:
    """Return a text's terms, kept since one item is compared with many; some 10 MiB at most."""
    return weighted_terms(text, config)


def _attributes(text: ItemText) -> list[tuple[AttributeKind, str, str]]:
    """Return what can be given as a reason: kind, term, and how the text writes it."""
    found: list[tuple[AttributeKind, str, str]] = []
    found += [("category", CATEGORY + fold(value), value) for value in text.categories if fold(value)]
    found += [("tag", TAG + fold(value), value) for value in text.tags if fold(value)]
    found += [("title", word.casefold(), word) for word in written_words(text.title) if not word.isdecimal()]
    return found
