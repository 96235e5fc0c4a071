"""The OpenAPI document, its pages, and that both speak of exactly what is served."""

import re

import httpx
from litestar import Litestar
from litestar.routes import HTTPRoute
from tests.e2e.api.stand_in import StandIn


async def _document(client: httpx.AsyncClient) -> dict:
    return (await client.get("/openapi.json")).json()


async def test_documented_calls_are_exactly_the_served_ones(app: StandIn, client: httpx.AsyncClient) -> None:
    framework = app.asgi
    while not isinstance(framework, Litestar):
        framework = framework.inner if hasattr(framework, "inner") else framework._inner
    served = {
        (re.sub(r":str\}", "}", route.path), method)
        for route in framework.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"OPTIONS"}
    }
    document = await _document(client)
    documented = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert documented == served
    assert len(served) > 20


async def test_every_reference_leads_somewhere_and_bodies_are_closed(client: httpx.AsyncClient) -> None:
    document = await _document(client)
    schemas = document["components"]["schemas"]
    referred = set(re.findall(r'"\$ref":\s*"#/components/schemas/([^"]+)"', (await client.get("/openapi.json")).text))
    assert referred <= set(schemas)
    for name in (
        "RecommendationRequest",
        "RequestFilters",
        "Boost",
        "TrackCall",
        "TrackContext",
        "ItemBody",
        "UserBody",
    ):
        assert schemas[name]["additionalProperties"] is False
    count = schemas["RecommendationRequest"]["properties"]["count"]
    assert (count["minimum"], count["maximum"], count["default"]) == (1, 100, 20)


async def test_scopes_are_documented_as_they_are_enforced(app: StandIn, client: httpx.AsyncClient) -> None:
    document = await _document(client)
    async with app.client(None) as anonymous:
        for path, item in document["paths"].items():
            for method, call in item.items():
                needs = [scope for each in call["security"] for scope in each.get("bearer", [])]
                answer = await anonymous.request(method, path.replace("{item_id}", "movie_1"))
                assert (answer.status_code == 401) == bool(needs), (method, path)


async def test_pages_need_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    for path in ("/docs", "/docs/errors"):
        page = await client.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert not re.search(r"(src|href)=\"(https?:)?//", page.text)
    assert "/api/v1/recommendations" in (await client.get("/docs")).text


async def test_problem_types_lead_to_their_explanation(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs/errors")).text
    for answer in (
        await client.get("/nowhere"),
        await client.patch("/docs"),
        await client.post("/api/v1/recommendations", content=b"{"),
        await client.post("/api/v1/recommendations", json={"user_id": "u", "experiment_id": "t"}),
    ):
        path, _, anchor = answer.json()["type"].partition("#")
        assert path == "/docs/errors"
        assert f'id="{anchor}"' in page
