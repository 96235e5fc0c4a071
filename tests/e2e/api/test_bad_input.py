"""Bad input: each has its documented answer, and nothing is recorded."""

from typing import Any

import httpx
import pytest
from tests.e2e.api.stand_in import StandIn

from kindred.core.errors import NoBundle, Overloaded, StoreFull, StoreUnavailable

RECOMMEND = "/api/v1/recommendations"
TRACK = "/api/v1/track"


def _problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert {"type", "title", "status", "detail", "errors"} <= set(body)
    assert "Traceback" not in answer.text
    return body


@pytest.mark.parametrize(
    ("address", "pointer", "said"),
    [
        ("/api/v1/requests/rec_x/why-not", "/item_id", "is a query parameter that is required: ?item_id=…"),
        ("/api/v1/popular?country=Germany", "/country", "must be ISO 3166 alpha-2, such as DE"),
    ],
)
async def test_a_query_parameter_that_is_wrong_or_missing_is_named(
    app: StandIn, address: str, pointer: str, said: str
) -> None:
    async with app.client() as client:
        body = _problem(await client.get(address), 400)
    assert body["errors"] == [{"pointer": pointer, "detail": said}]
    assert body["detail"] == f"{pointer}: {said}"


RECOMMENDATION_FAULTS = [
    (b"", "", "JSON"),
    (b"{", "", "JSON"),
    (b"\xff\xfe", "", "JSON"),
    (b'{"user_id": "\xff"}', "", "UTF-8"),
    (b'{"user_id": "u"} trailing', "", "JSON"),
    (b'{"user_id": NaN}', "", "JSON"),
    (b'{"user_id": "u", "diversity": Infinity}', "", "JSON"),
    (b'{"user_id": "u", "diversity": 1e999}', "/diversity", "range"),
    (b"[]", "", "object"),
    (b"{}", "/user_id", "required"),
    (b'{"user_id": null}', "/user_id", "null"),
    (b'{"user_id": 1.0}', "/user_id", "float"),
    (b'{"user_id": true}', "/user_id", "bool"),
    (b'{"user_id": ""}', "/user_id", "1 to 128"),
    (b'{"user_id": "%s"}' % (b"x" * 129), "/user_id", "129"),
    ('{"user_id": "%s"}' % ("€" * 100), "/user_id", "256 bytes"),
    (b'{"user_id": "a\\u0000b"}', "/user_id", "control"),
    (b'{"user_id": "\\ud800"}', "", "JSON"),
    (b'{"user_id": %s}' % (b"9" * 5_000), "/user_id", "range"),
    (b'{"user_id": "u", "count": 0}', "/count", ">= 1"),
    (b'{"user_id": "u", "count": 101}', "/count", "<= 100"),
    (b'{"user_id": "u", "count": 1000000000000000000000}', "/count", "<= 100"),
    (b'{"user_id": "u", "count": 2.5}', "/count", "int"),
    (b'{"user_id": "u", "count": "5"}', "/count", "int"),
    (b'{"user_id": "u", "cuont": 5}', "/cuont", "`count`"),
    (b'{"user_id": "u", "filters": {"categry": "x"}}', "/filters/categry", "`category`"),
    (b'{"user_id": "u", "context": {"divice": "tv"}}', "/context/divice", "`device`"),
    (b'{"user_id": "u", "context": {"page": "hom"}}', "/context/page", "home"),
    (b'{"user_id": "u", "context": {"location": "Germany"}}', "/context/location", "such as DE or DE-BE-Berlin"),
    (b'{"user_id": "u", "context": {"time": "2024-01-01T00:00:00"}}', "/context/time", "zone"),
    (b'{"user_id": "u", "context": {"time": "yesterday"}}', "/context/time", "ISO-8601"),
    (b'{"user_id": "u", "context": {"item_id": "\\u0007"}}', "/context/item_id", "control"),
    (b'{"user_id": "u", "filters": {"category": ["a", 5]}}', "/filters/category/1", "str"),
    (b'{"user_id": "u", "filters": {"exclude_items": ["a", ""]}}', "/filters/exclude_items/1", "1 to 128"),
    (b'{"user_id": "u", "filters": {"min_rating": -1}}', "/filters/min_rating", ">= 0"),
    (b'{"user_id": "u", "exploration": 1.5}', "/exploration", "<= 1"),
    (b'{"user_id": "u", "a/b~c": 1}', "/a~1b~0c", "unknown"),
    (b'{"user_id": "u", "filters": ' + b"[" * 100_000, "/filters", "object"),
]


@pytest.mark.parametrize(("body", "pointer", "word"), RECOMMENDATION_FAULTS)
async def test_recommendation_faults_name_the_field(
    app: StandIn, client: httpx.AsyncClient, body: bytes | str, pointer: str, word: str
) -> None:
    found = _problem(await client.post(RECOMMEND, content=body), 400)
    assert [each["pointer"] for each in found["errors"]] == [pointer]
    assert word in found["errors"][0]["detail"]
    assert app.serving.asked == []


async def test_a_body_nested_too_deep_is_refused(client: httpx.AsyncClient) -> None:
    deep = b'{"item_id": "a", "attributes": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    for answer in (await client.put("/api/v1/items/a", content=deep), await client.post(TRACK, content=deep)):
        assert "deep" in _problem(answer, 400)["errors"][0]["detail"]


@pytest.mark.parametrize("depth", [20, 900])
async def test_attributes_nested_too_deep_to_store_are_refused(client: httpx.AsyncClient, depth: int) -> None:
    nested = b'{"attributes": {"x": ' + b"[" * depth + b"]" * depth + b"}}"
    found = _problem(await client.put("/api/v1/items/a", content=nested), 400)
    assert "deep" in found["errors"][0]["detail"]


async def test_bodies_over_the_limit_are_refused(app: StandIn, client: httpx.AsyncClient) -> None:
    for path in (RECOMMEND, TRACK):
        _problem(await client.post(path, content=b" " * (1 << 20) + b"{}"), 413)
    _problem(await client.post(f"{TRACK}/batch", content=b" " * (8 << 20) + b"[]"), 413)
    assert app.journal.events == []


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ({"experiment_id": "e"}, "/experiment_id"),
    ],
)
async def test_fields_of_later_releases_are_422(client: httpx.AsyncClient, field: dict[str, Any], pointer: str) -> None:
    found = _problem(await client.post(RECOMMEND, json={"user_id": "u", **field}), 422)
    assert found["type"].endswith("#not_available_yet")
    assert [each["pointer"] for each in found["errors"]] == [pointer]


TRACK_FAULTS = [
    ({"item_id": "a", "event_type": "view"}, "/user_id"),
    ({"user_id": "u", "event_type": "view"}, "/item_id"),
    ({"user_id": "u", "item_id": "a"}, "/event_type"),
    ({"user_id": "u", "item_id": "a", "event_type": "veiw"}, "/event_type"),
    ({"user_id": "u", "item_id": "a" * 129, "event_type": "view"}, "/item_id"),
    ({"user_id": "u", "item_id": "a", "event_type": "view", "itemid": 1}, "/itemid"),
    ({"user_id": "u", "item_id": "a", "event_type": "view", "timestamp": "2999-01-01T00:00:00Z"}, "/timestamp"),
    ({"user_id": "u", "item_id": "a", "event_type": "view", "timestamp": "2020-01-01T00:00:00"}, "/timestamp"),
    ({"user_id": "u", "item_id": "a", "event_type": "rating"}, "/metadata/rating"),
    ({"user_id": "u", "item_id": "a", "event_type": "rating", "metadata": {"rating": "5"}}, "/metadata/rating"),
    ({"user_id": "u", "item_id": "a", "event_type": "view", "metadata": {"n": 10**30}}, "/metadata"),
    ({"user_id": "u", "item_id": "a", "event_type": "view", "context": {"position": -1}}, "/context/position"),
]


@pytest.mark.parametrize(("body", "pointer"), TRACK_FAULTS)
async def test_track_faults_name_the_field(
    app: StandIn, client: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    found = _problem(await client.post(TRACK, json=body), 400)
    assert [each["pointer"] for each in found["errors"]] == [pointer]
    assert app.journal.events == []


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/api/v1/items/movie_1/similar?count=0", "/count"),
        ("/api/v1/items/movie_1/similar?count=x", "/count"),
        ("/api/v1/items/movie_1/similar?metric=cosine", "/metric"),
        ("/api/v1/items/movie_1/similar?user_id=" + "x" * 129, "/user_id"),
        ("/api/v1/items/movie_1/similar?exclude_items=a," + "x" * 129, "/exclude_items"),
        ("/api/v1/items/movie_1/similar?kount=3", "/kount"),
        ("/api/v1/users/u/similar?count=101", "/count"),
        ("/api/v1/users/" + "x" * 129 + "/similar", "/user_id"),
        ("/api/v1/items/" + "x" * 129, "/item_id"),
        ("/api/v1/items/a%00b", "/item_id"),
        ("/api/v1/items/a%1Fb", "/item_id"),
        ("/api/v1/trending?window=2h", "/window"),
        ("/api/v1/trending?country=Germany", "/country"),
        ("/api/v1/popular?window=1h", "/window"),
        ("/api/v1/items?limit=201", "/limit"),
        ("/api/v1/users?limit=-1", "/limit"),
        ("/health/live?x=1", "/x"),
    ],
)
async def test_parameter_faults_name_the_parameter(client: httpx.AsyncClient, path: str, pointer: str) -> None:
    found = _problem(await client.get(path), 400)
    assert [each["pointer"] for each in found["errors"]] == [pointer]


async def test_unknown_addresses_methods_and_things(client: httpx.AsyncClient) -> None:
    for path in (
        "/nowhere",
        *(f"/api/v1/{kind}/nope{tail}" for kind in ("items", "users") for tail in ("", "/similar")),
    ):
        _problem(await client.get(path), 404)
    _problem(await client.get("/api/v1/requests/rec_nope/trace"), 404)
    _problem(await client.delete("/api/v1/items/nope"), 404)
    answer = await client.patch(RECOMMEND)
    _problem(answer, 405)
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("failure", [Overloaded("busy", retry_after=3), StoreFull("disk"), StoreUnavailable("log")])
async def test_when_the_log_takes_nothing_nothing_is_claimed(
    app: StandIn, client: httpx.AsyncClient, failure: Overloaded
) -> None:
    app.journal.failure = failure
    event = {"user_id": "u", "item_id": "a", "event_type": "view"}
    for answer in (
        await client.post(TRACK, json=event),
        await client.post(f"{TRACK}/batch", json={"events": [event]}),
        await client.put("/api/v1/items/a", json={"title": "A"}),
    ):
        _problem(answer, 503)
        assert answer.headers["retry-after"] == str(failure.retry_after)


async def test_no_bundle_is_503_and_unforeseen_failures_show_no_insides(
    app: StandIn, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    app.serving.failure = NoBundle()
    assert "kindred train" in _problem(await client.post(RECOMMEND, json={"user_id": "u"}), 503)["detail"]
    app.serving.failure = RuntimeError("secret insides")
    found = _problem(await client.post(RECOMMEND, json={"user_id": "u"}), 500)
    assert "secret" not in str(found)
    assert found["request_id"] in caplog.text
    assert "secret insides" in caplog.text


@pytest.mark.parametrize(
    ("body", "pointer", "word"),
    [
        ({}, "/query", "required"),
        ({"query": ""}, "/query", "length >= 1"),
        ({"query": " \t "}, "/query", "at least one word"),
        ({"query": "x" * 257}, "/query", "length <= 256"),
        ({"query": "a\u0000b"}, "/query", "control"),
        ({"query": 7}, "/query", "str"),
        ({"qury": "heat"}, "/qury", "did you mean `query`"),
        ({"query": "heat", "user_id": ""}, "/user_id", "1 to 128"),
        ({"query": "heat", "offset": 901}, "/offset", "<= 900"),
        ({"query": "heat", "offset": -1}, "/offset", ">= 0"),
        ({"query": "heat", "personalisation": 1.5}, "/personalisation", "<= 1"),
        ({"query": "heat", "filters": {"exclude_items": [""]}}, "/filters/exclude_items/0", "1 to 128"),
    ],
)
async def test_bad_searches_name_the_field(
    app: StandIn, client: httpx.AsyncClient, body: dict[str, Any], pointer: str, word: str
) -> None:
    problem = _problem(await client.post("/api/v1/search", json=body), 400)
    assert any(error["pointer"] == pointer and word in error["detail"] for error in problem["errors"]), problem
    assert not app.serving.asked
