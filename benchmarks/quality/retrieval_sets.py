"""Which sets of retrieval models earn their place: blends learned and judged inside the first split's training part.

python -m benchmarks.quality.retrieval_sets als+item_item ease als+item_item+ease
python -m benchmarks.quality.retrieval_sets --mapping docs/guide/mappings/online-retail.toml --data FOLDER \\
    --protocol rolling --horizon-days 31 als+item_item als+item_item+ease
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.quality.funnel import DAY, imported
from kindred.evaluation.intervals import Bootstrap, paired_difference
from kindred.ingest.importing import ImportMapping, load_mapping
from kindred.models.blend import BlendConfig, blended, split_families
from kindred.models.retrieval import check_retrievers
from kindred.sample import sample_folder
from kindred.training.bundle import trial_models
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.evaluate import EvaluationConfig, first_training_part
from kindred.training.fit.blend import BlendExamples, blend_ndcg, learn_weights
from kindred.training.fit.models import fit_models
from kindred.training.holdout import ask, blend_examples, configured_blend
from kindred.training.replay import Replay, ReplayPorts

FOLDS = 5
CONSOLE = Console(stderr=True)


async def examples_of(
    train: Dataset, ports: ReplayPorts, retrieval: tuple[str, ...]
) -> tuple[list[str], BlendExamples]:
    """Fit every model on the earlier rows of `train` and score the candidates of those who ask in the later ones."""
    training = msgspec.structs.replace(TrainConfigs().training, retrieval=retrieval)
    configs = replace(TrainConfigs(), training=training)
    asked = ask(train, configs)
    if asked is None:
        sys.exit("nobody has something to find in the later rows")
    as_of = asked.cut or int(asked.train.interactions.timestamps.max()) + 1
    fitted = fit_models(asked.train, configs, as_of, CONSOLE.print)
    CONSOLE.print({name: fitted.seconds[name] for name in retrieval})
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1, user_api="blas"):
        models = trial_models(fitted, configured_blend(configs, fitted.segments), Path(folder), ports.indexes)
        replay = await Replay.open(asked.train, models, asked.users, ports, configs)
        CONSOLE.print(f"replay of {len(asked.users)} users")
        examples, _ = await blend_examples(replay, asked, configs)
    return list(models.scored), examples


def judged(names: Sequence[str], examples: BlendExamples, retrieval: Sequence[str]) -> NDArray[np.float64]:
    """Return each user's NDCG@10 (u,) by the blend of a set of models that other users taught."""
    chosen, training = blended(retrieval), TrainConfigs().training
    mine = examples._replace(columns=np.ascontiguousarray(examples.columns[:, :, [names.index(n) for n in chosen]]))
    prior = split_families(BlendConfig().standard, BlendConfig(), chosen)
    fold = np.arange(len(examples.wanted)) % FOLDS
    found = np.zeros(len(fold))
    for number in range(FOLDS):
        weights = learn_weights(mine.take(fold != number), chosen, prior, training.prior_users, training.seed)
        found[fold == number] = blend_ndcg(mine.take(fold == number), np.array(list(weights.values())))
    return found


async def compare(mapping: ImportMapping, options: EvaluationConfig, sets: Sequence[tuple[str, ...]]) -> None:
    """Print one row per set, with its paired difference to the first."""
    every = tuple(dict.fromkeys(name for one in sets for name in one))
    with tempfile.TemporaryDirectory(prefix="kindred-sets-") as home:
        async with imported(mapping, Path(home)) as (dataset, ports):
            names, examples = await examples_of(first_training_part(dataset, options), ports, every)
    table = Table("models", "NDCG@10", "minus the first", title=f"{mapping.source}: {len(examples.wanted)} users")
    base = judged(names, examples, sets[0])
    for one in sets:
        found = judged(names, examples, one)
        gap = paired_difference(found, base, bootstrap=Bootstrap())
        table.add_row(" + ".join(one), f"{found.mean():.4f}", f"{gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]")
    Console().print(table)


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mapping", type=Path, default=sample_folder() / "mapping.toml", help="a mapping file")
    parser.add_argument("--data", type=Path, help="the folder of its files, where that is another")
    parser.add_argument("--protocol", choices=("per-user", "rolling"), default="per-user")
    parser.add_argument("--horizon-days", type=float)
    parser.add_argument("sets", nargs="+", help="models joined by +; the first set is what others are compared with")
    given = parser.parse_args(arguments or [])
    horizon = given.horizon_days * DAY if given.horizon_days else None
    sets = [tuple(one.split("+")) for one in given.sets]
    for one in sets:
        check_retrievers(one)
    options = EvaluationConfig(protocol=given.protocol, horizon=horizon)
    asyncio.run(compare(load_mapping(given.mapping, given.data), options, sets))


if __name__ == "__main__":
    main(sys.argv[1:])
