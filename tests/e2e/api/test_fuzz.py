"""All routes under generated calls: never a 500, every failure a problem, every answer as the document says."""

import asyncio
from typing import Any
from urllib.parse import quote_from_bytes, unquote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from tests.e2e.api.stand_in import StandIn, stand_in

_BRIEF = settings(
    max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
_UNVARYING = {"/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs", "/docs/errors"}


@pytest.fixture(scope="module")
def served() -> StandIn:
    """Return one application for all generated calls."""
    return asyncio.run(stand_in())


def _check(status: int, content_type: str) -> None:
    assert status < 500
    if status >= 400:
        assert content_type == "application/problem+json"


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.name.lower())
def test_generated_calls_answer_as_documented(served: StandIn, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", served.asgi)
    headers = {"Authorization": f"Bearer {served.tokens['admin']}"}
    operations = [found.ok() for found in schema.get_all_operations()]
    varying = [each for each in operations if each.path not in _UNVARYING and not each.path.endswith(".svg")]
    assert len(varying) >= 17
    for operation in varying:
        _exercise(operation, mode, headers)


def _exercise(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> None:
    @_BRIEF
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        answer = case.call(headers=headers)
        _check(answer.status_code, answer.headers["content-type"][0])
        operation.validate_response(answer)

    run()


async def _status(app: StandIn, method: str, path: bytes, query: bytes, token: bytes, body: bytes) -> tuple[int, str]:
    sent: list[dict[str, Any]] = []
    raw = quote_from_bytes(path, safe="/%").encode()
    scope = {
        "type": "http", "method": method, "path": unquote(raw.decode()), "raw_path": raw, "query_string": query,
        "headers": [(b"host", b"kindred"), (b"authorization", token)], "http_version": "1.1", "scheme": "http",
        "client": ("127.0.0.1", 1), "server": ("kindred", 80), "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app.asgi(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]).get(b"content-type", b"").decode()


_PREFIXES = st.sampled_from(
    [b"/", b"/api/v1/items/", b"/api/v1/users/", b"/api/v1/items/a/", b"/api/v1/requests/", b"/api/v1/trending"]
)
_NAMES = st.sampled_from([b"count", b"limit", b"after", b"window", b"exclude_items", b"user_id", b"%ff", b"a[]"])


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "X"]),
    path=st.tuples(_PREFIXES, st.binary(max_size=20)).map(b"".join),
    query=st.lists(st.tuples(_NAMES, st.binary(max_size=8)).map(b"=".join), max_size=3).map(b"&".join),
    token=st.just(None) | st.binary(max_size=30),
    body=st.binary(max_size=40),
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_anywhere_are_answered(
    served: StandIn, method: str, path: bytes, query: bytes, token: bytes | None, body: bytes
) -> None:
    header = f"Bearer {served.tokens['admin']}".encode() if token is None else token
    _check(*asyncio.run(_status(served, method, path, query, header, body)))
