"""Who may call what, on every route."""

import pytest
from tests.e2e.api.stand_in import StandIn

from kindred.api.limits import HttpConfig
from kindred.api.server import create_asgi

CALLS = [
    ("read", "POST", "/api/v1/recommendations", {"user_id": "u"}),
    ("read", "POST", "/api/v1/search", {"query": "heat"}),
    ("read", "GET", "/api/v1/items/movie_1/similar", None),
    ("read", "GET", "/api/v1/users/u/similar", None),
    ("read", "GET", "/api/v1/trending", None),
    ("read", "GET", "/api/v1/popular", None),
    ("read", "GET", "/api/v1/items/movie_1", None),
    ("read", "GET", "/api/v1/items", None),
    ("read", "GET", "/api/v1/users", None),
    ("write", "POST", "/api/v1/track", {"user_id": "u", "item_id": "a", "event_type": "view"}),
    ("write", "POST", "/api/v1/track/batch", [{"user_id": "u", "item_id": "a", "event_type": "view"}]),
    ("write", "PUT", "/api/v1/items/x", {}),
    ("write", "POST", "/api/v1/items", [{"item_id": "x"}]),
    ("write", "DELETE", "/api/v1/items/movie_1", None),
    ("write", "PUT", "/api/v1/users/x", {}),
    ("write", "DELETE", "/api/v1/users/x", None),
    ("admin", "GET", "/api/v1/requests/rec_1/trace", None),
    ("admin", "POST", "/api/v1/recommendations", {"user_id": "u", "trace": True}),
    ("admin", "POST", "/api/v1/search", {"query": "heat", "trace": True}),
]


@pytest.mark.parametrize(("scope", "method", "path", "body"), CALLS)
async def test_only_the_scope_and_admin_are_let_in(
    app: StandIn, scope: str, method: str, path: str, body: object
) -> None:
    async with app.client(None) as client:
        answer = await client.request(method, path, json=body)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
    for other in {"read", "write"} - {scope}:
        async with app.client(other) as client:
            answer = await client.request(method, path, json=body)
            assert answer.status_code == 403
            assert "needs the scope" in answer.json()["detail"]
    assert app.journal.events == app.serving.asked == []
    async with app.client(scope) as client:
        assert (await client.request(method, path, json=body)).status_code in (200, 202)
    if method != "DELETE":
        async with app.client("admin") as client:
            assert (await client.request(method, path, json=body)).status_code in (200, 202)


async def test_over_the_rate_is_429_with_the_time_to_wait(app: StandIn) -> None:
    app.asgi = create_asgi(app, config=HttpConfig(rate=0.001, burst=2000))
    async with app.client("read") as client:
        statuses = [(await client.get("/api/v1/popular")).status_code for _ in range(3)]
        answer = await client.get("/api/v1/popular")
    assert statuses == [200, 200, 429]
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 500
    async with app.client("admin") as client:
        assert (await client.get("/api/v1/popular")).status_code == 200


async def test_a_bad_token_is_refused_before_the_body_is_read(app: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    secret = "kd_0123456789ab_" + "f" * 48
    async with app.client(None) as client:
        headers = {"Authorization": f"Bearer {secret}"}
        answer = await client.post("/api/v1/recommendations", content=b"{broken", headers=headers)
    assert answer.status_code == 401
    assert secret not in answer.text + caplog.text
