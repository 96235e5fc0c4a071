"""The held-out steps of a run: the same models on the rows before the split, the blend, and what judges find."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from kindred.core.bundle import Manifest
from kindred.models.arrays import load_json, save_json
from kindred.models.blend import BlendModel
from kindred.models.ranker import RankerModel
from kindred.recommend.model_set import RANKER, ModelSet
from kindred.training.bundle import open_trial
from kindred.training.config import TrainConfigs
from kindred.training.fit.inputs import silent
from kindred.training.fit.models import FittedModels, fit_models
from kindred.training.gate.questions import ACTIVE, CANDIDATE, FULL_FIT, Answers, answered, judging, names_of
from kindred.training.gate.trials import Trial, Trials
from kindred.training.holdout import Asked, Held, ask, configured_blend, learn_blend
from kindred.training.ranking.fit import RankerFit, train_ranker
from kindred.training.replay import ReplayPorts
from kindred.training.steps.begin import Begun
from kindred.training.steps.models import BLEND, MODELS, TRIAL, build
from kindred.training.steps.work import Work

_ANSWERS = "answers"


class Judged(NamedTuple):
    """What the held-out steps gave: `judges` and `answers` are None where nothing can be held back."""

    held: Held
    judges: Asked | None = None
    answers: Answers | None = None


async def hold_out_steps(
    begun: Begun,
    models: FittedModels,
    active: Manifest | None,
    trials: Trials,
    ports: ReplayPorts,
    configs: TrainConfigs,
    progress: Callable[[str], None],
) -> Judged:
    """Learn the blend, write it beside the models, and have judges ask the trial, the active one's, and the models."""
    asked, work = ask(begun.dataset, configs), begun.work
    configured = configured_blend(configs, models.segments)
    if asked is None:
        configured.save(work.part(MODELS).folder / BLEND)
        return Judged(Held(configured))
    trial = _trial(asked, models, begun, configured, ports, configs, progress)
    progress(BLEND)
    held = await _blend(asked, trial, work, ports, configs)
    held = await _ranker(begun, asked, replace(trial, blend=held.blend), held, ports, configs, progress)
    for part in (MODELS, TRIAL):
        held.blend.save(work.part(part).folder / BLEND)
        if held.ranker is not None:
            held.ranker.save(work.part(part).folder / RANKER)
    names = tuple(models.retrievers)
    ours = Trial(
        cut=asked.cut,
        share=configs.training.holdout_share,
        rows=asked.train.fingerprint(),
        taught=held.blend.learned or held.ranker is not None,
        n_items=begun.dataset.n_items,
        retrievers=names,
    )
    ours.save(work.part(TRIAL).folder)
    before = None if active is None else trials.comparable(active.base or active.version, ours, ports.indexes)
    taught = ours.taught or (before is not None and before.trial.taught)
    judges = judging(asked, taught, configs.gate.users, configs.training.seed)
    version = None if before is None or active is None else active.version
    progress("evaluation")
    answers = work.found(_ANSWERS, partial(Answers.load, work.folder / _ANSWERS))
    if answers is None or (answers.active, answers.judges) != (version, names_of(judges)):
        full = open_trial(work.part(MODELS).folder, models.popularity.n_items, ports.indexes, names)
        systems = {CANDIDATE: replace(trial, blend=held.blend, ranker=held.ranker), FULL_FIT: full}
        systems |= {} if before is None else {ACTIVE: before.models}
        answers = await answered(judges, systems, version, ports, configs)
        with work.making(_ANSWERS) as folder:
            answers.save(folder)
    return Judged(held, judges, answers)


def _trial(
    asked: Asked,
    models: FittedModels,
    begun: Begun,
    blend: BlendModel,
    ports: ReplayPorts,
    configs: TrainConfigs,
    progress: Callable[[str], None],
) -> ModelSet:
    """Fit the same models on the rows before the split, and open them as a server would."""
    work, as_of = begun.work.part(TRIAL), asked.cut or begun.plan.now

    def tell(step: str) -> None:
        progress(f"holdout {step}")

    fitted = fit_models(asked.train, configs, as_of, tell, content=models.content, keep=work)
    tell("index")
    build(work, fitted, ports.indexes)
    blend.save(work.folder / BLEND)
    return open_trial(work.folder, fitted.popularity.n_items, ports.indexes, tuple(fitted.retrievers))


async def _blend(asked: Asked, trial: ModelSet, work: Work, ports: ReplayPorts, configs: TrainConfigs) -> Held:
    """Learn the blend, or take over what an interrupted run learnt."""

    def load() -> Held:
        place = work.folder / BLEND
        return Held(BlendModel.load(place / "model"), load_json(place, "metrics", dict[str, float]))

    held = work.found(BLEND, load)
    if held is None:
        held = await learn_blend(asked, trial, configs, ports, silent)
        with work.making(BLEND) as folder:
            held.blend.save(folder / "model")
            save_json(folder, "metrics", held.metrics)
    return held


async def _ranker(
    begun: Begun,
    asked: Asked,
    trial: ModelSet,
    held: Held,
    ports: ReplayPorts,
    configs: TrainConfigs,
    progress: Callable[[str], None],
) -> Held:
    """Learn the ranker over the learned blend, or take over what an interrupted run learnt."""
    work = begun.work

    def load() -> RankerFit:
        place = work.folder / RANKER
        model = RankerModel.load(place / "model") if (place / "model").is_dir() else None
        return RankerFit(model, load_json(place, "metrics", dict[str, float]))

    fit = work.found(RANKER, load)
    if fit is None:
        fit = await train_ranker(begun.dataset, asked.taught(), trial, configs, ports, progress)
        with work.making(RANKER) as folder:
            if fit.model is not None:
                fit.model.save(folder / "model")
            save_json(folder, "metrics", fit.metrics)
    return replace(held, metrics=held.metrics | fit.metrics, ranker=fit.model)
