"""The ranker of a made-up shop: learned by the project's own code from users of a small shop of the same kind.

What trees cost does not depend on the size of the catalogue, so that a large one need not be searched for examples.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.scale.people import histories
from benchmarks.scale.planted import planted_models
from benchmarks.scale.shop import Shop, ShopConfig
from kindred.core.item import CatalogItem
from kindred.core.profile import Profile
from kindred.ingest.fold_columns import FoldColumns
from kindred.models.blend import BlendConfig, BlendModel, blended
from kindred.models.preference import Interactions
from kindred.models.ranker import RankerModel
from kindred.training.bundle import open_trial, write_models
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.ranking.examples import make_examples
from kindred.training.ranking.learn import learn_ranker
from kindred.training.replay import ReplayPorts

ITEMS = 2_000
NEWEST = 0.15
"""Share of the rows that users are asked for."""


async def learned_ranker(config: ShopConfig, ports: ReplayPorts, now: int) -> RankerModel:
    """Learn a ranker on `config.learners` users, who hold back their newest rows."""
    shop = Shop.draw(msgspec.structs.replace(config, items=ITEMS, users=config.learners))
    configs = TrainConfigs()
    configs = replace(configs, ranker=msgspec.structs.replace(configs.ranker, min_users=1))
    dataset = _dataset(shop, histories(shop, now), now)
    times = dataset.interactions.timestamps
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        models = planted_models(shop, Path(scratch), now)
        names = tuple(models.retrievers)
        blend = BlendModel.from_config(BlendConfig(), blended(names, segments=True))
        write_models(models, blend, Path(folder), ports.indexes)
        opened = open_trial(Path(folder), ITEMS, ports.indexes, names)
        future = dataset.with_rows(times > np.quantile(times, 1 - NEWEST))
        examples = await make_examples(dataset, future, opened, ports, configs)
    if examples is None:
        raise SystemExit(f"{config.learners} users are too few to learn a ranker from: name more, or 0 for none")
    return learn_ranker(examples, configs.ranker, configs.training.seed, 1)


def _dataset(shop: Shop, columns: FoldColumns, now: int) -> Dataset:
    owners = np.repeat(np.arange(len(columns.users), dtype=np.int32), np.diff(columns.starts))
    rows = Interactions(
        owners, columns.ordinals, columns.timestamps, columns.types.astype(np.int16), columns.values, columns.names
    )
    items = [item for part in shop.parts() for item in part.items(now)]
    return Dataset(
        rows,
        columns.users,
        [msgspec.msgpack.decode(data, type=Profile) for data in columns.profiles],
        [CatalogItem(ordinal=row, seq=row + 1, listed=True, item=item) for row, item in enumerate(items)],
    )
