"""Many slates in one call, and what a request may ask of one slate, as the application answers it."""

from typing import Any

import httpx
import pytest
from tests.e2e.api.stand_in import StandIn

from kindred.core.errors import InvalidInput, NoBundle
from kindred.core.query import Boost
from kindred.recommend.ask import Ask

RECOMMEND = "/api/v1/recommendations"
BATCH, PAGE = f"{RECOMMEND}/batch", f"{RECOMMEND}/page"


@pytest.fixture
def refuse(app: StandIn, monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """Return what to raise for which user."""
    raised: dict[str, Exception] = {}
    recommend = app.serving.recommend

    async def answer(ask: Ask) -> Any:
        if ask.user_id in raised:
            raise raised[ask.user_id]
        return await recommend(ask)

    monkeypatch.setattr(app.serving, "recommend", answer)
    return raised


async def test_what_a_request_may_say_reaches_the_question(app: StandIn, client: httpx.AsyncClient) -> None:
    body = {
        "user_id": "u",
        "filters": {"where": "year > 1990"},
        "boosts": [{"where": "price < 5", "factor": 2}],
        "page_token": "abc",
        "return_fields": ["year", "nothing"],
    }
    answer = await client.post(RECOMMEND, json=body)
    assert answer.status_code == 200
    assert [each["metadata"] for each in answer.json()["recommendations"]] == [{"year": 1995}] * 3
    ask = app.serving.asked[-1]
    assert (ask.where, ask.boosts, ask.page_token) == ("year > 1990", (Boost(where="price < 5", factor=2),), "abc")
    none = (await client.post(RECOMMEND, json={"user_id": "u", "return_fields": []})).json()["recommendations"]
    assert [(each["item_id"], each["score"], each["metadata"]) for each in none] == [
        (f"movie_{n}", 0.5, {}) for n in range(3)
    ]


async def test_a_batch_has_one_result_per_element(client: httpx.AsyncClient, refuse: dict[str, Exception]) -> None:
    refuse["none"] = NoBundle()
    refuse["where"] = InvalidInput.at("/filters/where", "at character 1: no")
    refuse["broken"] = RuntimeError("insides")
    names = ["a", "none", "where", "broken", "b"]
    elements = [{"user_id": name, "count": 2} for name in names]
    elements[1:1] = [{"user": "x"}, {"user_id": "c", "experiment_id": "e"}]
    answer = await client.post(BATCH, json={"requests": elements})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [each["status"] for each in results] == [200, 400, 422, 503, 400, 500, 200]
    assert [len(each["answer"]["recommendations"]) for each in results if each["status"] == 200] == [2, 2]
    pointers = [[fault["pointer"] for fault in each["problem"]["errors"]] for each in results if "problem" in each]
    assert pointers == [["/requests/1/user"], ["/requests/2/experiment_id"], [], ["/requests/4/filters/where"], []]
    assert "insides" not in answer.text


async def test_a_batch_of_traces_needs_the_admin_scope(app: StandIn) -> None:
    async with app.client("read") as reader:
        found = (await reader.post(BATCH, json=[{"user_id": "a", "trace": True}, {"user_id": "b"}])).json()["results"]
    assert [each["status"] for each in found] == [403, 200]


async def test_rows_go_below_one_another(app: StandIn, client: httpx.AsyncClient) -> None:
    rows = [{"title": "For you", "count": 2}, {"placement": "search", "count": 1, "filters": {"where": "year > 1"}}]
    answer = await client.post(PAGE, json={"user_id": "u", "rows": rows, "context": {"device": "tv"}})
    assert answer.status_code == 200
    found = answer.json()["rows"]
    assert [(row["title"], row["placement"], len(row["recommendations"])) for row in found] == [
        ("For you", "home", 2), (None, "search", 1),
    ]  # fmt: skip
    first, second = app.serving.asked[-2:]
    assert (first.shown, second.shown) == ((), (0, 1))
    assert (second.where, second.device, second.user_id) == ("year > 1", "tv", "u")


PAGE_FAULTS = [
    ({"user_id": "u", "rows": []}, "/rows"),
    ({"user_id": "u", "rows": [{}] * 21}, "/rows"),
    ({"user_id": "", "rows": [{}]}, "/user_id"),
    ({"user_id": "u", "rows": [{}], "context": {"item_id": ""}}, "/context/item_id"),
    ({"user_id": "u", "rows": [{}, {"filters": {"exclude_items": [""]}}]}, "/rows/1/filters/exclude_items/0"),
    ({"user_id": "u", "rows": [{"boosts": [{"where": "a = 1", "factor": 11}]}]}, "/rows/0/boosts/0/factor"),
    ({"user_id": "u", "rows": [{"boosts": [{"where": "a = 1", "factor": 1}] * 11}]}, "/rows/0/boosts"),
    ({"user_id": "u", "rows": [{"tittle": "x"}]}, "/rows/0/tittle"),
]


@pytest.mark.parametrize(("body", "pointer"), PAGE_FAULTS)
async def test_what_is_wrong_with_a_page_is_named(
    client: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    answer = await client.post(PAGE, json=body)
    assert answer.status_code == 400
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


async def test_a_row_that_fails_is_named(client: httpx.AsyncClient, refuse: dict[str, Exception]) -> None:
    refuse["u"] = InvalidInput.at("/filters/where", "at character 1: no")
    answer = await client.post(PAGE, json={"user_id": "u", "rows": [{}]})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/rows/0/filters/where"


@pytest.mark.parametrize("count", [0, 101])
async def test_batches_have_bounds(client: httpx.AsyncClient, count: int) -> None:
    answer = await client.post(BATCH, json={"requests": [{"user_id": "u"}] * count})
    assert answer.status_code == 400
    assert f"1 to 100 elements, has {count}" in answer.json()["detail"]
