"""Clients that keep sending events to a server that keeps dying, and remember what they were told."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx

from kindred.core.position import Position

# So many that what is sent again half a minute later is still among the 256 ids that a user's record remembers.
USERS = [f"u{number}" for number in range(64)]
DEVICES = ("mobile", "fridge")
TYPES = ("view", "click", "add_to_cart")


def first_time() -> int:
    """Return a time (ms) to begin with: half a day ago, so that senders stay behind the clock for hours."""
    return int(time.time() * 1000) - 43_200_000


class _Refused(Exception):
    """The server said that the log cannot take the events now."""


def _check_refused(answer: httpx.Response) -> None:
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) >= 1
        raise _Refused


@dataclass(slots=True)
class Told:
    """What clients know: acknowledged events by timestamp (unique to each event), and those that got no answer."""

    acknowledged: dict[int, Position] = field(default_factory=dict)
    uncertain: set[int] = field(default_factory=set)
    sent: dict[int, dict[str, Any]] = field(default_factory=dict)


class Sender:
    """Sends single events and batches, with ids and without, as fast as it is answered."""

    def __init__(self, number: int, base: int, told: Told) -> None:
        """`base` is the time (ms) of the first event; senders share `told`."""
        self._number, self._told = number, told
        self._random = random.Random(number)
        self._times: Iterator[int] = count(base + number, 16)

    def _event(self) -> tuple[int, dict[str, Any]]:
        timestamp = next(self._times)
        seconds, thousandths = divmod(timestamp, 1000)
        event: dict[str, Any] = {
            "user_id": self._random.choice(USERS),
            "item_id": f"item-{self._random.randrange(50)}",
            "event_type": self._random.choice(TYPES),
            "timestamp": _iso(seconds, thousandths),
            "context": {"device": self._random.choice(DEVICES)},
        }
        if self._random.random() < 0.5:
            event["event_id"] = f"id-{timestamp}"
        self._told.sent[timestamp] = event
        return timestamp, event

    async def run(self, client: httpx.AsyncClient, stop: asyncio.Event) -> None:
        """Send until `stop`; what has an id is sent again until it is acknowledged, what has none never twice."""
        while not stop.is_set():
            events = [self._event() for _ in range(1 if self._random.random() < 0.6 else self._random.randint(2, 20))]
            await self._deliver(client, events)
            await asyncio.sleep(self._random.random() * 0.004)

    async def _deliver(self, client: httpx.AsyncClient, events: list[tuple[int, dict[str, Any]]]) -> None:
        while events:
            try:
                self._note(events, await self._send(client, [event for _, event in events]))
                return
            except httpx.ConnectError:
                # Refused before anything was sent: all of it may be sent again.
                await asyncio.sleep(0.02)
            except _Refused:
                # Nothing was claimed, though some of it may stand in a log that did not answer in time.
                self._told.uncertain.update(timestamp for timestamp, event in events if "event_id" not in event)
                events = [(timestamp, event) for timestamp, event in events if "event_id" in event]
                await asyncio.sleep(0.2)
            except httpx.TransportError:
                self._told.uncertain.update(timestamp for timestamp, event in events if "event_id" not in event)
                events = [(timestamp, event) for timestamp, event in events if "event_id" in event]
                await asyncio.sleep(0.02)

    async def _send(self, client: httpx.AsyncClient, events: list[dict[str, Any]]) -> list[str]:
        if len(events) == 1:
            answer = await client.post("/api/v1/track", json=events[0])
            _check_refused(answer)
            assert answer.status_code == 202, answer.text
            return [answer.json()["position"]]
        answer = await client.post("/api/v1/track/batch", json={"events": events})
        _check_refused(answer)
        assert answer.status_code == 202, answer.text
        return [row["position"] for row in answer.json()["results"]]

    def _note(self, events: list[tuple[int, dict[str, Any]]], positions: list[str]) -> None:
        for (timestamp, _), position in zip(events, positions, strict=True):
            self._told.acknowledged[timestamp] = Position.parse(position)


def _iso(seconds: int, thousandths: int) -> str:
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%dT%H:%M:%S}.{thousandths:03d}Z"
