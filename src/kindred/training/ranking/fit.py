"""The step of a training run that makes the ranker, or finds that the blend is as good."""

from collections.abc import Callable
from typing import NamedTuple

from kindred.models.ranker import RankerModel
from kindred.recommend.model_set import ModelSet
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.ranking.examples import make_examples
from kindred.training.ranking.learn import learn_ranker
from kindred.training.replay import ReplayPorts


class RankerFit(NamedTuple):
    """The ranker, or None where there is too little to learn from or it does not beat the blend; and metrics."""

    model: RankerModel | None
    metrics: dict[str, float]


async def train_ranker(
    dataset: Dataset,
    future: Dataset,
    models: ModelSet,
    configs: TrainConfigs,
    ports: ReplayPorts,
    progress: Callable[[str], None],
) -> RankerFit:
    """Learn from the requests that users of `future` may have made, and keep what is better than the blend.

    `dataset`: all rows, those of `future` too; `models`: fitted on the others, with the learned blend. Better means:
    on users that did not teach, the interval of the paired difference in NDCG@10 lies above 0.
    """
    if not configs.ranker.learn:
        return RankerFit(None, {})
    progress("ranker")
    examples = await make_examples(dataset, future, models, ports, configs)
    if examples is None:
        return RankerFit(None, {})
    model = learn_ranker(examples, configs.ranker, configs.training.seed, configs.training.threads)
    report = model.report
    metrics = {
        "ranker.users": float(report.users),
        "ranker.ndcg@10": report.ndcg,
        "ranker.ndcg@10.blend": report.blend_ndcg,
        "ranker.minus_blend.low": report.difference[1],
        "ranker.minus_blend.high": report.difference[2],
        **{f"ranker.calibration_error.{name}": one.error for name, one in report.reliability.items()},
    }
    return RankerFit(model if report.difference[1] > 0 else None, metrics)
