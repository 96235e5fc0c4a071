"""Publishable tokens: events from the pages of some origins, and nothing else."""

import httpx
import pytest
from tests.e2e.api.stand_in import NOW, StandIn, stand_in

from kindred.api.limits import HttpConfig
from kindred.api.server import create_asgi
from kindred.api.tokens import mint_publishable
from kindred.core.errors import InvalidInput

SHOP, OTHER = "https://shop.example", "https://other.example"
EVENT = {"user_id": "u", "item_id": "1", "event_type": "view"}


async def shop() -> tuple[StandIn, httpx.AsyncClient]:
    app = await stand_in()
    text, token = mint_publishable([SHOP, "http://localhost:3000/"], "shop", NOW)
    assert token.scopes == ("track@https://shop.example", "track@http://localhost:3000")
    await app.stores.tokens.add(token)
    app.asgi = create_asgi(app, config=HttpConfig(queue_target=0, origins=(SHOP,)))
    client = app.client(None)
    client.headers["Authorization"] = f"Bearer {text}"
    return app, client


@pytest.mark.parametrize(("path", "body"), [("/api/v1/track", EVENT), ("/api/v1/track/batch", {"events": [EVENT]})])
async def test_it_tracks_from_its_pages_the_short_way_too(path: str, body: dict) -> None:
    app, client = await shop()
    for origin, status in ((SHOP, 202), (SHOP, 202), ("http://localhost:3000", 202), (OTHER, 403), (None, 403)):
        headers = {} if origin is None else {"Origin": origin}
        answer = await client.post(path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        shared = answer.headers.get("access-control-allow-origin")
        assert shared == (SHOP if origin == SHOP else None)
    assert len(app.journal.events) == 3


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/recommendations"),
        ("GET", "/api/v1/items/1"),
        ("PUT", "/api/v1/items/1"),
        ("DELETE", "/api/v1/items/1"),
        ("GET", "/api/v1/users/u/history"),
        ("POST", "/api/v1/catalog/sync"),
    ],
)
async def test_it_is_good_for_nothing_else(method: str, path: str) -> None:
    _, client = await shop()
    for _ in range(2):
        body = {"user_id": "u"} if method in ("POST", "PUT") else None
        answer = await client.request(method, path, json=body, headers={"Origin": SHOP})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


async def test_browsers_may_ask_before_only_from_configured_origins_and_only_for_events() -> None:
    _, client = await shop()
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for path in ("/api/v1/track", "/api/v1/track/batch"):
        allowed = await client.options(path, headers={"Origin": SHOP, **asks})
        assert allowed.status_code == 204
        assert allowed.headers["access-control-allow-origin"] == SHOP
        assert allowed.headers["access-control-allow-methods"] == "POST"
        assert {"authorization", "content-type"} <= set(allowed.headers["access-control-allow-headers"].split(", "))
        assert allowed.headers["vary"] == "origin"
    for origin, path in ((OTHER, "/api/v1/track"), (SHOP, "/api/v1/recommendations")):
        refused = await client.options(path, headers={"Origin": origin, **asks})
        assert "access-control-allow-origin" not in refused.headers


async def test_a_page_can_read_why_its_event_was_refused() -> None:
    _, client = await shop()
    answer = await client.post("/api/v1/track", json={"user_id": "u"}, headers={"Origin": SHOP})
    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == SHOP


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/path", "*", "ftp://shop.example", ""])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(InvalidInput, match="origin"):
        mint_publishable([origin], "", NOW)
