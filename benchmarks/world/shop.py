"""The simulated log as what the product learns from: columns of the ranker, and inputs of retrieval models."""

import numpy as np

from benchmarks.world.logs import Logs
from benchmarks.world.truth import EVENTS, Truth
from kindred.core.candidates import Floats
from kindred.models.preference import Interactions, PreferenceConfig, preferences
from kindred.models.ranker import RankerSchema
from kindred.training.fit.inputs import FitInput
from kindred.training.ranking.examples import RankingExamples

COLUMNS = (
    "context.device", "context.hour", "context.month", "context.page", "item.category", "item.number", "model.taste",
    "shown.slot", "user.age_bucket",
)  # fmt: skip


def columns_of(rows: Logs, truth: Truth) -> Floats:
    """Return the ranker's columns (n, f) float32 in the order of `COLUMNS`.

    `model.taste` stands for what retrieval models know of user and item: the planted taste, blurred.
    """
    taste = np.einsum("nt,nt->n", truth.users[rows.users], truth.items[rows.items]) + truth.quality[rows.items]
    blur = np.random.default_rng(truth.config.seed).normal(scale=0.2, size=(truth.config.items,))
    values = {
        "context.device": rows.devices,
        "context.hour": rows.hours,
        "context.month": rows.months,
        "context.page": rows.pages,
        "item.category": truth.category[rows.items],
        "item.number": rows.items,
        "model.taste": taste + blur[rows.items],
        "shown.slot": rows.slots,
        "user.age_bucket": truth.user_age[rows.users],
    }
    return np.stack([values[name] for name in COLUMNS], axis=1).astype(np.float32)


def as_examples(rows: Logs, truth: Truth) -> RankingExamples:
    """Return every slate as a request whose candidates are what it showed; the slot is a column."""
    _, first, requests = np.unique(rows.requests, return_index=True, return_inverse=True)
    labels = np.stack([getattr(rows, name) for name in EVENTS], axis=1)
    columns = columns_of(rows, truth)
    return RankingExamples(
        schema=RankerSchema(COLUMNS),
        events=EVENTS,
        columns=columns,
        requests=requests.astype(np.int32),
        items=rows.items,
        blend=columns[:, COLUMNS.index("model.taste")],
        labels=labels,
        weights=np.ones(len(rows), np.float32),
        relevant=rows.click,
        users=rows.users[first].astype(np.int64),
        moments=rows.times[first],
        wanted=np.bincount(requests, rows.click).astype(np.int64),
    )


def as_fit_input(rows: Logs, truth: Truth, config: PreferenceConfig) -> FitInput:
    """Return clicks as what a retrieval model is fitted on."""
    size = len(rows)
    interactions = Interactions(
        rows.users,
        rows.items,
        rows.times,
        np.zeros(size, np.int16),
        np.full(size, np.nan, np.float32),
        ("click",),
    )
    as_of = int(rows.times.max())
    liked = preferences(interactions, as_of, config)
    return FitInput(liked, interactions, truth.config.users, truth.config.items, as_of)
