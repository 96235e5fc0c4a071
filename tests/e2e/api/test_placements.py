"""Placements over HTTP: read, replaced as a whole, rolled back; what is wrong is named and changes nothing."""

from typing import Any

import httpx
import pytest
from tests.e2e.api.stand_in import NOW, StandIn

from kindred.core.clock import format_time

PIN = {"kind": "pin", "items": ["movie_1"], "slot": 1}
HOME = {"home": {"rules": [PIN]}}


async def put(client: httpx.AsyncClient, placements: Any, expected: int = 0, query: str = "", **more: Any) -> Any:
    body = {"expected_version": expected, "placements": placements, **more}
    return await client.put(f"/api/v1/placements{query}", json=body)


async def shown(client: httpx.AsyncClient, query: str = "") -> Any:
    answer = await client.get(f"/api/v1/placements{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_before_the_first_version_the_settings_hold(app: StandIn, client: httpx.AsyncClient) -> None:
    said = await shown(client)
    assert (said["version"], said["created"], said["placements"], said["serving"]) == (0, None, {}, 0)
    assert said["effective"]["home"]["count"] == 10
    assert (await client.get("/api/v1/placements/versions")).json() == {"versions": [], "next_before": None}


async def test_a_version_replaces_what_it_names_and_leaves_the_rest(app: StandIn, client: httpx.AsyncClient) -> None:
    """It says whose token made it; the server that took it serves it at once."""
    done = await put(client, HOME, note="the sale")
    assert (done.status_code, done.json()) == (200, {"status": "stored", "version": 1, "changed": ["home"]})
    said = await shown(client)
    about = (said["version"], said["created"], said["author"], said["note"], said["serving"])
    assert about == (1, format_time(NOW), "admin", "the sale", 1)
    assert said["placements"] == HOME
    home, search = app.placements.now.by_name["home"], app.placements.now.by_name["search"]
    assert (home.count, home.rules[0].items, search.rules) == (20, ("movie_1",), ())
    assert said["effective"]["home"]["rules"][0]["slot"] == 1
    await put(client, {"search": {"count": 7}}, 1)
    assert app.placements.now.by_name["home"] == app.placements.configured["home"]
    assert app.placements.now.by_name["search"].count == 7


async def test_who_was_first_wins(app: StandIn, client: httpx.AsyncClient) -> None:
    await put(client, HOME)
    late = await put(client, {"search": {"count": 3}})
    assert late.status_code == 409
    assert "at version 1, not 0" in late.json()["detail"]
    assert (await shown(client))["placements"] == HOME
    assert (await put(client, {}, 5)).status_code == 409


async def test_a_dry_run_changes_nothing(app: StandIn, client: httpx.AsyncClient) -> None:
    """It says what would change, and finds what is wrong."""
    await put(client, HOME)
    dry = await put(client, {"search": {"count": 3}}, 1, "?dry_run=true")
    assert dry.json() == {"status": "dry_run", "version": 2, "changed": ["home", "search"]}
    assert (await put(client, {"search": {"count": 0}}, 1, "?dry_run=true")).status_code == 400
    assert (await put(client, {}, 0, "?dry_run=true")).status_code == 409
    assert (await shown(client))["version"] == app.placements.now.version == 1


async def test_an_earlier_version_comes_back_as_a_new_one(app: StandIn, client: httpx.AsyncClient) -> None:
    await put(client, HOME)
    await put(client, {"search": {"count": 3}}, 1)
    back = await client.post("/api/v1/placements/rollback", json={"version": 1, "expected_version": 2})
    assert (back.status_code, back.json()["version"]) == (200, 3)
    said = await shown(client)
    assert (said["placements"], said["note"]) == (HOME, "back to version 1")
    late = await client.post("/api/v1/placements/rollback", json={"version": 2, "expected_version": 2})
    assert late.status_code == 409
    base = await client.post("/api/v1/placements/rollback", json={"version": 0})
    assert (base.json()["version"], dict(app.placements.now.by_name)) == (4, app.placements.configured)
    for version in (9, 5):
        unknown = await client.post("/api/v1/placements/rollback", json={"version": version})
        assert (unknown.status_code, "newest is 4" in unknown.json()["detail"]) == (404, True)


async def test_versions_are_listed_by_pages_and_read_one_by_one(app: StandIn, client: httpx.AsyncClient) -> None:
    for version in range(5):
        await put(client, {"home": {"count": version + 1}}, version, note=f"note {version + 1}")
    first = (await client.get("/api/v1/placements/versions?limit=2")).json()
    assert [each["note"] for each in first["versions"]] == ["note 5", "note 4"]
    assert first["next_before"] == 4
    rest = (await client.get("/api/v1/placements/versions?limit=3&before=4")).json()
    assert ([each["version"] for each in rest["versions"]], rest["next_before"]) == ([3, 2, 1], None)
    assert (await shown(client, "?version=2"))["placements"] == {"home": {"count": 2}}
    assert (await shown(client, "?version=0"))["placements"] == {}
    assert (await client.get("/api/v1/placements?version=6")).status_code == 404
    assert (await client.get("/api/v1/placements/versions?limit=101")).status_code == 400


BAD = [
    ({"hoem": {}}, "/placements/hoem", "did you mean `home`"),
    ({"home": 3}, "/placements/home", "must be an object"),
    ({"home": {"cuont": 3}}, "/placements/home/cuont", "did you mean `count`"),
    ({"home": {"count": 0}}, "/placements/home/count", ">= 1"),
    ({"home": {"diversity": "much"}}, "/placements/home/diversity", "must be"),
    ({"home": {"disabled": ["seen", "sen"]}}, "/placements/home/disabled", "did you mean `seen`"),
    ({"home": {"disabled": ["available"]}}, "/placements/home/disabled", "cannot be switched off"),
    ({"home": {"weights": {"als": -1}}}, "/placements/home/weights", "at least 0"),
    ({"home": {"rules": {}}}, "/placements/home/rules", "must be"),
    ({"home": {"rules": [PIN, 1]}}, "/placements/home/rules/1", "must be an object"),
    ({"home": {"rules": [PIN, {"kind": "pin", "items": ["a"]}]}}, "/placements/home/rules/1", "needs `slot`"),
    ({"home": {"rules": [{**PIN, "where": "x"}]}}, "/placements/home/rules/0/where", "unknown"),
    ({"home": {"rules": [{**PIN, "slot": 101}]}}, "/placements/home/rules/0/slot", "<= 100"),
    ({"home": {"rules": [{**PIN, "kind": "pim"}]}}, "/placements/home/rules/0", "did you mean `pin`"),
    ({"home": {"rules": [PIN, {**PIN, "items": ["b"]}]}}, "/placements/home/rules", "two pins"),
    ({"a/b": {}}, "/placements/a~1b", "unknown"),
]


@pytest.mark.parametrize(("document", "pointer", "said"), BAD, ids=[f"{pointer} {said}" for _, pointer, said in BAD])
async def test_what_is_wrong_is_named_and_changes_nothing(
    app: StandIn, client: httpx.AsyncClient, document: Any, pointer: str, said: str
) -> None:
    refused = await put(client, document)
    assert refused.status_code == 400
    ((found, detail),) = [(fault["pointer"], fault["detail"]) for fault in refused.json()["errors"]]
    assert (found, said in detail) == (pointer, True), detail
    assert await app.rules.newest() is None


async def test_all_that_is_wrong_is_told_at_once(client: httpx.AsyncClient) -> None:
    refused = await put(client, {"home": {"count": 0}, "serach": {}, "search": {"rules": [{}, {"slto": 1}]}})
    assert [fault["pointer"] for fault in refused.json()["errors"]] == [
        "/placements/home/count",
        "/placements/serach",
        "/placements/search/rules/0",
        "/placements/search/rules/1/slto",
    ]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"placements": {}}, "/expected_version"),
        ({"expected_version": -1, "placements": {}}, "/expected_version"),
        ({"expected_version": 0}, "/placements"),
        ({"expected_version": 0, "placements": []}, "/placements"),
        ({"expected_version": 0, "placements": {}, "note": "a\x00"}, "/note"),
        ({"expected_version": 0, "placements": {}, "dry_run": True}, "/dry_run"),
    ],
)
async def test_a_body_of_another_shape_is_refused(client: httpx.AsyncClient, body: Any, pointer: str) -> None:
    refused = await client.put("/api/v1/placements", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, pointer)


@pytest.mark.parametrize("scope", ["read", "write"])
async def test_only_operators_may(app: StandIn, scope: str) -> None:
    async with app.client(scope) as client:
        answers = [
            await client.get("/api/v1/placements"),
            await client.get("/api/v1/placements/versions"),
            await put(client, {}),
            await client.post("/api/v1/placements/rollback", json={"version": 0}),
        ]
    assert [answer.status_code for answer in answers] == [403] * 4
