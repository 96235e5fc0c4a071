"""Lets questions in as fast as they can be answered, by how long they wait; the rest is refused at once.

Calls wait before a gate rather than inside the event loop, where all would be slow together. As in CoDel (Nichols and
Jacobson, 2012), what counts is how long a call waits and not how many do. In a short burst a call may take half as long
again as the target until it is answered; once calls have waited without a break for an interval, each may take the
target; and while calls are refused, those let in wait for half of it, as what cannot all be served need not also be
served late. What was read late by a loop that had too much to do counts as having waited.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from kindred.api.bodies import BATCH_LIMIT, SINGLE_LIMIT, TOGETHER
from kindred.api.problems import MEDIA_TYPE, problem
from kindred.api.quick import again, read_body
from kindred.api.schemas.slates import MOST_REQUESTS, MOST_ROWS
from kindred.api.tokens import ADMIN, READ, TokenVerifier
from kindred.core.errors import KindredError, Overloaded
from kindred.ports.telemetry import Meter
from kindred.recommend.pressure import Pressure

INTERVAL = 0.1
"""Seconds for which calls wait without a break before the queue is one that does not dissolve by itself."""
LEAST, MOST = 2, 1_000
"""Calls that are answered side by side: one process has one core, and more only help where they wait for stores."""
_START = 8
# A loop that comes round faster than this (seconds) has nothing to do.
_IDLE = 0.001
_WEIGHT = 0.1
# Of the target, what a call of a short burst may take until it is answered.
_BURST = 1.5
# While calls wait, someone looks after them so often (seconds), also where no call leaves.
_LOOK = INTERVAL / 4
_LONGEST_RETRY = 3
_OK = 200


class _Rows(msgspec.Struct):
    asked: list[msgspec.Raw] = msgspec.field(name="rows", default_factory=list)


class _Requests(msgspec.Struct):
    asked: list[msgspec.Raw] = msgspec.field(name="requests", default_factory=list)


# The bodies of calls that ask several questions, and how many they may.
_MANY: dict[str, tuple[Any, int]] = {
    "/api/v1/recommendations/batch": (_Requests | list[msgspec.Raw], MOST_REQUESTS),
    "/api/v1/recommendations/page": (_Rows, MOST_ROWS),
}
_QUESTIONS = ("/api/v1/recommendations", "/api/v1/search")


class Load(NamedTuple):
    """What a call weighs: how many places it takes, and how many questions are answered there one after another."""

    places: int = 1
    questions: int = 1


ONE = Load()


class Gate:
    """Counts the places taken inside, and lets calls that wait in as others leave.

    A call of many questions may take more places than there are left: it would never come in otherwise.
    """

    def __init__(self, target: float, pressure: Pressure, ticks: Callable[[], float] = time.monotonic) -> None:
        """Have calls wait for `target` seconds at most while the queue stands, and tell `pressure` when it does."""
        self._target, self._pressure, self._ticks = target, pressure, ticks
        self._waiting: deque[tuple[float, Load, asyncio.Future[float | None]]] = deque()
        self._room, self._inside, self._queued = _START, 0, 0
        self._since: float | None = None
        self._refused = float("-inf")
        self._left: float | None = None
        # Smoothed seconds: from one call that left to the next, inside, and until the loop comes round.
        self._gap, self._stay, self._lag = 0.0, 0.0, 0.0
        # Seconds until the loop came round the last time: as long may have waited, unread, what is read now.
        self._round = 0.0
        self._judged = ticks()
        self._looking: asyncio.TimerHandle | None = None

    def enter_at_once(self, load: Load = ONE) -> float | None:
        """Let a call in if nobody waits and there is room; return when it came in, None when it did not."""
        if self._waiting or self._inside >= self._room:
            return None
        return self._admit(self._ticks(), load)

    async def enter(self, load: Load = ONE) -> float | None:
        """Wait for a place inside; return when the call came in, None when it is refused."""
        now = self._ticks()
        if self._queued >= self._room and (self._queued + 1) * self._gap > self._patience(now):
            self._refuse(now)
            return None
        place: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._since = now
        self._waiting.append((now - self._round, load, place))
        self._queued += load.places
        self._measure(now)
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_LOOK, self._look)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and (entered := place.result()) is not None:
                self.leave(entered, load, answered=False)
            raise

    def leave(self, entered: float, load: Load = ONE, *, answered: bool = True) -> None:
        """Give the places of a call that came in at `entered` to those who wait.

        Not `answered`: nothing is learned of how long an answer takes.
        """
        self._inside -= load.places
        now = self._ticks()
        if answered:
            each = (now - entered) * load.places / load.questions
            self._stay += (1 - (1 - _WEIGHT) ** load.questions) * (each - self._stay)
        self._judge(now)
        if self._waiting:
            if self._left is not None:
                gap = (now - self._left) / load.places
                self._gap += (_WEIGHT if self._gap else 1.0) * (gap - self._gap)
            self._left = now
        else:
            self._left = None
        self._let_in(now)

    def _look(self) -> None:
        now = self._ticks()
        self._judge(now)
        self._let_in(now)
        again = asyncio.get_running_loop().call_later(_LOOK, self._look) if self._waiting else None
        self._looking = again

    def _let_in(self, now: float) -> None:
        """Let in whoever there is room for, and refuse whoever has waited for too long."""
        while self._waiting:
            came, load, place = self._waiting[0]
            late = now - came > self._patience(now)
            if not (place.done() or late or self._inside < self._room):
                return
            self._waiting.popleft()
            self._queued -= load.places
            if place.done():
                continue
            if now - came > self._target / 2:
                self._pressure.rise()
            if late:
                self._refuse(now)
            place.set_result(None if late else self._admit(now, load))
        self._since = None

    def _patience(self, now: float) -> float:
        """Return how long a call may wait, in seconds."""
        least = self._target / 2
        if now - self._refused < INTERVAL:
            return least
        standing = self._since is not None and now - self._since > INTERVAL
        whole = self._target if standing else _BURST * self._target
        # What is let in has yet to be answered.
        return max(whole - self._stay, least)

    def _refuse(self, now: float) -> None:
        self._refused = now
        self._pressure.rise()

    def _admit(self, now: float, load: Load) -> float:
        self._inside += load.places
        self._measure(now)
        return now

    def _measure(self, now: float) -> None:
        """Learn how long what is ready now waits until the loop comes round."""
        asyncio.get_running_loop().call_soon(self._came_round, now)

    def _came_round(self, asked: float) -> None:
        self._round = self._ticks() - asked
        self._lag += _WEIGHT * (self._round - self._lag)

    def _judge(self, now: float) -> None:
        """Ten times a second: make room while calls wait though the loop has time, take it back where it has not."""
        if now - self._judged < INTERVAL:
            return
        self._judged = now
        idle = self._lag < _IDLE
        if self._stay > self._target / 4 and not idle:
            self._room = max(LEAST, self._room * 3 // 4)
        elif self._waiting and (idle or self._stay < self._target / 8):
            self._room = min(MOST, self._room + max(1, self._room // 4))


class Admission:
    """Stands before the application; health, metrics, documents, events and changes always pass.

    Events are refused by the log when it cannot take them: to record one costs no more than to refuse it.
    """

    def __init__(self, inner: ASGIApp, gate: Gate, meter: Meter, verifier: TokenVerifier) -> None:
        """Pass on to `inner` what `gate` lets in; count with `meter` what it does not."""
        self._inner, self._gate, self._meter, self._verifier = inner, gate, meter, verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call, or refuse it."""
        if scope["type"] != ScopeType.HTTP or not _is_question(scope):
            await self._inner(scope, receive, send)
            return
        load = ONE
        if scope["method"] != "GET":
            if not await self._may_ask(scope):
                # Refused without a look at the body.
                await self._inner(scope, receive, send)
                return
            # A body that never comes takes no place.
            limit = BATCH_LIMIT if scope["path"].endswith("/batch") else SINGLE_LIMIT
            body, messages = await read_body(receive, limit)
            receive = again(messages, receive)
            load = _load(scope["path"], body)
        entered = self._gate.enter_at_once(load)
        if entered is None:
            came = time.perf_counter()
            entered = await self._gate.enter(load)
            if entered is None:
                self._meter.count("http_refused")
                await _refuse(send)
                return
            self._meter.observe("queue_seconds", time.perf_counter() - came)
        answered = False

        async def watched(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = message["status"] == _OK
            await send(message)

        try:
            await self._inner(scope, receive, watched)
        finally:
            self._gate.leave(entered, load, answered=answered)

    async def _may_ask(self, scope: Scope) -> bool:
        """Say whether a call has a token that is good for questions."""
        found = next((value for name, value in scope["headers"] if name == b"authorization"), b"").decode("latin-1")
        try:
            token = self._verifier.recall(found) or await self._verifier.verify(found)
        except KindredError:
            return False
        return not {READ, ADMIN}.isdisjoint(token.scopes)


def _load(path: str, body: bytes | None) -> Load:
    """Return what a call weighs by its body; what cannot be read, or is too much, weighs little: it is only refused."""
    kind, most = _MANY.get(path, (None, 0))
    if kind is None or body is None:
        return ONE
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = msgspec.json.decode(body, type=kind)
        questions = len(found if isinstance(found, list) else found.asked)
        if not 1 <= questions <= most:
            return ONE
        # The rows of a page are answered one after another.
        return Load(1 if kind is _Rows else min(questions, TOGETHER), questions)
    return ONE


def _is_question(scope: HTTPScope) -> bool:
    if scope["method"] == "GET":
        return scope["path"].startswith("/api/")
    return scope["path"].startswith(_QUESTIONS)


_BODY = msgspec.json.encode(problem(Overloaded("more calls come than this server can answer; nothing was claimed")))
# Whoever was refused must not come back all at once.
_HEADERS: list[list[tuple[bytes, bytes]]] = [
    [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(_BODY)),
        (b"retry-after", b"%d" % seconds),
    ]
    for seconds in range(1, _LONGEST_RETRY + 1)
]


async def _refuse(send: Send) -> None:
    start: Any = {"type": "http.response.start", "status": Overloaded.status, "headers": random.choice(_HEADERS)}
    await send(start)
    await send({"type": "http.response.body", "body": _BODY, "more_body": False})
