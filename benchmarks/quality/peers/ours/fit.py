"""Kindred's retrieval models, fitted as a training fits them and asked from histories as a server asks them."""

from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.quality.peers.contest import ScoreBlock, Settings, compete
from kindred.models.preference import Interactions, PreferenceConfig, preferences
from kindred.training.fit.inputs import FitInput
from kindred.training.fit.registry import FITTINGS, fit_retriever
from kindred.training.solo import histories


def popularity(train: csr_matrix, settings: Settings) -> ScoreBlock:
    """Score by the number of users."""
    counts = np.bincount(train.indices, minlength=train.shape[1])
    return lambda start, stop: np.broadcast_to(counts, (stop - start, len(counts)))


def retriever(name: str, train: csr_matrix, settings: Settings) -> ScoreBlock:
    """Fit a model with settings of its section, and of the section `preference` where they are named so."""
    own = {key: value for key, value in settings.items() if key != "preference"}
    rows = train.tocoo()
    columns = Interactions(
        rows.row.astype(np.int32),
        rows.col.astype(np.int32),
        np.full(rows.nnz, -1, np.int64),
        np.zeros(rows.nnz, np.int16),
        np.full(rows.nnz, np.nan, np.float32),
        ("purchase",),
    )
    preference = msgspec.convert(settings.get("preference", {}), PreferenceConfig)
    data = FitInput(preferences(columns, 0, preference), columns, *train.shape, as_of=0, threads=1)
    model = fit_retriever(name, data, msgspec.convert(own, FITTINGS[name].config))

    def block(start: int, stop: int) -> NDArray[np.floating]:
        scores = np.full((stop - start, train.shape[1]), -np.inf)
        for row, history in enumerate(histories(data, np.arange(start, stop))):
            items, values = model.spread(history)
            scores[row, items] = values
        return scores

    return block


if __name__ == "__main__":
    compete({"popularity": popularity, **{name: partial(retriever, name) for name in FITTINGS}})
