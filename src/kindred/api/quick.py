"""The short way of a tracked event from the socket to the log and back, for well-formed calls.

It answers 202 and nothing else, but for a log that takes nothing: every other call goes on to the framework, which
reads it again, spends its rate and says what is wrong. So both ways have one set of rules and one documentation.
"""

from typing import Literal, cast

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

from kindred.api.bodies import BATCH_ELEMENTS, BATCH_LIMIT, SINGLE_LIMIT
from kindred.api.limits import RateLimited
from kindred.api.problems import MEDIA_TYPE, headers_of, problem
from kindred.api.schemas.outcomes import BatchOutcome, ElementOutcome, EventOutcome
from kindred.api.tokens import TokenVerifier, may_track
from kindred.api.tracker import Tracker
from kindred.core.errors import KindredError
from kindred.core.event import Interaction
from kindred.core.position import Position
from kindred.ingest.quick_track import quick_event, quick_events
from kindred.ports.operations import Token

TRACK = "/api/v1/track"
TRACK_BATCH = "/api/v1/track/batch"

_LIMITS = {TRACK: SINGLE_LIMIT, TRACK_BATCH: BATCH_LIMIT}
_encode = msgspec.json.Encoder().encode
JSON = (b"content-type", b"application/json")
PROBLEM = (b"content-type", MEDIA_TYPE.encode())


class QuickTracking:
    """Stands before the framework and takes the tracked events that it can answer at once."""

    def __init__(self, inner: ASGIApp, tracker: Tracker, verifier: TokenVerifier) -> None:
        """Pass everything else on to `inner`."""
        self.inner = inner
        self._tracker = tracker
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        token = welcome(scope, self._verifier) if scope.get("path") in _LIMITS else None
        if token is None or not may_track(token, _origin(scope)):
            await self.inner(scope, receive, send)
            return
        path = scope["path"]
        body, messages = await read_body(receive, _LIMITS[path])
        events = None if body is None else self._events(path, body, token)
        if events is None:
            await self.inner(scope, again(messages, receive), send)
            return
        scope["path_template"] = path
        try:
            said = await (self._single(events[0]) if path == TRACK else self._batch(events))
        except KindredError as error:
            await answer(send, error.status, _encode(problem(error)), PROBLEM, headers_of(error))
        else:
            await answer(send, 202, said, JSON)

    def _events(self, path: str, body: bytes, token: Token) -> list[Interaction] | None:
        """Read what was sent and spend its rate; None for what has to be read carefully, or is over the rate."""
        tracker = self._tracker
        if path == TRACK:
            event = quick_event(body, tracker.rules, tracker.now())
            events = None if event is None else [event]
        else:
            events = quick_events(body, tracker.rules, tracker.now(), BATCH_ELEMENTS)
        if events is None:
            return None
        try:
            tracker.limit.spend(token.token_id, len(events))
        except RateLimited:
            return None
        return events

    async def _single(self, event: Interaction) -> bytes:
        ((_, position, repeated),) = await self._tracker.record([event])
        return _encode(event_outcome(event, position, repeated))

    async def _batch(self, events: list[Interaction]) -> bytes:
        tracked = await self._tracker.record(events)
        return _encode(BatchOutcome(accepted=len(tracked), rejected=0, results=[element(*each) for each in tracked]))


def _origin(scope: Scope) -> str | None:
    """Return the origin of the page that a call comes from."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None)


def welcome(scope: Scope, verifier: TokenVerifier) -> Token | None:
    """Return the token of a call that a short way may take: a POST of JSON, no parameters, a known token."""
    if scope["type"] != ScopeType.HTTP or scope["method"] != "POST" or scope["query_string"] or scope["root_path"]:
        return None
    authorization = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value
        elif name == b"content-type" and not value.startswith(b"application/json"):
            return None
    if authorization is None:
        return None
    return verifier.recall(authorization.decode("latin-1"))


def event_outcome(event: Interaction, position: Position, repeated: bool) -> EventOutcome:
    """Say what became of one event."""
    return EventOutcome(event_id=event.event_id, status=_status(repeated), position=str(position))


def element(event: Interaction, position: Position, repeated: bool) -> ElementOutcome:
    """Say what became of one event of a batch."""
    return ElementOutcome(status=_status(repeated), event_id=event.event_id, position=str(position))


def _status(repeated: bool) -> Literal["queued", "duplicate"]:
    return "duplicate" if repeated else "queued"


async def read_body(receive: Receive, limit: int) -> tuple[bytes | None, list[HTTPReceiveMessage]]:
    """Return the body, None where it is cut off or over `limit`, and the messages that it came in."""
    messages: list[HTTPReceiveMessage] = []
    parts: list[bytes] = []
    size = 0
    while size <= limit:
        message = cast(HTTPReceiveMessage, await receive())
        messages.append(message)
        if message["type"] != "http.request":
            return None, messages
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False):
            return (b"".join(parts) if size <= limit else None), messages
    return None, messages


def again(messages: list[HTTPReceiveMessage], receive: Receive) -> Receive:
    """Return a `receive` that gives the messages once more, then whatever comes."""
    left = iter(messages)

    async def replay() -> HTTPReceiveMessage:
        for message in left:
            return message
        return cast(HTTPReceiveMessage, await receive())

    return replay


async def answer(
    send: Send, status: int, body: bytes, kind: tuple[bytes, bytes], more: dict[str, str] | None = None
) -> None:
    """Send a whole answer."""
    headers = [kind, (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in (more or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
