"""A search finds what is better, the same way each time, and goes on where it was stopped."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tests.unit.training.tastes import DAY, START, tastes

from kindred.core.errors import InvalidInput
from kindred.models.als import AlsConfig
from kindred.models.content import ContentConfig
from kindred.training.config import TrainConfigs, TrainingConfig
from kindred.training.fit import registry
from kindred.training.fit.inputs import Progress, silent
from kindred.training.tuning.objective import validation, with_settings
from kindred.training.tuning.study import FOLDER, Tuned, tune

NOW = START + 20 * DAY
# So strong a regularisation that no factor is left: anything is better.
BAD = AlsConfig(regularization=1e7, full_pairs=1)
CONFIGS = TrainConfigs(training=TrainingConfig(min_users=20, threads=1), als=BAD)


def search(home: Path, trials: int, progress: Progress = silent, configs: TrainConfigs = CONFIGS) -> Tuned:
    return tune("als", tastes(), configs, NOW, home, trials=trials, progress=progress)


def test_a_search_finds_better_settings_and_says_by_how_much(tmp_path: Path) -> None:
    found = search(tmp_path, 6)
    assert found.trials == 6
    assert found.difference.low > 0.2
    assert found.best.mean - found.present.mean == pytest.approx(found.difference.mean)
    assert set(found.settings) == set(AlsConfig.__struct_fields__) - {"full_pairs", "seed"}
    split = validation(tastes(), CONFIGS, NOW)
    assert split.cut == found.cut
    again = split.judged("als", with_settings(BAD, found.settings))
    assert again.mean() == pytest.approx(found.best.mean, abs=1e-4)


def test_a_search_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path) -> None:
    """Killed inside a trial, it is done again; what was finished is not."""
    whole = search(tmp_path / "whole", 5)
    seen: list[str] = []

    def stop(step: str) -> None:
        seen.append(step)
        if step.startswith("trial 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "parts", 5, stop)
    after: list[str] = []
    resumed = search(tmp_path / "parts", 5, after.append)
    assert sum(step.startswith("trial") for step in after) == 3
    assert "present settings" in seen
    assert "present settings" not in after
    assert (resumed.settings, resumed.best, resumed.present) == (whole.settings, whole.best, whole.present)
    assert resumed.trials == whole.trials == 5


@pytest.mark.parametrize("other", [{"als": replace(BAD, seed=7)}, {"content": ContentConfig(dimensions=8)}])
def test_other_settings_begin_anew_and_leave_one_journal(tmp_path: Path, other: dict[str, Any]) -> None:
    search(tmp_path, 2)
    assert search(tmp_path, 1, configs=dataclasses.replace(CONFIGS, **other)).trials == 1
    assert len(list((tmp_path / FOLDER).iterdir())) == 1


def test_another_version_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search(tmp_path, 2)
    monkeypatch.setattr("kindred.training.tuning.study.__version__", "99")
    assert search(tmp_path, 1).trials == 1


def test_no_trial_begins_after_the_time(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no trial was finished"):
        tune("als", tastes(), CONFIGS, NOW, tmp_path, trials=50, minutes=1e-9)
    search(tmp_path, 1)
    assert tune("als", tastes(), CONFIGS, NOW, tmp_path, trials=50, minutes=1e-9).trials == 1


def test_unknown_names_and_models_without_a_search_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="did you mean `als`"):
        tune("asl", tastes(), CONFIGS, NOW, tmp_path)
    monkeypatch.delattr("kindred.models.als.SEARCH")
    with pytest.raises(InvalidInput, match=r"no settings.*item_item"):
        tune("als", tastes(), CONFIGS, NOW, tmp_path)


@pytest.mark.parametrize("flaw", ["no times", "nothing held back", "no hits"])
def test_data_without_a_usable_split_is_refused_with_what_to_do(tmp_path: Path, flaw: str) -> None:
    data = tastes(event="view" if flaw == "no hits" else "purchase")
    if flaw == "no times":
        data.interactions.timestamps[:] = -1
    configs = TrainConfigs(training=TrainingConfig(holdout_share=0.0)) if flaw == "nothing held back" else CONFIGS
    with pytest.raises(InvalidInput, match=r"training\.holdout_share above 0"):
        tune("als", data, configs, NOW, tmp_path)
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize("name", [name for name, fitting in registry.FITTINGS.items() if fitting.search])
def test_every_search_space_holds_the_defaults(name: str) -> None:
    """A setting that tuning may choose exists, and its default lies where tuning looks."""
    fitting = registry.FITTINGS[name]
    defaults = fitting.config()
    for key, dimension in fitting.search.items():
        value = getattr(defaults, key)
        values = getattr(dimension, "values", None)
        assert value in values if values else dimension.low <= value <= dimension.high, key
        ends = values or (dimension.low, dimension.high)
        assert all(getattr(with_settings(defaults, {key: end}), key) == end for end in ends)


def test_users_without_a_history_are_not_asked() -> None:
    split = validation(tastes(), CONFIGS, NOW)
    rows = np.bincount(split.data.interactions.users, minlength=split.data.n_users)
    assert (rows[split.users] > 0).all()
    assert (split.wanted.sizes > 0).all()
