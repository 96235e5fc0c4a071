"""A wave: stages of one kind that run at once, under one deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from kindred.core.candidates import Candidates
from kindred.pipeline.recorder import Recorder
from kindred.pipeline.stages import Stage

S = TypeVar("S", bound=Stage)
R = TypeVar("R")

DETAIL = "detail"
"""Under this name a query's scratch holds what stages say of themselves in a trace, by stage."""


async def wave(
    stages: Sequence[S],
    kind: str,
    run: Callable[[S], Awaitable[R]],
    deadline: float,
    recorder: Recorder,
) -> dict[str, R]:
    """Run stages at once and return what came by the deadline (milliseconds), by stage name in the stages' order."""
    found: dict[str, R] = {}

    async def one(stage: S) -> None:
        with recorder.stage(stage, kind) as note:
            found[stage.name] = value = await run(stage)
            if isinstance(value, Candidates):
                note.left = len(value)
                if recorder.query.want_trace:
                    note.detail["proposed"] = value.items[:200].tolist()
                    note.detail |= recorder.query.scratch.get(DETAIL, {}).get(stage.name, {})

    tasks = {asyncio.create_task(one(stage)): stage for stage in stages}
    if not tasks:
        return {}
    try:
        done, _ = await asyncio.wait(tasks, timeout=deadline / 1000)
    finally:
        # Also when the request itself is cancelled: nothing of it runs on.
        for task in tasks:
            if task.done():
                _looked_at(task)
            else:
                task.add_done_callback(_looked_at)
                task.cancel()
    for task in tasks:
        if task not in done or task.cancelled():
            recorder.late(tasks[task], kind, deadline)
        else:
            task.result()
    return {stage.name: found[stage.name] for stage in stages if stage.name in found}


def _looked_at(task: asyncio.Task[None]) -> None:
    """Take a task's error, so that one which nobody waits for any more is not reported as forgotten."""
    if not task.cancelled():
        task.exception()
