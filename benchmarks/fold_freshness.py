"""From an event's 202 to its visible state, while events come at half the rate that one consumer folds.

A server takes the events in batches, `kindred consume` folds them in a process of its own, and this process reads the
state's watermark. First the log is filled and folded as fast as it goes: that is the fold rate. Then batches are sent
at fixed times, an open loop; a batch is visible once the watermark has reached the position of its last event.

python -m benchmarks.fold_freshness [--seconds N] [--fill N]
"""

import argparse
import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.fold_speed import MIXES, events
from benchmarks.servers import Home, Server, machine, sample_home
from benchmarks.tracking import consumer
from kindred.app.stores import open_port
from kindred.core.position import Position
from kindred.ports.state import StateStore

_FILL_BATCH = 1_000
_BATCHES_A_SECOND = 20
_LOOK = 0.002
_PATIENCE = 300.0

Call = dict[str, Any]


def calls(mix: str, count: int) -> list[Call]:
    """Make up track calls of a mix, which happen when they are sent."""
    return [
        {"user_id": each.user_id, "event_type": each.event_type, "metadata": each.metadata}
        | ({"item_id": each.item_id} if each.item_id else {})
        for each in events(MIXES[mix], count)
    ]


class Run:
    """A client of the server, beside a reader of the state."""

    def __init__(self, client: httpx.AsyncClient, state: StateStore) -> None:
        """Nothing is sent yet."""
        self._client, self._state = client, state
        self._waiting: deque[tuple[Position, float]] = deque()
        self.waits: list[float] = []
        self.late: list[float] = []

    async def send(self, batch: Sequence[Call]) -> Position:
        """Send a batch and return the position of its last event."""
        answer = await self._client.post("/api/v1/track/batch", json={"events": batch})
        answer.raise_for_status()
        return Position.parse(answer.json()["results"][-1]["position"])

    async def fold_rate(self, made: Sequence[Call]) -> float:
        """Fill the log, and return the events a second until the state has caught up."""
        before = (await self._state.watermark()).offset
        started = time.perf_counter()
        for start in range(0, len(made), _FILL_BATCH):
            end = await self.send(made[start : start + _FILL_BATCH])
        await self._visible(end)
        return (end.offset - before) / (time.perf_counter() - started)

    async def at_rate(self, made: Sequence[Call], rate: float) -> None:
        """Send all at a fixed rate, whatever the answers do, and note from each 202 to its visible state."""
        size = max(round(rate / _BATCHES_A_SECOND), 1)
        watching, sending = asyncio.create_task(self._watch()), []
        started = time.perf_counter()
        for start in range(0, len(made), size):
            due = started + start / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            sending.append(asyncio.create_task(self._sent(made[start : start + size], due)))
        await asyncio.gather(*sending)
        while self._waiting:
            await asyncio.sleep(_LOOK)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    async def _sent(self, batch: Sequence[Call], due: float) -> None:
        end = await self.send(batch)
        acknowledged = time.perf_counter()
        self.late.append(acknowledged - due)
        self._waiting.append((end, acknowledged))

    async def _watch(self) -> None:
        while True:
            watermark, now = await self._state.watermark(), time.perf_counter()
            for _ in range(len(self._waiting)):
                end, acknowledged = self._waiting.popleft()
                if end <= watermark:
                    self.waits.append(now - acknowledged)
                else:
                    self._waiting.append((end, acknowledged))
            await asyncio.sleep(_LOOK)

    async def _visible(self, end: Position) -> None:
        deadline = time.perf_counter() + _PATIENCE
        while await self._state.watermark() < end:
            if time.perf_counter() > deadline:
                raise SystemExit(f"{end} is not folded after {_PATIENCE:.0f} s")
            await asyncio.sleep(_LOOK)


async def measure(home: Home, server: Server, mix: str, fill: int, seconds: float) -> list[str]:
    """Return the cells of one mix."""
    state = await open_port("state", "local:state", home.path)
    try:
        async with httpx.AsyncClient(base_url=server.url, headers=home.headers(), timeout=60) as client:
            run = Run(client, state)
            rate = await run.fold_rate(calls(mix, fill))
            await run.at_rate(calls(mix, round(seconds * rate / 2)), rate / 2)
    finally:
        await state.close()
    p50, p99 = np.percentile(run.waits, [50, 99])
    sent = np.percentile(run.late, 99)
    return [f"{rate:,.0f}", f"{rate / 2:,.0f}", *(f"{1000 * each:.0f}" for each in (p50, p99, max(run.waits), sent))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--fill", type=int, default=30_000, help="events by which the fold rate is measured")
    options, _ = parser.parse_known_args()
    table = Table(title=f"From the 202 to the visible state at half the fold rate ({machine()})")
    for column in ("events", "folded/s", "sent/s", "p50 ms", "p99 ms", "worst ms", "due to 202, p99 ms"):
        table.add_column(column, justify="left" if column == "events" else "right")
    with sample_home() as home:
        server = home.start("--no-consume")
        try:
            with consumer(home, wanted=True):
                for mix in MIXES:
                    table.add_row(mix, *asyncio.run(measure(home, server, mix, options.fill, options.seconds)))
        finally:
            server.stop()
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
