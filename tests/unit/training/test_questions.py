"""The gate asks in order of time, and takes the time of requests alone."""

from typing import cast

import numpy as np
import pytest
from tests.unit.training.tastes import DAY, tastes

from kindred.adapters.local.vectors import LocalVectorIndexes
from kindred.adapters.memory.catalog import MemoryCatalog
from kindred.core.candidates import Ordinals
from kindred.recommend.model_set import ModelSet
from kindred.training.config import TrainConfigs, TrainingConfig
from kindred.training.gate import questions
from kindred.training.gate.questions import CANDIDATE, FULL_FIT, answered, judging
from kindred.training.holdout import ask
from kindred.training.replay import ReplayPorts

CONFIGS = TrainConfigs(training=TrainingConfig(min_users=30))


class Slow:
    """A replay that takes a second of the processor to go to another moment, and a millisecond to answer."""

    def __init__(self, clock: list[float]) -> None:
        self.clock, self.moments = clock, [-1]

    async def slate(self, user: int, now: int, count: int) -> Ordinals:
        self.clock[0] += 0.001 + (now != self.moments[-1])
        self.moments.append(now)
        return np.array([user], np.int32)


async def test_judges_are_asked_in_order_of_time_and_clocks_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tastes(users=60)
    # Users that do not overlap in time, the later numbers earlier: each is asked at a moment of their own.
    data.interactions.timestamps[:] += (60 - data.interactions.users.astype(np.int64)) * 1_000 * DAY
    asked = ask(data, CONFIGS)
    assert asked is not None
    judges = judging(asked, False, 40, 1)
    assert (np.diff(judges.moments()) < 0).all()
    clock, made = [0.0], []

    async def opened(*_: object) -> Slow:
        made.append(Slow(clock))
        return made[-1]

    monkeypatch.setattr(questions.Replay, "open", opened)
    monkeypatch.setattr(questions, "thread_time", lambda: clock[0])
    systems = dict.fromkeys((CANDIDATE, FULL_FIT), cast(ModelSet, None))
    answers = await answered(judges, systems, None, ReplayPorts(MemoryCatalog(), LocalVectorIndexes()), CONFIGS)
    assert len(made) == 2
    assert all(replay.moments == sorted(replay.moments) for replay in made)
    for name in systems:
        assert answers.ranked[name][:, 0].tolist() == judges.users.tolist()
    assert answers.request_ms == pytest.approx(1.0)
