"""What moved candidates to where they stand: the parts of the blend's score, and the features of the ranker."""

from collections.abc import Sequence

import numpy as np

from kindred.core.candidates import Candidates, Floats
from kindred.core.trace import ItemTrace
from kindred.models.ranker import ORDER, RankerModel
from kindred.recommend.world import World

MOST = 8
"""How many features are told of each item."""
_SHARE, _FEATURE = "share.", "ranker."


def moved(world: World, candidates: Candidates, sources: Sequence[Sequence[str]] = ()) -> list[ItemTrace]:
    """Return what moved each candidate of a request that was traced, in their order.

    `sources`: those that proposed each. The features' parts are exact for trees (TreeSHAP, Lundberg et al. 2020).
    """
    told = [
        ItemTrace(item=item, score=rounded(score), sources=list(sources[row]) if sources else [])
        for row, (item, score) in enumerate(
            zip(candidates.items.tolist(), candidates.column("score").tolist(), strict=True)
        )
    ]
    for name, column in candidates.columns.items():
        if name.startswith(_SHARE):
            for one, value in zip(told, column.tolist(), strict=True):
                if value and value == value:
                    one.parts[name.removeprefix(_SHARE)] = round(value, 6)
    model = world.models.ranker
    if model is not None and len(told) and "ranker" in candidates.columns:
        _tell_features(model, candidates, told)
    return told


def rounded(score: float) -> float | None:
    """Return a score for people to read, None for none."""
    return round(score, 6) if score == score else None


def _tell_features(model: RankerModel, candidates: Candidates, told: Sequence[ItemTrace]) -> None:
    names = model.schema.columns
    columns = np.stack([candidates.column(f"{_FEATURE}{name}") for name in names], axis=1)
    shares = _shares(model, columns)
    for one, row, values in zip(told, shares, columns, strict=True):
        most = [place for place in np.argsort(-np.abs(row), kind="stable")[:MOST].tolist() if row[place]]
        one.features = {names[place]: round(float(row[place]), 6) for place in most}
        known = [place for place in most if np.isfinite(values[place])]
        one.values = {names[place]: round(float(values[place]), 6) for place in known}


def _shares(model: RankerModel, columns: Floats) -> Floats:
    """Return what each column adds to each row (n, f): of the head that orders, else of the events by their worth."""
    found = model.shares(columns)
    if ORDER in model.mix:
        return found[ORDER][:, :-1]
    worth = model.config.value
    total: Floats = np.sum([np.float32(worth[name]) * found[name][:, :-1] for name in model.events], axis=0)
    return total
