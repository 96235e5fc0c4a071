"""An evaluation end to end over planted tastes."""

import msgspec
import numpy as np
import pytest
from tests.unit.training.tastes import DAY, tastes

from kindred.adapters.local.vectors import LocalVectorIndexes
from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.core.errors import InvalidInput
from kindred.training.config import RelevanceConfig, TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.evaluate import EXPLORING, FUNNEL, EvaluationConfig, EvaluationReport, run_evaluation
from kindred.training.replay import ReplayPorts


async def evaluated(dataset: Dataset, configs: TrainConfigs | None = None, **options: object) -> EvaluationReport:
    ports = ReplayPorts(MemoryCatalog(), LocalVectorIndexes())
    chosen = msgspec.convert(options, EvaluationConfig)
    return await run_evaluation(dataset, configs or TrainConfigs(), ports, chosen)


async def test_the_funnel_beats_popularity_where_tastes_differ() -> None:
    report = await evaluated(tastes())
    metrics = report.tables.metrics
    assert {FUNNEL, EXPLORING, "als", "item_item", "content", "popular"} <= set(metrics)
    assert report.tables.funnel_minus["popular"]["ndcg@10"].low > 0
    assert 0 < report.tables.totals[FUNNEL]["coverage@20"] <= 1
    assert report.origins[0].cut is None
    assert report.origins[0].users == metrics[FUNNEL]["ndcg@10"].users


async def test_the_same_data_gives_the_same_report() -> None:
    first, second = [(await evaluated(tastes(users=20))).to_dict() for _ in range(2)]
    assert first["tables"] == second["tables"]


async def test_rolling_origins_each_learn_from_their_past() -> None:
    report = await evaluated(tastes(), protocol="rolling", horizon=2 * DAY / 1000)
    assert len(report.origins) == 3
    cuts = [origin.cut for origin in report.origins]
    assert cuts == sorted(cut for cut in cuts if cut)
    sizes = [origin.train_rows for origin in report.origins]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


async def test_the_future_cannot_change_what_was_shown() -> None:
    data = tastes(users=20)
    changed = tastes(users=20)
    rows = changed.interactions
    late = rows.timestamps >= np.sort(rows.timestamps)[-40]
    rows.items[late] = rows.items[late][::-1]
    options = {"protocol": "rolling", "horizon": 2 * DAY / 1000}
    first, second = [await evaluated(one, **options) for one in (data, changed)]
    # The first two windows end before the changed rows begin.
    assert first.origins[:2] == second.origins[:2]


async def test_data_without_time_is_refused() -> None:
    data = tastes(users=10)
    data.interactions.timestamps[:] = -1
    with pytest.raises(InvalidInput, match="none has a time"):
        await evaluated(data)


async def test_no_hit_at_all_is_refused_with_the_fix() -> None:
    with pytest.raises(InvalidInput, match="name the event types"):
        await evaluated(tastes(users=10, event="view"))
    report = await evaluated(tastes(users=20, event="view"), TrainConfigs(relevance=RelevanceConfig(events=("view",))))
    assert report.tables.metrics[FUNNEL]["ndcg@10"].mean > 0
