"""Search over a small world: what is found, who it is ordered for, what it leaves behind."""

import msgspec
import numpy as np
import pytest
from tests.unit.recommend.world import CATEGORIES, build, changed, item

from kindred.adapters.memory.text import MemoryText
from kindred.app.text_feed import TextFeed
from kindred.core.errors import StoreUnavailable
from kindred.core.event import Served, decode_event
from kindred.core.position import START
from kindred.core.slate import ReasonCode
from kindred.models.text import words
from kindred.ports.telemetry import NoMeter
from kindred.recommend.ask import Ask, SearchAsk
from kindred.recommend.config import RecommendConfig
from kindred.recommend.sources.personal import RetrieverSource

CONFIG = RecommendConfig(exploration=0.0, seed=7, trace_share=0.0)


@pytest.fixture
async def platform(tmp_path):
    found = await build(tmp_path, config=CONFIG)
    await TextFeed(found.stores.catalog, found.stores.text, NoMeter()).step()
    return found


async def search(platform, text, user="", offset=0, personalisation=None, **fields):
    values = {"placement": "search", "exclude_seen": False, "count": 20, **fields}
    return await platform.serving.search(SearchAsk(Ask(user_id=user, **values), text, offset, personalisation))


def ids(served) -> list[str]:
    return [one.catalog_item.item.item_id for one in served.items]


async def test_what_has_the_words_is_found_and_says_so(platform):
    served = await search(platform, "the engine winter ")
    assert (served.placement, served.degraded) == ("search", [])
    assert all(a.score >= b.score for a, b in zip(served.items, served.items[1:], strict=False))
    whole = [one for one in served.items if {"engine", "winter"} <= set(words(one.catalog_item.item.title))]
    assert whole
    for one in whole:
        assert one.text_score > 0.5
        assert "text" in one.sources
        assert one.reason.code in (ReasonCode.MATCHES_QUERY, ReasonCode.RELATED_TO_QUERY)
    assert served.items[0].reason.text == "Matches “the engine winter ”"
    assert max(one.text_score for one in served.items) == served.items[0].text_score


async def places(platform, text, user, personalisation) -> float:
    """Return the mean place of items of the user's own taste."""
    mine = CATEGORIES[int(user[1:]) % len(CATEGORIES)]
    shown = (await search(platform, text, user, 0, personalisation)).items
    return float(np.mean([place for place, one in enumerate(shown) if one.catalog_item.item.category == mine]))


async def test_taste_orders_what_matches_alike(platform):
    """Users of one taste see their category sooner than a stranger does; strength 0 is the same for all."""
    users = [f"u{number}" for number in range(20)]
    plain = [await places(platform, "river", user, 0.0) for user in users]
    personal = [await places(platform, "river", user, 0.5) for user in users]
    assert np.mean(personal) < np.mean(plain)
    everyones = ids(await search(platform, "river", count=100))
    mine = ids(await search(platform, "river", "u1", 0, 0.0, count=100))
    # What a user rated badly is hidden from them alone.
    assert mine == [item_id for item_id in everyones if item_id in set(mine)]
    assert ids(await search(platform, "river", "nobody", 0, 1.0, count=100)) == everyones


async def test_filters_hold_and_seen_items_are_found_unless_left_out(platform):
    seen = {f"i{n}" for n in platform.columns.items[platform.columns.users == 3].tolist()}
    everything = ids(await search(platform, "the", "u3", count=100))
    assert seen & set(everything)
    assert not seen & set(ids(await search(platform, "the", "u3", count=100, exclude_seen=True)))
    served = await search(platform, "the", "u3", categories=("drama",), exclude_items=("i1",), count=100)
    assert served.items
    assert all("drama" in one.catalog_item.item.categories for one in served.items)
    assert "i1" not in ids(served)
    await platform.track("u3", everything[0], "dislike")
    assert everything[0] not in ids(await search(platform, "the", "u3", count=100))


async def test_pages_join_without_a_gap(platform):
    whole = ids(await search(platform, "river", "u3", count=30))
    assert ids(await search(platform, "river", "u3", count=10)) == whole[:10]
    assert ids(await search(platform, "river", "u3", offset=10, count=20)) == whole[10:]
    assert ids(await search(platform, "river", "u3", offset=900)) == []


@pytest.mark.parametrize("user", ["", "u3"])
async def test_a_walk_deeper_than_the_depth_repeats_and_loses_nothing(tmp_path, user):
    platform = await build(tmp_path, config=changed(CONFIG, source_depth=2))
    await TextFeed(platform.stores.catalog, platform.stores.text, NoMeter()).step()
    platform.serving._search = msgspec.structs.replace(platform.serving._search, depth=5, content_floor=1.0)
    whole = ids(await search(platform, "the", user, count=100))
    walked = [ids(await search(platform, "the", user, offset=offset, count=10)) for offset in range(0, 100, 10)]
    assert len(whole) > 50
    assert [one for page in walked for one in page] == whole


async def test_a_new_item_is_found_and_a_word_that_nobody_knows_finds_nothing(platform):
    await platform.upsert(msgspec.structs.replace(item(300), title="Zephyr", description=""))
    await TextFeed(platform.stores.catalog, platform.stores.text, NoMeter()).step()
    assert ids(await search(platform, "zephyr"))[0] == "i300"
    served = await search(platform, "qqqqqqqq")
    assert (ids(served), served.degraded) == ([], [])


async def test_what_was_served_to_a_user_is_logged_as_a_search(platform):
    await search(platform, "river", count=3)
    served = await search(platform, "river", "u1", count=3)
    await platform.serving.drain()
    logged = [decode_event(each.data) for each in await platform.stores.log.read(START, 100) if each.data]
    slates = [event for event in logged if isinstance(event, Served)]
    assert [(one.user_id, one.placement, one.items, one.policy) for one in slates] == [
        ("u1", "search", ids(served), "greedy")
    ]


async def test_the_trace_of_a_search_runs_the_search_again(platform):
    served = await search(platform, "river", "u1", offset=2, count=3)
    await platform.serving.drain()
    trace = await platform.serving.trace(served.request_id)
    assert trace.exact
    assert {"text", "relevance", "passed_over"} <= {stage.stage for stage in trace.stages}


async def test_without_the_text_index_content_answers_and_it_is_said(platform, monkeypatch):
    async def broken(self, text, k, allowed=None, also=None):
        raise StoreUnavailable("damaged")

    monkeypatch.setattr(MemoryText, "search", broken)
    served = await search(platform, "drama", "u1")
    assert served.degraded == ["text"]
    assert {one.reason.code for one in served.items} <= {ReasonCode.RELATED_TO_QUERY}


async def test_a_model_that_fails_costs_its_favourites_and_not_the_words(platform, monkeypatch):
    async def broken(self, query):
        raise ValueError("of another length")

    whole = ids(await search(platform, "river"))
    monkeypatch.setattr(RetrieverSource, "propose", broken)
    served = await search(platform, "river", "u1", personalisation=0.5)
    assert {"als", "item_item"} <= set(served.degraded)
    assert "text" not in served.degraded
    assert set(ids(served)) & set(whole)
