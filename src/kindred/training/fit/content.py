"""Fit the content model with scikit-learn: TF-IDF, then a truncated SVD."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

from kindred.core.candidates import Floats
from kindred.core.errors import InvalidInput
from kindred.models.content import ContentConfig, ContentModel, unit_rows
from kindred.models.text import CATEGORY, TAG, ItemText, weighted_terms


def fit_content(texts: Sequence[ItemText], config: ContentConfig | None = None) -> ContentModel:
    """Learn vocabulary, idf and projection; `texts[i]` is ordinal i (empty for a tombstone).

    Smooth idf over items with text (Salton and Buckley 1988); randomized SVD (Halko, Martinsson, Tropp 2011), the
    field's latent semantic analysis (Deerwester et al. 1990). A catalogue without a shared term gives a model whose
    vectors are all zero. Raises InvalidInput for a setting that cannot be used.
    """
    config = config or ContentConfig()
    if config.dimensions < 1 or config.max_terms < 1:
        raise InvalidInput.at("/content", "needs at least 1 dimension and 1 term")
    documents = [weighted_terms(text, config.terms) for text in texts]
    described = sum(1 for terms in documents if terms)
    if not described:
        return _nothing(len(texts), config)
    vectorizer = DictVectorizer(dtype=np.float64, sparse=True, sort=True)
    frequencies = csr_matrix(vectorizer.fit_transform(documents))
    filled = np.diff(frequencies.indptr) > 0
    names = np.array(vectorizer.get_feature_names_out(), dtype=object)
    kept = _kept(frequencies, names, described, config)
    if not len(kept):
        return _nothing(len(texts), config)
    frequencies, vocabulary = frequencies[:, kept], tuple(str(name) for name in names[kept])
    tfidf = TfidfTransformer(norm=None).fit(frequencies[filled])
    weighted = normalize(csr_matrix(tfidf.transform(frequencies)))
    projection = _projection(weighted, config)
    vectors = unit_rows(np.asarray(weighted @ projection.astype(np.float64)))
    return ContentModel(vocabulary, tfidf.idf_.astype(np.float32), projection, vectors, described, config)


def _kept(
    frequencies: csr_matrix, names: NDArray[np.object_], described: int, config: ContentConfig
) -> NDArray[np.intp]:
    """Return the columns of terms that are neither too rare nor everywhere, the most frequent up to `max_terms`."""
    items = frequencies.getnnz(axis=0)
    exact = np.array([name.startswith((CATEGORY, TAG)) for name in names], np.bool_)
    # In a handful of items everything is a large share; there the share says nothing.
    most = max(config.max_share * described, float(config.min_items))
    columns = np.flatnonzero((items >= config.min_items) & (exact | (items <= most)))
    best = columns[np.argsort(-items[columns], kind="stable")[: config.max_terms]]
    return np.sort(best)


def _projection(weighted: csr_matrix, config: ContentConfig) -> Floats:
    """Return the (t, d) float32 projection; where there are no more terms than dimensions, the terms themselves."""
    items, terms = weighted.shape
    if terms <= config.dimensions:
        return np.eye(terms, dtype=np.float32)
    svd = TruncatedSVD(n_components=min(config.dimensions, items), random_state=config.seed).fit(weighted)
    return np.ascontiguousarray(svd.components_.T, dtype=np.float32)


def _nothing(n_items: int, config: ContentConfig) -> ContentModel:
    """Return a model that knows no term."""
    empty = np.empty((0, config.dimensions), np.float32)
    vectors = np.zeros((n_items, config.dimensions), np.float32)
    return ContentModel((), np.empty(0, np.float32), empty, vectors, 0, config)
