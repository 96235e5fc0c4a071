"""Freshness and season: items of today, and those whose month it is, stand higher."""

from types import SimpleNamespace

import numpy as np
import pytest
from tests.unit.recommend.slates import query
from tests.unit.recommend.world import NOW, build

from kindred.core.candidates import Candidates
from kindred.core.clock import DAY
from kindred.recommend.config import RecommendConfig
from kindred.recommend.hydrators.features import CandidateFeatures
from kindred.recommend.scorers.timeliness import MONTH, Timeliness

OCTOBER, NOVEMBER = NOW - 25 * DAY, NOW


def world(created=(0, 0, 0), **config):
    table = SimpleNamespace(created=np.array(created, np.int64))
    return SimpleNamespace(table=table, config=RecommendConfig(**config))


def scored(world, now=100 * DAY, **columns):
    asked = query(3)
    asked.context = SimpleNamespace(time=now)
    found = {name: np.array(values, np.float32) for name, values in columns.items()}
    return Timeliness(world).score(asked, Candidates(np.arange(3, dtype=np.int32), found))


def test_freshness_fades_by_the_month():
    found = scored(world((100 * DAY, 70 * DAY, 0), freshness=1.0), score=[0.4, 0.4, 0.4])
    assert found["score"].tolist() == pytest.approx([0.8, 0.4 * (1 + np.exp(-1)), 0.4])


def test_a_season_multiplies_within_bounds_and_scores_stay_within_one():
    columns = {"score": [0.5, 0.5, 0.5], MONTH: [2.0, 99.0, np.nan]}
    assert scored(world(season=1.0), **columns)["score"].tolist() == pytest.approx([0.5, 1.0, 0.25])
    assert scored(world(season=0.5), **columns)["times.factor"].tolist() == pytest.approx([2**0.5, 2.0, 1.0])


def test_nothing_is_boosted_unless_asked_for():
    assert not Timeliness(world()).enabled(query(3))
    assert Timeliness(world(freshness=0.1)).enabled(query(3))
    assert Timeliness(world(season=0.1)).enabled(query(3))


async def test_an_item_comes_back_in_its_month(tmp_path):
    """What was bought in one month alone stands higher in that month than in another, whatever the models say."""
    config = RecommendConfig(exploration=0.0, seed=7, season=1.0, category_cap=1.0, diversity=0.0)
    platform = await build(tmp_path, config=config)
    for number in range(60):
        await platform.track(f"w{number}", "i77", "purchase")
    (ordinal,) = [one.ordinal for one in await platform.stores.catalog.get(["i77"])]
    asked = query(3)
    places = []
    for now in (OCTOBER, NOVEMBER):
        asked.context = asked.context.__class__(time=now)
        columns = await CandidateFeatures(platform.world).columns(
            asked, Candidates(np.array([ordinal, 0], np.int32), {"score": np.ones(2, np.float32)})
        )
        places.append(columns[MONTH].tolist())
    assert places[0][0] == pytest.approx(12 * 14 / 228)
    assert places[1][0] == pytest.approx(12 * (60 + 14) / 228)
    assert places[0][1] == places[1][1] == pytest.approx(1.0)
    ranks = []
    for now in (OCTOBER, NOVEMBER):
        served = await platform.ask("nobody", count=100, time=now)
        ranks.append([*(one.ordinal for one in served.items), ordinal].index(ordinal))
    assert ranks[1] < ranks[0]
