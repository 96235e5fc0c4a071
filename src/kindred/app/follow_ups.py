"""What follows answers, done for those of a moment together."""

import asyncio
from typing import NamedTuple

from kindred.core.query import Query
from kindred.core.slate import Slate
from kindred.pipeline.funnel import Funnel
from kindred.pipeline.runner import Runner
from kindred.ports.telemetry import Meter

GATHER_SECONDS = 0.1
PENDING = 10_000


class _Answered(NamedTuple):
    """A query with the slate that answered it, and through which funnel."""

    funnel: Funnel
    query: Query
    slate: Slate


class FollowUps:
    """Runs the effects of answers in batches: each takes what came within a tenth of a second.

    A write per request costs a sync, a fold and a commit each, in the time of the requests that follow.
    """

    def __init__(self, runner: Runner, meter: Meter) -> None:
        """Run effects with `runner`; count with `meter` the answers that nothing follows."""
        self._runner, self._meter = runner, meter
        self._batch: list[_Answered] = []
        self._gathering: asyncio.Task[None] | None = None
        self._running: dict[str, asyncio.Task[None]] = {}

    def add(self, funnel: Funnel, query: Query, slate: Slate) -> None:
        """Have the effects of an answer run, unless those of too many others wait."""
        if len(self._running) >= PENDING:
            self._meter.count("effects_dropped")
            return
        if self._gathering is None:
            self._gathering = asyncio.create_task(self._run())
        self._batch.append(_Answered(funnel, query, slate))
        self._running[query.request_id] = self._gathering

    async def done_with(self, request_id: str) -> None:
        """Return once the effects of a request are over, if they are on their way."""
        running = self._running.get(request_id)
        if running is not None:
            await asyncio.wait([running])

    async def drain(self) -> None:
        """Wait for what is on its way."""
        await asyncio.gather(*set(self._running.values()), return_exceptions=True)
        await self._runner.drain()

    async def _run(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        batch, self._batch, self._gathering = self._batch, [], None
        funnels = {id(each.funnel): each.funnel for each in batch}
        try:
            for key, funnel in funnels.items():
                await self._runner.effects(
                    funnel, [(each.query, each.slate) for each in batch if id(each.funnel) == key]
                )
        finally:
            for each in batch:
                self._running.pop(each.query.request_id, None)
