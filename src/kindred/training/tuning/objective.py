"""What settings are judged by: how a retrieval model alone finds what a validation split holds back."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kindred.core.candidates import Mask
from kindred.core.config import Config
from kindred.core.errors import InvalidInput
from kindred.evaluation.item_sets import ItemSets
from kindred.evaluation.metrics import judge, ndcg
from kindred.models.preference import preferences
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.fit.content import fit_content
from kindred.training.fit.inputs import FitInput
from kindred.training.fit.registry import fit_retriever
from kindred.training.holdout import ask
from kindred.training.solo import solo_lists

DEPTH = 10
METRIC = f"ndcg@{DEPTH}"


@dataclass(frozen=True, slots=True)
class Validation:
    """A split inside the data of a training: what is fitted on, and who is asked for what they did after it.

    `wanted`: the held-back relevant items of `users (u,)`. `listed (n_items,)`: what may be recommended. `cut`: the
    moment of the split, None where each user's newest rows are held back.
    """

    data: FitInput
    users: NDArray[np.int64]
    wanted: ItemSets
    listed: Mask
    cut: int | None

    def judged(self, name: str, config: Config) -> NDArray[np.float64]:
        """Fit the retrieval model `name` with `config` and return NDCG@10 of each user (u,) float64."""
        with threadpool_limits(limits=1, user_api="blas"):
            model = fit_retriever(name, self.data, config)
            lists = solo_lists(model, self.data, self.users, DEPTH, self.listed)
        return ndcg(judge(lists, self.wanted), DEPTH)


def validation(dataset: Dataset, configs: TrainConfigs, now: int) -> Validation:
    """Hold back the newest rows and ask the users that a training's hold-out asks.

    Raises InvalidInput where nothing can be held back, or nothing of it counts as a hit.
    """
    asked = ask(dataset, configs)
    if asked is None:
        raise InvalidInput(
            "there is no validation split to tune on: it needs rows with times, training.holdout_share above 0, and "
            "users with a history who then do something that relevance.events or relevance.min_rating counts as a hit"
        )
    data = _fit_input(asked.train, configs, asked.cut or now)
    return Validation(data, asked.users, asked.wanted, dataset.listed(), asked.cut)


def with_settings(config: Config, chosen: dict[str, Any]) -> Config:
    """Return settings with some replaced, checked against their bounds."""
    return msgspec.convert({**msgspec.to_builtins(config), **chosen}, type(config))


def _fit_input(train: Dataset, configs: TrainConfigs, as_of: int) -> FitInput:
    return FitInput(
        preferences=preferences(train.interactions, as_of, configs.preference),
        interactions=train.interactions,
        n_users=train.n_users,
        n_items=train.n_items,
        as_of=as_of,
        content=fit_content(train.texts(), configs.content).item_vectors,
        threads=configs.training.threads,
    )
