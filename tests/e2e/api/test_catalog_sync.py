"""The whole catalogue in one call."""

import asyncio

import httpx
import msgspec
import pytest
from tests.e2e.api.stand_in import NOW, StandIn, stand_in

from kindred.api.bodies import Batch
from kindred.api.schemas.items import ItemBody, to_item
from kindred.api.writing import sift_long, stored
from kindred.core.event import ItemUpserted
from kindred.core.item import Item
from kindred.core.position import Position


def body(*ids: str, **more: object) -> list[dict]:
    return [{"item_id": item_id, "title": f"Title {item_id}", **more} for item_id in ids]


async def active(client: httpx.AsyncClient) -> dict[str, bool]:
    items = (await client.get("/api/v1/items?limit=200")).json()["items"]
    return {each["item_id"]: each["active"] for each in items}


async def filled(count: int = 10) -> StandIn:
    app = await stand_in(0)
    async with app.client() as client:
        said = await client.post("/api/v1/catalog/sync", json=body(*(f"i{n}" for n in range(count))))
        assert (said.status_code, said.json()["added"], said.json()["status"]) == (200, count, "stored")
    return app


async def test_what_a_list_leaves_out_is_switched_off_and_comes_back_with_it() -> None:
    app = await filled()
    kept = [f"i{n}" for n in range(8)]
    async with app.client() as client:
        changed = [*body(*kept[:-1]), *body(kept[-1], price=3.5), *body("new")]
        before, events = await active(client), len(app.journal.events)
        dry = (await client.post("/api/v1/catalog/sync?dry_run=true", json={"items": changed})).json()
        assert (await active(client), len(app.journal.events)) == (before, events)
        done = (await client.post("/api/v1/catalog/sync", json={"items": changed})).json()
        assert {**dry, "status": "stored"} == done
        assert (done["added"], done["changed"], done["removed"], done["unchanged"]) == (1, 1, 2, 7)
        assert done["examples"] == {"added": ["new"], "changed": ["i7"], "removed": ["i8", "i9"]}
        assert done["removed_share"] == 0.2
        after = await active(client)
        assert {item for item, on in after.items() if not on} == {"i8", "i9"}
        again = (await client.post("/api/v1/catalog/sync", json={"items": changed})).json()
        assert (again["added"], again["changed"], again["removed"], again["unchanged"]) == (0, 0, 0, 9)
        back = (await client.post("/api/v1/catalog/sync", json=[*changed, *body("i8", "i9")])).json()
        assert (back["changed"], back["removed"]) == (2, 0)
        assert all((await active(client)).values())


async def test_what_is_written_of_an_item_while_a_list_leaves_it_out_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    app = await filled()
    record = app.journal.record

    async def behind_another(events: list) -> list:
        if len(events) == 1:
            monkeypatch.undo()
            price = Item(item_id="i9", title="Title i9", price=9.5)
            await record([ItemUpserted(event_id="e", timestamp=NOW, ingested_at=NOW, item=price)])
        return await record(events)

    monkeypatch.setattr(app.journal, "record", behind_another)
    async with app.client() as client:
        said = (await client.post("/api/v1/catalog/sync", json=body(*(f"i{n}" for n in range(9))))).json()
        assert said["removed"] == 1
        item = (await client.get("/api/v1/items/i9")).json()
    assert (item["active"], item["price"]) == (False, 9.5)


async def test_others_are_served_while_a_long_list_is_read() -> None:
    parts = [msgspec.Raw(msgspec.json.encode({"item_id": f"i{n}"})) for n in range(1_000)]
    rounds = 0

    async def others() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    found, items = await sift_long(Batch(ItemBody, parts, ""), lambda body, at: to_item(body, at=at))
    beside.cancel()
    assert (len(found), len(items)) == (1_000, 1_000)
    assert rounds >= 5


async def test_partitions_are_waited_for_together() -> None:
    app = await filled(1)
    asked, all_asked = [], asyncio.Event()

    async def wait_for(position: Position, timeout: float) -> bool:
        asked.append(position)
        if len(asked) == 3:
            all_asked.set()
        return await asyncio.wait_for(all_asked.wait(), 10)

    app.serving.wait_for = wait_for
    assert await stored(app, [Position(0, part, 0) for part in range(3)])


async def test_a_body_that_is_no_json_is_told_what_is_wanted() -> None:
    app = await filled(1)
    async with app.client() as client:
        for text in ("item_id,title\na,b\n", "PAR1"):
            refused = await client.post("/api/v1/catalog/sync", content=text)
            assert refused.status_code == 400
            assert refused.json()["errors"][0]["detail"] == 'must be a JSON list, or `{"items": [...]}`'


async def test_a_list_that_leaves_out_more_than_a_fifth_has_to_be_forced() -> None:
    app = await filled()
    async with app.client() as client:
        short = body(*(f"i{n}" for n in range(7)))
        events = len(app.journal.events)
        refused = await client.post("/api/v1/catalog/sync", json=short)
        assert refused.status_code == 409
        assert "3 of 10 active items (30%)" in refused.json()["detail"]
        assert len(app.journal.events) == events
        assert (await client.post("/api/v1/catalog/sync?force=true", json=short)).json()["removed"] == 3


async def test_one_bad_item_an_id_given_twice_or_an_empty_list_change_nothing() -> None:
    app = await filled()
    async with app.client() as client:
        events = len(app.journal.events)
        for wrong, pointer in (
            ([*body("i0"), {"title": "none"}], "/1/item_id"),
            ({"items": [*body("i0"), {"item_id": "x", "prize": 1}]}, "/items/1/prize"),
            (body("i0", "i1", "i0"), "/items/2/item_id"),
            ({"items": []}, "/items"),
        ):
            refused = await client.post("/api/v1/catalog/sync", json=wrong)
            assert refused.status_code == 400
            assert refused.json()["errors"][0]["pointer"] == pointer
        assert len(app.journal.events) == events
    async with app.client("write") as client:
        assert (await client.post("/api/v1/catalog/sync", json=body("i0"))).status_code == 403
