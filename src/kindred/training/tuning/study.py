"""The search: a sequence of trials that can be stopped at any moment and goes on where it was."""

import hashlib
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import msgspec
import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from kindred import __version__
from kindred.core.config import Config, unknown_key
from kindred.core.errors import InvalidInput
from kindred.evaluation.intervals import Interval, mean_interval, paired_difference
from kindred.models.search import Choice, Dimension, Space, Whole
from kindred.training.config import TrainConfigs
from kindred.training.dataset import Dataset
from kindred.training.fit.inputs import Progress, silent
from kindred.training.fit.registry import FITTINGS
from kindred.training.tuning.objective import METRIC, Validation, validation, with_settings

FOLDER = "tuning"
_DIGITS = 4


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found: `settings` are those of the best trial, `difference` is its metric minus that of the
    present settings, paired by user on the validation split.

    `trials` finished ones, those of earlier runs too. `cut`: the moment of the split (ms), None for a split per user.
    """

    model: str
    metric: str
    trials: int
    users: int
    cut: int | None
    present: Interval
    best: Interval
    difference: Interval
    settings: dict[str, Any]
    seconds: float


def tune(
    name: str,
    dataset: Dataset,
    configs: TrainConfigs,
    now: int,
    home: Path,
    *,
    trials: int = 30,
    minutes: float | None = None,
    progress: Progress = silent,
) -> Tuned:
    """Search the settings of the retrieval model `name` (TPE: Bergstra et al. 2011) until `trials` are done.

    No trial begins after `minutes`. The same data, settings and `training.seed` give the same trials, however often
    the search was stopped: finished trials stay in a journal below `home`, which other data, settings or
    another version of Kindred begin anew. Raises InvalidInput for a model that cannot be tuned or data that cannot be
    split.
    """
    started, deadline = perf_counter(), None if minutes is None else monotonic() + minutes * 60
    space = search_space(name)
    progress("validation split")
    split = validation(dataset, configs, now)
    present: Config = getattr(configs, name)
    study = _open_study(name, home, _fingerprint(dataset, configs, split, present, space))
    if "present" not in study.user_attrs:
        progress("present settings")
        study.set_user_attr("present", _rounded(split.judged(name, present)))
    while len(done := _finished(study)) < trials and (deadline is None or monotonic() < deadline):
        # Seeded by what is done, so that an interrupted search goes on as if it had not been.
        study.sampler = optuna.samplers.TPESampler(seed=configs.training.seed + len(done))
        trial = study.ask()
        chosen = {key: _suggest(trial, key, dimension) for key, dimension in space.items()}
        progress(f"trial {len(done) + 1} of {trials}: {_words(chosen)}")
        values = split.judged(name, with_settings(present, chosen))
        trial.set_user_attr("chosen", chosen)
        trial.set_user_attr("users", _rounded(values))
        study.tell(trial, float(values.mean()))
    return _tuned(name, split, study, perf_counter() - started)


def search_space(name: str) -> Space:
    """Return what the settings of the model `name` are chosen from; raise InvalidInput where it cannot be tuned."""
    if name not in FITTINGS:
        raise InvalidInput.at("/name", f"{name!r}: {unknown_key(name, FITTINGS)}")
    space = FITTINGS[name].search
    if not space:
        known = ", ".join(each for each, fitting in FITTINGS.items() if fitting.search)
        raise InvalidInput.at("/name", f"{name!r} has no settings that are worth a search; tune one of {known}")
    return space


def _suggest(trial: Trial, key: str, dimension: Dimension) -> Any:
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(key, dimension.values)
    if isinstance(dimension, Whole):
        return trial.suggest_int(key, dimension.low, dimension.high, log=dimension.log)
    # Three digits are all that a validation split can tell apart, and what a person wants to read.
    return float(f"{trial.suggest_float(key, dimension.low, dimension.high, log=dimension.log):.3g}")


def _open_study(name: str, home: Path, fingerprint: str) -> optuna.Study:
    """Open the journal of this data and these settings, and drop that of others; end what a killed run left open."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder / f"{name}-{fingerprint}.journal"
    for other in folder.glob(f"{name}-*.journal"):
        if other != journal:
            other.unlink()
    storage = JournalStorage(JournalFileBackend(str(journal)))
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(left.number, state=TrialState.FAIL)
    return study


def _fingerprint(dataset: Dataset, configs: TrainConfigs, split: Validation, present: Config, space: Space) -> str:
    """Return what tells apart searches whose trials must not be mixed."""
    told = (
        __version__,
        dataset.window(),
        split.cut,
        len(split.users),
        present,
        configs.preference,
        configs.relevance,
        configs.content,
        configs.training.seed,
        dict(space),
    )
    return hashlib.blake2b(msgspec.json.encode(told), digest_size=8).hexdigest()


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _tuned(name: str, split: Validation, study: optuna.Study, seconds: float) -> Tuned:
    finished = _finished(study)
    if not finished:
        raise InvalidInput.at("/minutes", "no trial was finished in this time: give more, none is forgotten")
    best = max(finished, key=lambda trial: (trial.value or 0.0, -trial.number))
    present, users = np.array(study.user_attrs["present"]), np.array(best.user_attrs["users"])
    return Tuned(
        model=name,
        metric=METRIC,
        trials=len(finished),
        users=len(split.users),
        cut=split.cut,
        present=mean_interval(present),
        best=mean_interval(users),
        difference=paired_difference(users, present),
        settings=best.user_attrs["chosen"],
        seconds=round(seconds, 1),
    )


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(value, _DIGITS) for value in values.tolist()]


def _words(chosen: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in chosen.items())
