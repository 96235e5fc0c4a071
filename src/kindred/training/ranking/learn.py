"""Learn the ranker from examples: trees, curves of chances, how both are mixed, and whether it beats the blend."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kindred.core.candidates import Floats, Mask
from kindred.core.errors import ConfigError
from kindred.core.extras import missing_extra
from kindred.evaluation.intervals import paired_difference
from kindred.models.ranker import (
    ORDER,
    Curve,
    Head,
    Heads,
    RankerConfig,
    RankerModel,
    RankerReport,
    Reliability,
    centred,
    worth,
)
from kindred.models.trees import TreeHeads, Trees, xgboost
from kindred.training.ranking.examples import RankingExamples

DEPTH = 10
_BINS = 10
_PAIRS = 10
_DISCOUNTS = 1.0 / np.log2(np.arange(2, DEPTH + 2))
_IDEAL = np.concatenate(([0.0], np.cumsum(_DISCOUNTS)))
MIXES: Mapping[str, dict[str, float]] = {
    "order": {"order": 1.0},
    "value": {"value": 1.0},
    "both": {"order": 0.5, "value": 0.5},
    "order and blend": {"order": 0.5, "blend": 0.5},
    "value and blend": {"value": 0.5, "blend": 0.5},
    "all": {"order": 1 / 3, "value": 1 / 3, "blend": 1 / 3},
}
"""What may order candidates: parts of the order trees, of the value function, of the blend."""


def learn_ranker(examples: RankingExamples, config: RankerConfig, seed: int, threads: int) -> RankerModel:
    """Return the ranker and, in its report, what it would have done for users that did not teach it.

    Users are cut into folds; heads learned on the others give each fold its margins. From these the curves are fitted
    and the mix is chosen, again without the fold that is judged. The heads that are kept have seen everyone.
    """
    folds = _folds(examples, config.folds, seed)
    margins = _unseen_margins(examples, folds, config, seed, threads)
    names = examples.events
    curves = {name: fit_curve(margins[name], examples.labels[:, place]) for place, name in enumerate(names)}
    chances = _unseen_chances(examples, margins, folds)
    parts = _parts(examples, margins[ORDER], worth(chances, config.value))
    scored = {name: ndcg_of(examples, mixed(parts, mix)) for name, mix in MIXES.items()}
    judged, blend = _judged(scored, folds), ndcg_of(examples, examples.blend)
    found = paired_difference(judged, blend, users=examples.users)
    best = max(scored, key=lambda name: float(scored[name].mean()))
    everyone = np.ones(len(examples.users), np.bool_)
    heads = _heads(examples, everyone, config, seed, threads)
    report = RankerReport(
        users=len(np.unique(examples.users)),
        ndcg=round(float(judged.mean()), 6),
        blend_ndcg=round(float(blend.mean()), 6),
        difference=(round(found.mean, 6), round(found.low, 6), round(found.high, 6)),
        candidates={name: round(float(values.mean()), 6) for name, values in scored.items()},
        reliability={name: reliability(chances[name], examples.labels[:, n]) for n, name in enumerate(names)},
        importance=_importance(heads[ORDER], examples),
    )
    return RankerModel(examples.schema, names, heads, curves, MIXES[best], config, report)


def ndcg_of(examples: RankingExamples, scores: Floats) -> NDArray[np.float64]:
    """Return each request's NDCG@10 (q,) when its candidates are ordered by `scores (n,)`, ties by place."""
    order = np.lexsort((-scores, examples.requests))
    starts = np.searchsorted(examples.requests, np.arange(len(examples.users)))
    place = np.arange(len(order)) - starts[examples.requests]
    top = place < DEPTH
    gained = np.where(examples.relevant[order][top], _DISCOUNTS[np.minimum(place, DEPTH - 1)[top]], 0.0)
    found = np.bincount(examples.requests[top], gained, len(examples.users))
    return np.asarray(found / _IDEAL[np.clip(examples.wanted, 1, DEPTH)], np.float64)


def mixed(parts: Mapping[str, Floats], mix: Mapping[str, float]) -> Floats:
    """Return the weighted sum (n,) of parts that are centred within their requests."""
    return np.asarray(sum(weight * parts[name] for name, weight in mix.items()), np.float32)


def fit_curve(margins: Floats, happened: Mask) -> Curve:
    """Return the rising curve nearest to what happened (isotonic regression; Zadrozny and Elkan 2002)."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(margins, happened)
    return Curve(fitted.X_thresholds_.astype(np.float32), fitted.y_thresholds_.astype(np.float32))


def reliability(chances: Floats, happened: Mask) -> Reliability:
    """Compare chances (n,) with what happened (n,) in bins of equally many examples."""
    bins = np.array_split(np.argsort(chances, kind="stable"), _BINS)
    said = [float(chances[one].mean()) for one in bins if len(one)]
    was = [float(happened[one].mean()) for one in bins if len(one)]
    sizes = [len(one) for one in bins if len(one)]
    error = sum(size * abs(a - b) for size, a, b in zip(sizes, said, was, strict=True)) / max(len(chances), 1)
    predicted, happened_there = (tuple(round(value, 6) for value in values) for values in (said, was))
    return Reliability(predicted, happened_there, len(chances), round(error, 6))


def _folds(examples: RankingExamples, number: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each request (q,); all requests of a user are in one."""
    users, places = np.unique(examples.users, return_inverse=True)
    return np.random.default_rng(seed).permutation(len(users))[places] % number


def _unseen_margins(
    examples: RankingExamples, folds: NDArray[np.int64], config: RankerConfig, seed: int, threads: int
) -> dict[str, Floats]:
    """Return each head's margins (n,) from trees that never saw the request's user."""
    found = {head: np.zeros(len(examples), np.float32) for head in (ORDER, *examples.events)}
    for fold in range(config.folds):
        rows = np.flatnonzero(folds[examples.requests] == fold)
        for name, head in _heads(examples, folds != fold, config, seed, threads).items():
            found[name][rows] = head.margins(examples.columns[rows])
    return found


def _heads(examples: RankingExamples, requests: Mask, config: RankerConfig, seed: int, threads: int) -> Heads:
    """Learn all heads on some requests (q,); raise ConfigError where that needs an extra that is not installed."""
    if config.kind == "trees":
        names = (ORDER, *examples.events)
        return TreeHeads({name: _grow(examples, name, requests, config, seed, threads) for name in names})
    needed = missing_extra("neural")
    if needed is not None:
        raise ConfigError(f"ranker.kind is 'neural', which needs: {needed}")
    from kindred.training.neural.lists import Lists
    from kindred.training.neural.ranker import fit_network

    rows = _sampled(examples, requests & examples.fruitful(), config.negatives, seed)
    relevant = examples.relevant[rows]
    lists = Lists(examples.columns[rows], examples.labels[rows], relevant, examples.requests[rows])
    return fit_network(lists, examples.events, config.network, threads)


def _grow(examples: RankingExamples, head: str, requests: Mask, config: RankerConfig, seed: int, threads: int) -> Trees:
    """Grow the trees of a head on some requests (q,): LambdaMART on worth (Burges 2010), or a chance's log-odds."""
    # A list without a hit has no order to learn from, but says as much of chances as any other.
    teaches = requests & examples.fruitful() if head == ORDER else requests
    rows = _sampled(examples, teaches, config.negatives, seed)
    settings: dict[str, Any] = {
        "tree_method": "hist",
        "nthread": threads or 1,
        "seed": seed,
        "max_depth": config.depth,
        "eta": config.learning_rate,
        "reg_lambda": config.penalty,
        "subsample": config.rows,
        "colsample_bynode": config.columns,
    }
    labels, weights, trees = examples.labels[rows], examples.weights[rows], config.trees
    if head == ORDER:
        worths = np.array([config.value[name] for name in examples.events], np.float32)
        settings |= {
            "objective": "rank:ndcg",
            "lambdarank_pair_method": "topk",
            "lambdarank_num_pair_per_sample": _PAIRS,
            "ndcg_exp_gain": False,
        }
        data = xgboost().QuantileDMatrix(
            examples.columns[rows],
            (labels * worths).max(axis=1) * weights,
            qid=examples.requests[rows],
            nthread=threads or 1,
        )
    else:
        settings |= {"objective": "binary:logistic", "min_child_weight": config.min_weight}
        # A request waits for all heads, however many event types there are.
        trees = -(-trees // len(examples.events))
        happened = labels[:, examples.events.index(head)].astype(np.float32)
        data = xgboost().QuantileDMatrix(examples.columns[rows], happened, weight=weights, nthread=threads or 1)
    return Trees(bytes(xgboost().train(settings, data, trees).save_raw("ubj")))


def _sampled(examples: RankingExamples, requests: Mask, negatives: int, seed: int) -> NDArray[np.intp]:
    """Return rows of some requests (q,): all that led to something, and of the others as many of each request.

    Drawn evenly: if more were kept of what the blend places high, the trees would learn that this leads to nothing.
    """
    happened = examples.labels.any(axis=1)
    rows = np.flatnonzero(requests[examples.requests] & ~happened)
    drawn = np.random.default_rng(seed).random(len(rows))
    order = np.lexsort((drawn, examples.requests[rows]))
    of = examples.requests[rows][order]
    kept = rows[order][np.arange(len(of)) - np.searchsorted(of, of) < negatives]
    return np.sort(np.concatenate([kept, np.flatnonzero(requests[examples.requests] & happened)]))


def _parts(examples: RankingExamples, order: Floats, value: Floats) -> dict[str, Floats]:
    """Return what may be mixed, centred within each request (n,)."""
    cuts = np.searchsorted(examples.requests, np.arange(1, len(examples.users)))
    return {
        name: np.concatenate([centred(part) for part in np.split(values, cuts)]).astype(np.float32)
        for name, values in (("order", order), ("value", value), ("blend", examples.blend))
    }


def _unseen_chances(
    examples: RankingExamples, margins: Mapping[str, Floats], folds: NDArray[np.int64]
) -> dict[str, Floats]:
    """Return the chances (n,) of each event type, by curves that never saw the request's user."""
    fold_of = folds[examples.requests]
    found = {name: np.zeros(len(examples), np.float32) for name in examples.events}
    for place, name in enumerate(examples.events):
        for fold in np.unique(fold_of).tolist():
            mine = fold_of == fold
            curve = fit_curve(margins[name][~mine], examples.labels[~mine, place])
            found[name][mine] = curve(margins[name][mine])
    return found


def _judged(scored: Mapping[str, NDArray[np.float64]], folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each request's NDCG@10 (q,) under the mix that was best on the other folds."""
    found = np.zeros(len(folds))
    for fold in np.unique(folds).tolist():
        mine = folds == fold
        best = max(scored, key=lambda name: float(scored[name][~mine].mean()))
        found[mine] = scored[best][mine]
    return found


def _importance(head: Head, examples: RankingExamples) -> dict[str, float]:
    """Return each column's share of what the head makes of them, the highest first."""
    gains = head.gains(examples.columns)
    total = float(gains.sum()) or 1.0
    order = np.argsort(-gains, kind="stable")
    return {examples.schema.columns[n]: round(float(gains[n]) / total, 4) for n in order.tolist() if gains[n] > 0}
