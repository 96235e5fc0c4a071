"""The way in of bodies: each arrives in time, and all that a process holds at once are bounded."""

import asyncio
from typing import cast

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

from kindred.api.problems import RequestTimeout, headers_of, problem
from kindred.api.quick import PROBLEM, answer
from kindred.core.errors import Overloaded

SECONDS = 30.0
"""Within so many seconds a body has to be whole, from when it is asked for."""
HELD = 128 << 20
"""Bytes of bodies that one process holds at once, whole or not, until their calls are answered."""


class BodiesHeld(Overloaded):
    """The process holds as many bodies as it may; nothing was claimed."""


class Intake:
    """Wraps the application and counts what its calls receive; a body that nobody asks for is never received."""

    def __init__(self, inner: ASGIApp, seconds: float = SECONDS, held: int = HELD) -> None:
        """Wrap `inner`."""
        self._inner, self._seconds, self._most = inner, seconds, held
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call; a body that is late is a 408, one too many a 503."""
        if scope["type"] != ScopeType.HTTP or scope["method"] == "GET":
            await self._inner(scope, receive, send)
            return
        body = _Body(self, receive)
        try:
            await self._inner(scope, body.receive, send)
        except (RequestTimeout, BodiesHeld) as error:
            await answer(send, error.status, msgspec.json.encode(problem(error)), PROBLEM, headers_of(error))
        finally:
            self.held -= body.size

    async def part(self, receive: Receive, until: float) -> HTTPReceiveMessage:
        """Return what comes next of a body; raise RequestTimeout at `until` (seconds of the loop's clock)."""
        try:
            async with asyncio.timeout_at(until):
                return cast(HTTPReceiveMessage, await receive())
        except TimeoutError as error:
            raise RequestTimeout(f"the body did not arrive within {self._seconds:g} s") from error

    def deadline(self) -> float:
        """Return when a body that is asked for now has to be whole."""
        return asyncio.get_running_loop().time() + self._seconds

    def hold(self, size: int) -> None:
        """Count bytes; raise BodiesHeld where they are too many."""
        self.held += size
        if self.held > self._most:
            raise BodiesHeld(f"calls that wait for their answer hold {self._most >> 20} MiB already")


class _Body:
    """One call's body: how much of it came, and until when the rest has to."""

    def __init__(self, intake: Intake, receive: Receive) -> None:
        self._intake, self._receive = intake, receive
        self._until: float | None = None
        self._whole = False
        self.size = 0

    async def receive(self) -> HTTPReceiveMessage:
        if self._whole:
            return cast(HTTPReceiveMessage, await self._receive())
        if self._until is None:
            self._until = self._intake.deadline()
        message = await self._intake.part(self._receive, self._until)
        if message["type"] != "http.request":
            self._whole = True
            return message
        size = len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        self.size += size
        self._intake.hold(size)
        return message
