"""The short way of a question for recommendations: read, asked and written without the framework.

It answers what is well formed and asks for nothing unusual; every other call goes on to the framework, which reads it
again and says what is wrong. So both ways have one set of rules and one documentation.
"""

from collections.abc import Iterable, Iterator

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from kindred.api.bodies import SINGLE_LIMIT
from kindred.api.decoding import decode
from kindred.api.limits import RateLimit
from kindred.api.platform import Platform
from kindred.api.problems import headers_of, problem
from kindred.api.quick import JSON, PROBLEM, again, answer, read_body, welcome
from kindred.api.routes.answers import recommended, response
from kindred.api.schemas.recommendation import RecommendationRequest, to_ask
from kindred.api.tokens import ADMIN, READ, TokenVerifier
from kindred.core.errors import KindredError
from kindred.ports.operations import Token
from kindred.recommend.ask import Ask, Served, ShownItem

RECOMMENDATIONS = "/api/v1/recommendations"
_EMPTY = b'{"recommendations":[]'
_encode = msgspec.json.Encoder().encode


class QuickRecommendations:
    """Stands before the framework and takes the questions that it can answer at once."""

    def __init__(self, inner: ASGIApp, app: Platform, verifier: TokenVerifier, limit: RateLimit) -> None:
        """Pass everything else on to `inner`."""
        self.inner = inner
        self._app = app
        self._verifier = verifier
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        ours = scope.get("path") == RECOMMENDATIONS
        token = welcome(scope, self._verifier) if ours else None
        if token is None or {READ, ADMIN}.isdisjoint(token.scopes):
            await self.inner(scope, receive, send)
            return
        body, messages = await read_body(receive, SINGLE_LIMIT)
        ask = None if body is None else self._ask(body, token)
        if ask is None:
            await self.inner(scope, again(messages, receive), send)
            return
        scope["path_template"] = RECOMMENDATIONS
        try:
            served = await self._app.serving.recommend(ask)
        except KindredError as error:
            await answer(send, error.status, _encode(problem(error)), PROBLEM, headers_of(error))
        except Exception:
            # The framework meets it again, logs it and says so.
            await self.inner(scope, again(messages, receive), send)
        else:
            await answer(send, 200, _whole(served), JSON)

    def _ask(self, body: bytes, token: Token) -> Ask | None:
        """Read a question and spend its rate; None for what has to be read carefully, or is over the rate."""
        try:
            asked = decode(RecommendationRequest, body)
            if asked.trace or asked.return_fields is not None:
                return None
            ask = to_ask(asked)
            self._limit.spend(token.token_id)
        except KindredError:
            return None
        return ask


def _whole(served: Served) -> bytes:
    """Write an answer around its items, which later answers may show again as they are."""
    rest = _encode(response(served, []))
    items = b",".join(map(_written, served.items) if served.written is None else _kept(served.items, served.written))
    return b'{"recommendations":[' + items + b"]" + rest[len(_EMPTY) :]


def _kept(items: Iterable[ShownItem], written: dict[int, bytes]) -> Iterator[bytes]:
    """Yield items as they were written before; those that were not are kept there."""
    for shown in items:
        said = written.get(shown.ordinal)
        if said is None:
            said = written[shown.ordinal] = _written(shown)
        yield said


def _written(shown: ShownItem) -> bytes:
    return _encode(recommended(shown))
