"""How evenly exposures are spread over categories, and the diversity that follows from it."""

import numpy as np
import pytest
from tests.unit.recommend.slates import query, ranked, world
from tests.unit.recommend.world import build

from kindred.core.clock import DAY, HOUR
from kindred.features.attribution import EXPOSURE
from kindred.features.users import UserRecord
from kindred.features.values.shown import exposure_entropy
from kindred.recommend.config import PlacementConfig, RecommendConfig
from kindred.recommend.effects.spread import ExposureSpread
from kindred.recommend.rerankers.bubble import raised
from kindred.recommend.rerankers.diversity import Diversity

NOW = 50 * DAY


def shown(*items, at=NOW - HOUR):
    rows = np.zeros(len(items), EXPOSURE)
    rows["item"], rows["timestamp"] = items, at
    return UserRecord(exposures=rows.tobytes())


PRIMARY = np.array([0, 0, 1, 1, 2, -1], np.int32)


def test_entropy_is_over_the_largest_that_can_be():
    assert exposure_entropy(shown(*[0, 1] * 6), NOW, PRIMARY, 3) == 0.0
    assert exposure_entropy(shown(*[0, 2] * 6), NOW, PRIMARY, 2) == pytest.approx(1.0)
    assert exposure_entropy(shown(*[0, 2] * 6), NOW, PRIMARY, 3) == pytest.approx(np.log(2) / np.log(3))
    assert exposure_entropy(shown(*[0, 2, 4] * 5, 5, 99), NOW, PRIMARY, 3) == pytest.approx(1.0)


def test_little_or_old_exposure_says_nothing():
    assert exposure_entropy(shown(*[0] * 9), NOW, PRIMARY, 3) is None
    assert exposure_entropy(shown(*[0] * 20, at=NOW - 2 * DAY), NOW, PRIMARY, 3) is None
    assert exposure_entropy(shown(*[0] * 20, at=NOW + HOUR), NOW, PRIMARY, 3) is None
    assert exposure_entropy(shown(*[5] * 20), NOW, PRIMARY, 3) is None
    assert exposure_entropy(UserRecord(), NOW, PRIMARY, 3) is None


def test_diversity_rises_as_far_as_the_spread_lies_below_the_least():
    assert raised(0.2, None, 0.5) == 0.2
    assert raised(0.2, 0.5, 0.5) == 0.2
    assert raised(0.2, 0.25, 0.5) == pytest.approx(0.6)
    assert raised(0.2, 0.0, 0.5) == 1.0
    assert raised(0.2, 0.0, 0.0) == 0.2


def test_a_narrow_day_makes_the_next_slate_more_diverse():
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    for least, expected in ((0.0, [0, 1]), (0.5, [0, 3])):
        made, asked = world([0, 0, 0, 1], vectors, min_entropy=least), query(2, diversity=0.1)
        asked.scratch["record"] = shown(*[0] * 12, at=-HOUR)
        order = Diversity(made).order(asked, ranked(4))
        assert order.index[:2].tolist() == expected
        assert order.detail["diversity"] == (1.0 if least else 0.1)


class Meter:
    def __init__(self):
        self.values = []

    def observe(self, name, value, **labels):
        self.values.append((name, value, labels))


async def test_the_spread_is_measured_and_the_control_widens_what_is_shown(tmp_path):
    """A user who was shown one category alone gets others too, where the platform asks for it."""
    narrow = {}
    for least in (0.0, 0.9):
        config = RecommendConfig(exploration=0.0, seed=7, min_entropy=least, category_cap=1.0)
        platform = await build(tmp_path / str(least), config=config, placements={"home": PlacementConfig()})
        first = await platform.ask("u1", count=20, categories=("drama",))
        await platform.serving.drain()
        await platform.consumer.drain_to((await platform.stores.log.ends())[0])
        assert len(first.items) >= 10
        second = await platform.ask("u1", count=20, trace=True)
        (stage,) = [stage for stage in second.trace.stages if stage.stage == "diversity"]
        narrow[least] = stage.detail["diversity"]
        meter, asked = Meter(), query(5)
        asked.scratch["record"] = shown(*[one.ordinal for one in first.items], at=-HOUR)
        effect = ExposureSpread(platform.world, meter)
        await effect.run([effect.note(asked, None)])
        assert [name for name, *_ in meter.values] == ["exposure_entropy_share"]
    assert narrow[0.0] == pytest.approx(0.05)
    assert narrow[0.9] > 0.3
