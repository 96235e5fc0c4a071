"""Who judges never teaches, in no training; and a trial is compared only where it knows no more."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as changed
from tests.unit.training.tastes import tastes

from kindred.training.config import TrainConfigs, TrainingConfig
from kindred.training.gate.questions import judging, names_of
from kindred.training.gate.trials import Trial
from kindred.training.holdout import ask, who_judge

CONFIGS = TrainConfigs(training=TrainingConfig(min_users=30, holdout_users=60))
IDS = [f"u{n}" for n in range(5_000)]
TRIAL = Trial(cut=1_000, share=0.15, rows="a", taught=True, n_items=10, retrievers=("als",))


def test_a_fifth_judges() -> None:
    assert who_judge(IDS, np.arange(5_000)).mean() == pytest.approx(0.2, abs=0.02)


def test_who_judges_depends_on_the_id_alone() -> None:
    everyone = who_judge(IDS, np.arange(5_000))
    assert np.array_equal(who_judge(IDS[1_000:], np.arange(4_000)), everyone[1_000:])
    assert np.array_equal(who_judge(IDS, np.arange(7, 5_000, 3)), everyone[7::3])


def test_no_judge_of_one_draw_teaches_in_another() -> None:
    data = tastes(users=150)
    judges: set[int] = set()
    teachers: set[int] = set()
    for seed in range(4):
        asked = ask(data, replace(CONFIGS, training=changed(CONFIGS.training, seed=seed)))
        assert asked is not None
        judges |= set(asked.users[asked.judges].tolist())
        teachers |= set(asked.users[~asked.judges].tolist()) | set(asked.taught().interactions.users.tolist())
    assert len(judges) > 10
    assert len(teachers) > 60
    assert not judges & teachers


def test_answers_know_who_was_asked() -> None:
    asked = ask(tastes(users=150), CONFIGS)
    assert asked is not None
    five, six = (judging(asked, False, most, 1) for most in (5, 6))
    assert names_of(five) == names_of(judging(asked, False, 5, 1))
    assert names_of(five) != names_of(six)


@pytest.mark.parametrize(
    ("fields", "compared"),
    [
        ({}, True),
        ({"rows": "b"}, True),
        ({"rows": "b", "cut": 999}, True),
        ({"rows": "b", "cut": 1_001}, False),
        ({"rows": "b", "cut": None}, False),
        ({"rows": "b", "share": 0.05}, False),
        ({"share": 0.05}, True),
    ],
)
def test_a_trial_of_other_rows_is_compared_only_where_they_end_before(
    fields: dict[str, object], compared: bool
) -> None:
    assert changed(TRIAL, **fields).knows_no_more(TRIAL) is compared


def test_users_split_one_by_one_are_compared_on_the_same_rows_alone() -> None:
    ours = changed(TRIAL, cut=None)
    assert ours.knows_no_more(ours)
    assert not changed(ours, rows="b").knows_no_more(ours)
