"""A training run: from the stores to a published bundle, or to nothing at all."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from threadpoolctl import threadpool_limits

from kindred import __version__
from kindred.core.bundle import Manifest
from kindred.core.clock import Clock
from kindred.core.errors import BundleCorrupt, BundleError, NoBundle, NotFound
from kindred.evaluation.intervals import Interval
from kindred.recommend.item_table import ITEMS, ItemTable
from kindred.recommend.model_set import RANKER, ModelSet, open_layers, open_models
from kindred.training.bundle import folders, form_metrics
from kindred.training.card import write_card
from kindred.training.collect import collect
from kindred.training.config import TrainConfigs
from kindred.training.facts import data_facts, segments
from kindred.training.fit.inputs import silent
from kindred.training.fit.models import FittedModels, fit_models
from kindred.training.gate.check import GateRefused
from kindred.training.gate.questions import CANDIDATE
from kindred.training.gate.trials import Trials
from kindred.training.gate.verdict import Verdict, verdict
from kindred.training.holdout import inner_split
from kindred.training.mlflow_log import log_run
from kindred.training.publishing import TrainStores, new_version, publish, staged, training_lease
from kindred.training.records import CheckRecord, Figure, RunRecord, RunRecords, peak_mib
from kindred.training.replay import ReplayPorts
from kindred.training.steps.begin import Begun, Wanted, begin
from kindred.training.steps.models import MODELS, TRIAL, adopt, build, build_lists, check_names, link_tree
from kindred.training.steps.stopwatch import Stopwatch
from kindred.training.steps.trial import Judged, hold_out_steps

FOLDER = "training"


async def train(
    stores: TrainStores,
    configs: TrainConfigs,
    clock: Clock,
    progress: Callable[[str], None] = silent,
    activate: bool = True,
    wanted: Wanted | None = None,
) -> Manifest:
    """Train on everything that is known now and publish the bundle; `progress` hears the name of each step.

    A run that was cut off is taken up where it stood. Raises InvalidInput when the catalogue is empty, LeaseHeld while
    another process trains, GateRefused when the gate does not let the bundle pass, NoBundle where the rest of what is
    `wanted` is to come from an active bundle and there is none. Whatever is raised, the active bundle stays, and the
    record of the run says why; nothing is published, unless it is the activation of a published bundle that fails.
    """
    async with training_lease(stores.leases) as fence:
        run = _Run(stores, configs, clock, Stopwatch(progress), wanted or Wanted())
        records = RunRecords(stores.home)
        try:
            manifest = await run.to_the_end(fence, activate)
        except Exception as error:
            run.keep(records, run.record("refused" if isinstance(error, GateRefused) else "failed", error))
            raise
        run.keep(records, run.record("published", manifest=manifest))
        await stores.models.prune(configs.training.keep)
        run.trials.prune({kept.version for kept in await stores.models.bundles()})
        return manifest


@dataclass(slots=True)
class _Run:
    """A training run under way; what it has found so far stays for its record."""

    stores: TrainStores
    configs: TrainConfigs
    clock: Clock
    tell: Stopwatch
    wanted: Wanted
    begun: Begun | None = None
    judged: Judged | None = None
    verdict: Verdict | None = None
    started: int = 0

    def __post_init__(self) -> None:
        """Note when it began."""
        self.started = self.clock.now()

    @property
    def trials(self) -> Trials:
        """Return the trials of the kept bundles."""
        return Trials(self.stores.home / FOLDER / "trials")

    async def to_the_end(self, fence: int, activate: bool) -> Manifest:
        """Do every step that an interrupted run has not done, and publish."""
        active = await self._active()
        rest = await self._rest(active)
        self.tell("data")
        begun = await self._begin(active)
        if (done := await self._published(begun, activate)) is not None:
            return done
        if rest is not None:
            adopt(begun.work, rest, self._trial_of(rest, begun), self.wanted.only, self.configs)
        models = self._fit(begun)
        # A replay is many small products: BLAS threads only fight over the cores.
        with threadpool_limits(limits=1, user_api="blas"):
            self.judged = await hold_out_steps(begun, models, active, self.trials, self._ports, self.configs, self.tell)
        self.tell("gate")
        folder = begun.work.part(MODELS).folder
        self.verdict = verdict(folder, self.judged.judges, self.judged.answers, self.configs.gate)
        if failed := self.verdict.failed(self.configs.gate):
            raise GateRefused(failed, None if active is None else active.version)
        return await self._publish(begun, models, self.judged, fence, activate)

    @property
    def _ports(self) -> ReplayPorts:
        return ReplayPorts(self.stores.catalog, self.stores.vectors)

    async def _active(self) -> Manifest | None:
        """Return the active bundle's manifest; one that cannot be used is none, unless parts of it are wanted."""
        version = await self.stores.models.active()
        if version is None and self.wanted.only:
            raise NoBundle("there is no bundle yet to take the other models from: run `kindred train` without --only")
        try:
            return None if version is None else (await self.stores.models.open(version))[0]
        except (BundleError, NotFound):
            if self.wanted.only:
                raise
            return None

    async def _rest(self, active: Manifest | None) -> ModelSet | None:
        """Open the active bundle where models that are not wanted anew come from it; raise InvalidInput for a name."""
        if active is None or not self.wanted.only:
            return None
        bundle = open_models(*await open_layers(self.stores.models, active.version), self.stores.vectors)
        check_names(self.wanted.only, bundle, self.configs)
        return bundle

    def _trial_of(self, bundle: ModelSet, begun: Begun) -> Path | None:
        """Return where the bundle's trial lies, if it was fitted on the rows that this run does not hold back."""
        split = inner_split(begun.dataset, self.configs)
        version = bundle.manifest.base or bundle.version
        return None if split is None else self.trials.fitted_on(version, split[0].fingerprint())

    async def _begin(self, active: Manifest | None) -> Begun:
        """Read the data, and find out whether an interrupted run is taken up."""
        collected = await collect(self.stores, slots=self.configs.ranker.slots, traits=self.configs.segments.by)
        place = self.stores.home / FOLDER / "work"
        pointed = await self.stores.models.active()
        self.begun = begin(place, collected, self.configs, self.wanted, self.started, active, new_version, pointed)
        return self.begun

    async def _published(self, begun: Begun, activate: bool) -> Manifest | None:
        """Return the bundle of a run that was cut off after it was published.

        It becomes active where that was asked for, unless somebody chose another since the run began.
        """
        version = begun.plan.version
        found = next((each for each in await self.stores.models.bundles() if each.version == version), None)
        if found is not None:
            untouched = await self.stores.models.active() == begun.plan.active
            self._put_away(begun)
            if activate and untouched:
                await self.stores.models.activate(version)
        return found

    def _put_away(self, begun: Begun) -> None:
        """Keep the trial of a published bundle for the next gate, and nothing else of the work."""
        self.trials.keep(begun.plan.version, begun.work.part(TRIAL).folder)
        begun.work.clear()

    def _fit(self, begun: Begun) -> FittedModels:
        """Fit the models on everything and build their indexes."""
        models = fit_models(begun.dataset, self.configs, begun.plan.now, self.tell, keep=begun.work.part(MODELS))
        self.tell("index")
        build(begun.work.part(MODELS), models, self.stores.vectors)
        self.tell("similar items")
        build_lists(begun.work.part(MODELS), models, self.stores.vectors)
        return models

    async def _publish(
        self, begun: Begun, models: FittedModels, judged: Judged, fence: int, activate: bool
    ) -> Manifest:
        """Put the bundle together in a staged folder and publish it; the trial stays for the next gate."""
        async with staged(self.stores.models) as folder:
            self.tell("write")
            link_tree(begun.work.part(MODELS).folder, folder)
            ItemTable.of(begun.dataset.changes(), attributes=True).save(folder / ITEMS)
            manifest = Manifest(
                version=begun.plan.version,
                created=self.clock.now(),
                code_version=__version__,
                n_items=begun.dataset.n_items,
                window=begun.dataset.window(),
                metrics=self._metrics()
                | form_metrics(models, judged.held.ranker)
                | build(begun.work.part(MODELS), models, self.stores.vectors)
                | build_lists(begun.work.part(MODELS), models, self.stores.vectors),
                parameters={**self.configs.parameters(), "learned_blend": dict(judged.held.blend.weights)},
                models=[*folders(models), "blend", *([] if judged.held.ranker is None else [RANKER])],
                retrievers=tuple(models.retrievers),
                seconds=self.tell.seconds,
            )
            write_card(folder, self.record("published", manifest=manifest))
            self._check_opens(manifest, folder, begun)
            await publish(self.stores, folder, manifest, fence, False, self.tell)
        self._put_away(begun)
        # Last, when no work is left: a run that takes work up again must never undo a rollback.
        if activate:
            await self.stores.models.activate(manifest.version)
        return manifest

    def _check_opens(self, manifest: Manifest, folder: Path, begun: Begun) -> None:
        """Open a bundle as a server would before it is published; raise BundleCorrupt, and keep no such work."""
        try:
            open_models(manifest, folder, self.stores.vectors)
        except BundleCorrupt:
            begun.work.clear()
            raise

    def _metrics(self) -> dict[str, float]:
        """Return all that was measured so far, of intervals the mean."""
        found = {} if self.judged is None else dict(self.judged.held.metrics)
        found |= {} if self.begun is None else self.begun.left_out
        judged = {} if self.verdict is None else self.verdict.metrics
        return found | {name: value.mean if isinstance(value, Interval) else value for name, value in judged.items()}

    def _segments(self) -> dict[str, dict[str, Figure]]:
        """Return what the gate's lists are worth by segment; nothing where nobody was asked."""
        if self.judged is None or self.judged.answers is None or self.judged.judges is None:
            return {}
        asked = self.judged.judges
        return segments(self.judged.answers.ranked[CANDIDATE], asked.wanted, asked.train, asked.users)

    def keep(self, records: RunRecords, record: RunRecord) -> None:
        """Keep the run's record, and log it where the settings say so besides."""
        records.write(record)
        if uri := self.configs.training.mlflow:
            log_run(uri, record)

    def record(
        self,
        outcome: Literal["published", "refused", "failed"],
        error: Exception | None = None,
        manifest: Manifest | None = None,
    ) -> RunRecord:
        """Return what is to be kept of the run."""
        checks = [] if self.verdict is None else self.verdict.checks
        notes = [] if self.verdict is None else self.verdict.notes.items()
        figures = self._metrics() | ({} if manifest is None else manifest.metrics)
        intervals = {} if self.verdict is None else self.verdict.metrics
        ranker = None if self.judged is None else self.judged.held.ranker
        return RunRecord(
            version=new_version(self.started) if self.begun is None else self.begun.plan.version,
            started=self.started,
            finished=self.clock.now(),
            outcome=outcome,
            error="" if error is None else str(error) or type(error).__name__,
            parameters=self.configs.parameters() if manifest is None else manifest.parameters,
            window=None if self.begun is None else self.begun.dataset.window(),
            metrics={name: Figure.of(value) for name, value in {**figures, **intervals}.items()},
            segments=self._segments(),
            importances={} if ranker is None else ranker.report.importance,
            facts={} if self.begun is None else data_facts(self.begun.dataset),
            seconds=self.tell.seconds,
            gate=[
                *(
                    CheckRecord(name=one.name, passed=one.passed, value=one.value, limit=one.limit, said=one.said)
                    for one in checks
                ),
                *(CheckRecord(name=name, passed=True, value=None, limit=None, said=said) for name, said in notes),
            ],
            seed=self.configs.training.seed,
            code_version=__version__,
            peak_mib=peak_mib(),
        )
