"""What the Runner writes down about each stage: the trace, the meter, and what failed open."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from kindred.core.candidates import Candidates
from kindred.core.errors import KindredError
from kindred.core.query import Query
from kindred.core.trace import StageTrace, Trace
from kindred.pipeline.checks import StageFault
from kindred.pipeline.stages import FailPolicy, Stage
from kindred.ports.telemetry import Meter

S = TypeVar("S", bound=Stage)


class Recorder:
    """The record of one request."""

    def __init__(self, query: Query, bundle: str, meter: Meter) -> None:
        """Start the clock."""
        self.query = query
        self.trace = Trace(request_id=query.request_id, bundle=bundle, placements_version=query.placements_version)
        self._meter = meter
        self._started = time.perf_counter()

    def enabled(self, stages: Sequence[S], kind: str) -> list[S]:
        """Return the stages that take part; one whose switch breaks fails by its policy."""
        found = []
        for stage in stages:
            if stage.name in self.query.params.disabled:
                continue
            try:
                if stage.enabled(self.query):
                    found.append(stage)
            except Exception as error:
                self.trace.stages.append(StageTrace(stage=stage.name, kind=kind, error=_said(error)))
                self._fail(stage, error)
        return found

    @contextmanager
    def stage(self, stage: Stage, kind: str, entered: int = 0) -> Iterator[StageTrace]:
        """Time a stage and settle its failure: by policy it is recorded and swallowed, or raised."""
        note = StageTrace(stage=stage.name, kind=kind, entered=entered, left=entered)
        started = time.perf_counter()
        try:
            yield note
        except Exception as error:
            note.error = _said(error)
            self._note(note, started)
            self._fail(stage, error)
        else:
            self._note(note, started)

    def late(self, stage: Stage, kind: str, milliseconds: float) -> None:
        """Record that a stage was not ready by its wave's deadline."""
        self.trace.stages.append(
            StageTrace(stage=stage.name, kind=kind, milliseconds=milliseconds, error="deadline passed")
        )
        self._fail(stage, TimeoutError(f"{stage.name}: not ready within {milliseconds:g} ms"))

    def saw(self, step: str, candidates: Candidates) -> None:
        """Hear what is left of the candidates behind a step; whoever only times has no use for it."""

    def finish(self, state_version: str) -> Trace:
        """Stop the clock and return the trace of an answer from the state at a position."""
        self.trace.state_version = state_version
        self.trace.milliseconds = round((time.perf_counter() - self._started) * 1000, 3)
        return self.trace

    def _note(self, note: StageTrace, started: float) -> None:
        note.milliseconds = round((time.perf_counter() - started) * 1000, 3)
        self.trace.stages.append(note)

    def _fail(self, stage: Stage, error: Exception) -> None:
        self._meter.count("stage_failures", stage=stage.name)
        if stage.policy is FailPolicy.OPEN:
            self.query.failures.append(stage.name)
        elif isinstance(error, KindredError):
            raise error
        else:
            raise StageFault(f"{stage.name}: {_said(error)}") from error


class Watching(Recorder):
    """A record that keeps the candidates behind every step, in order: `(step, candidates)`."""

    def __init__(self, query: Query, bundle: str, meter: Meter) -> None:
        """Start with no steps."""
        super().__init__(query, bundle, meter)
        self.steps: list[tuple[str, Candidates]] = []

    def saw(self, step: str, candidates: Candidates) -> None:
        """Keep them."""
        self.steps.append((step, candidates))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
