"""Serving and Follower over a small world: from a question to an answer, from an event to the next one."""

import asyncio

import msgspec
import numpy as np
import pytest
from tests.unit.recommend.world import CONFIGS, NOW, build, changed, item, publish

from kindred.core.clock import DAY
from kindred.core.errors import BundleCorrupt, Gone, InvalidInput, NoBundle, NotFound, StoreFull, StoreUnavailable
from kindred.core.event import Served, decode_event
from kindred.core.position import START, Position
from kindred.features.groups import USER, user_key
from kindred.features.users import decode_user
from kindred.pipeline.funnel import Deadlines
from kindred.recommend.ask import SimilarAsk
from kindred.recommend.config import PlacementConfig, RecommendConfig

CONFIG = RecommendConfig(exploration=0.0, seed=7, trace_share=0.0, user_evidence=2.0)


@pytest.fixture
async def platform(tmp_path):
    return await build(tmp_path, config=CONFIG)


def ids(served) -> list[str]:
    return [one.catalog_item.item.item_id for one in served.items]


async def test_an_answer_is_whole(platform):
    served = await platform.ask("u1", count=12)
    assert len(served.items) == 12
    assert (served.strategy, served.degraded, served.model_version) == ("standard", [], "b1")
    assert served.placement == "home"
    assert served.trace is None
    assert served.request_id.startswith("rec_")
    assert Position.parse(served.state_version) == START._replace(offset=0)
    scores = [one.score for one in served.items]
    assert all(0 <= score <= 1 for score in scores)
    assert all(propensity == 1.0 for propensity in served.propensities)
    assert (await platform.ask("u1")).request_id != served.request_id


async def test_an_event_changes_the_next_answer(platform):
    before = await platform.ask("u1")
    position = await platform.track("u1", ids(before)[0], "purchase")
    assert await platform.serving.wait_for(position, 0.1)
    after = await platform.ask("u1")
    assert ids(before)[0] not in ids(after)
    assert Position.parse(after.state_version) >= position
    others = set(ids(before)[1:])
    moved = {one.ordinal: one.score for one in after.items if one.catalog_item.item.item_id in others}
    assert any(abs(moved[one.ordinal] - one.score) > 1e-6 for one in before.items if one.ordinal in moved)
    assert ids(before)[0] in ids(await platform.ask("u1", exclude_seen=False, count=100))


async def test_a_dislike_stays_away_even_where_seen_items_may_come(platform):
    first = ids(await platform.ask("u1"))[0]
    await platform.track("u1", first, "dislike")
    assert first not in ids(await platform.ask("u1", exclude_seen=False, count=100))


async def test_a_position_that_never_comes_is_not_waited_for(platform):
    assert not await platform.serving.wait_for(Position(0, 0, 999), 0.02)


async def test_the_same_seed_and_state_give_the_same_answer(platform):
    assert ids(await platform.ask("u5", exploration=0.5)) == ids(await platform.ask("u5", exploration=0.5))


# --- the trace


async def test_a_trace_is_exact_while_nothing_moved(platform):
    served = await platform.ask("u1")
    trace = await platform.serving.trace(served.request_id)
    assert (trace.exact, trace.cause) == (True, None)
    kinds = {note.kind for note in trace.stages}
    assert {"facts", "source", "eligibility", "coarse", "fine", "rerank", "explain"} <= kinds


async def test_a_trace_says_why_it_is_not_exact(platform):
    served = await platform.ask("u1")
    await platform.track("u1", ids(served)[0], "purchase")
    trace = await platform.serving.trace(served.request_id)
    assert (trace.exact, trace.cause) == (False, "more is known of the user since")
    await platform.upsert(msgspec.structs.replace(item(1), title="Another"))
    trace = await platform.serving.trace(served.request_id)
    assert trace.cause == "more is known of the user since; the catalogue has changed since"


async def test_what_was_served_to_someone_unknown_moves_no_trace(platform):
    served = await platform.ask("nobody")
    await platform.serving.drain()
    (end,) = await platform.stores.log.ends()
    await platform.consumer.drain_to(end)
    (record,) = (await platform.stores.state.read([user_key("nobody")])).records
    assert decode_user(record.value).exposures
    trace = await platform.serving.trace(served.request_id)
    assert (trace.exact, trace.cause) == (True, None)


async def test_scores_that_differ_are_told_though_the_same_items_stand_there(platform):
    served = await platform.ask("u1")
    first = await platform.serving.trace(served.request_id)
    platform.world.trends.replace({"24h": (np.arange(50, dtype=np.int32), np.linspace(9, 8, 50, dtype=np.float32))})
    second = await platform.serving.trace(served.request_id)
    assert (first.exact, second.exact) == (True, False)
    assert second.cause == "what trends, or how often items are shown and used, has changed since"


async def test_a_trace_is_worked_out_with_the_bundle_of_its_answer(platform):
    served = await platform.ask("u1")
    was = await platform.serving.trace(served.request_id)
    columns = platform.columns.take(np.flatnonzero(platform.columns.users % 2 == 0))
    await publish(platform.stores, columns, platform.user_ids, "b2")
    await platform.follower.step()
    assert ids(await platform.ask("u1")) != ids(served)
    trace = await platform.serving.trace(served.request_id)
    assert (trace.exact, trace.bundle) == (True, "b1")
    assert [note.detail for note in trace.stages] == [note.detail for note in was.stages]
    said = await platform.serving.why_not(served.request_id, ids(served)[2])
    assert (said.exact, said.outcome, said.slot, said.bundle) == (True, "shown", 3, "b1")
    assert await platform.stores.models.prune(1) == ["b1"]
    trace = await platform.serving.trace(served.request_id)
    assert (trace.exact, trace.cause) == (False, "bundle b1 is not kept any more: this is from bundle b2")


async def test_a_trace_that_was_asked_for_is_kept_as_it_was(platform):
    served = await platform.ask("u1", trace=True)
    await platform.track("u1", ids(served)[0], "purchase")
    kept = await platform.serving.trace(served.request_id)
    assert kept.exact
    assert [note.stage for note in kept.stages] == [note.stage for note in served.trace.stages]


async def test_sampling_goes_by_the_request_even_where_draws_are_fixed(tmp_path):
    platform = await build(tmp_path, config=changed(CONFIG, trace_share=0.5))
    for _ in range(40):
        await platform.ask("u1")
    await platform.serving.drain()
    kept = [b"stages" in data for _, data in platform.stores.traces._records.values()]
    assert len(kept) == 40
    assert 5 < sum(kept) < 35


async def test_traces_that_are_gone_or_never_were(platform):
    served = await platform.ask("u1")
    await platform.serving.drain()
    platform.clock.time_ms += DAY + 1
    with pytest.raises(Gone):
        await platform.serving.trace(served.request_id)
    await platform.stores.traces.sweep(platform.clock.now())
    with pytest.raises(NotFound):
        await platform.serving.trace("rec_unheard_of")
    # The id itself tells that the request is past its day, when the record is swept.
    with pytest.raises(Gone):
        await platform.serving.trace("rec_" + "0" * 23)


# --- what follows an answer


async def test_what_was_served_is_logged(platform):
    served = await platform.ask("u1", prefetch=True)
    await platform.serving.drain()
    records = await platform.stores.log.read(START, 100)
    event = decode_event(records[-1].data)
    assert isinstance(event, Served)
    assert (event.request_id, event.items, event.exposure) == (served.request_id, ids(served), False)
    assert event.sources == [one.source for one in served.items]


async def test_a_full_log_never_reaches_the_client(platform):
    async def full(events):
        raise StoreFull("no room")

    object.__setattr__(platform.serving._effects[-1], "record", full)
    served = await platform.ask("u1")
    await platform.serving.drain()
    assert len(served.items) == 20
    assert (await platform.serving.trace(served.request_id)).exact


# --- stores that fail


async def test_without_state_the_answer_is_that_of_a_new_user_and_says_so(platform):
    async def down(keys, partition=0):
        raise StoreUnavailable("state is down")

    platform.stores.state.read = down
    served = await platform.ask("u1")
    assert served.degraded == ["user_state"]
    assert served.strategy == "cold_start_user"
    assert len(served.items) == 20


async def test_without_a_cache_similar_items_still_answer(platform):
    async def down(*arguments):
        raise StoreUnavailable("cache is down")

    platform.stores.cache.get = platform.stores.cache.put = down
    assert len((await platform.serving.similar(SimilarAsk(item_id="i1"))).items) == 10


async def test_without_reasons_nothing_untrue_is_said(platform):
    async def down(ordinals):
        raise StoreUnavailable("catalogue is down")

    whole = platform.stores.catalog.by_ordinals
    calls = []

    async def once(ordinals):
        calls.append(ordinals)
        return await (down(ordinals) if len(calls) == 1 else whole(ordinals))

    platform.stores.catalog.by_ordinals = once
    platform.follower.world.cards.forget(range(10_000))
    served = await platform.ask("u1")
    assert served.degraded == ["reasons"]
    assert {one.reason.text for one in served.items} == {"From the catalogue"}


async def test_while_the_catalogue_is_away_items_in_memory_are_shown(platform):
    async def down(ordinals):
        raise StoreUnavailable("catalogue is down")

    popular = ids(await platform.ask("nobody"))
    platform.stores.catalog.by_ordinals = down
    served = await platform.ask("nobody")
    assert (ids(served), served.degraded) == (popular, [])
    gone = served.items[3].ordinal
    platform.follower.world.cards.forget([gone])
    served = await platform.ask("nobody")
    assert ids(served)[:3] == popular[:3]
    assert popular[3] not in ids(served)
    assert len(set(ids(served))) == len(popular)
    assert "catalogue" in served.degraded
    assert all(one.reason.text for one in served.items)


async def test_while_the_catalogue_is_away_draws_are_among_items_in_memory(tmp_path):
    platform = await build(tmp_path, config=RecommendConfig(exploration=0.5, seed=7, trace_share=0.0))
    for number in range(60):
        await platform.upsert(msgspec.structs.replace(item(number), item_id=f"new{number}", created=NOW - 1))

    async def down(ordinals):
        raise StoreUnavailable("catalogue is down")

    world = platform.follower.world
    await world.cards.of(range(180))
    platform.stores.catalog.by_ordinals = down
    in_memory = {*range(30), *range(120, 130)}
    world.cards.forget(set(range(180)) - in_memory)
    served = await platform.ask("u1", count=15)
    assert "catalogue" in served.degraded
    assert len(served.items) == 15
    assert {one.ordinal for one in served.items} <= in_memory
    await platform.serving.drain()
    records = await platform.stores.log.read(START, 1000)
    pools = decode_event(records[-1].data).pools
    assert 0 < max(pools) <= len(in_memory)


# --- short slates


async def test_a_short_slate_names_the_rule(platform):
    served = await platform.ask("u1", categories=("horror",), tags=("tag1",))
    assert served.degraded[0].startswith("under_filled:")
    assert 0 < len(served.items) < 20
    assert all("horror" in one.catalog_item.item.categories for one in served.items)
    assert (await platform.ask("u1", tags=("unheard",))).degraded == ["under_filled:tags"]


async def test_a_slate_of_everything(platform):
    served = await platform.ask("nobody", count=100)
    assert len(served.items) == 100
    assert len(set(ids(served))) == 100


async def test_a_crowded_category_does_not_leave_a_slate_short(tmp_path):
    """The best hundreds of candidates are of one category; the cap makes room for others and the slate is whole."""
    platform = await build(tmp_path, config=changed(CONFIG, category_cap=0.25))
    served = await platform.ask("u1", count=20)
    assert len(served.items) == 20
    primary = [one.catalog_item.item.category for one in served.items]
    assert max(primary.count(name) for name in set(primary)) <= 5


@pytest.mark.parametrize("fields", [{"ranked": 5}, {"candidates": 5}, {"source_depth": 5}, {}])
async def test_a_crowded_category_is_never_all_that_is_left(tmp_path, fields):
    """Nine in ten items, and all the newest, are of one category: wherever candidates are cut, the others are kept."""
    config = changed(CONFIG, category_cap=0.25, **fields)
    platform = await build(tmp_path, config=config)
    crowd = [msgspec.structs.replace(item(n), categories=("crowd",)) for n in range(13, 120)]
    newest = [msgspec.structs.replace(item(n), categories=("crowd",), created=NOW) for n in range(120, 200)]
    await platform.upsert(*crowd, *newest)
    for count in (4, 12, 16):
        served = await platform.ask("u1", count=count, exclude_seen=False)
        primary = [one.catalog_item.item.category for one in served.items]
        assert (len(served.items), served.degraded) == (count, []), primary
        assert max(primary.count(name) for name in set(primary)) <= count // 4


async def test_an_empty_catalogue(tmp_path):
    platform = await build(tmp_path, trained=False, config=CONFIG)
    with pytest.raises(NoBundle):
        await platform.ask("u1")
    assert "no bundle was trained yet" in platform.serving.ready()[0]
    await publish(platform.stores, platform.columns.take(np.empty(0, np.intp)), platform.user_ids, "empty", CONFIGS)
    await platform.follower.step()
    served = await platform.ask("u1")
    assert (served.items, served.degraded) == ([], ["empty_catalogue"])


async def test_placements_change_what_is_answered(tmp_path):
    surfaces = {
        "home": PlacementConfig(),
        "item_page": PlacementConfig(count=3, disabled=("als", "seen"), weights={"popularity": 1.0}),
    }
    platform = await build(tmp_path, config=CONFIG, placements=surfaces)
    served = await platform.ask("u1", page="item_page", item_id="i1")
    assert (len(served.items), served.placement) == (3, "item_page")
    assert "als" not in {source for one in served.items for source in one.sources}
    assert "i1" not in ids(served)
    assert (await platform.ask("u1", page="search")).placement == "home"


async def test_a_misspelt_placement_is_refused(platform):
    with pytest.raises(InvalidInput, match=r"/placement: 'hoem' is unknown; known are .*home.* did you mean `home`"):
        await platform.ask("u1", placement="hoem")


async def test_an_unknown_item_on_screen_is_told(platform):
    served = await platform.ask("u1", item_id="nowhere", page="item_page")
    assert served.degraded == ["unknown_item"]
    assert served.items


async def test_items_carry_their_average_rating_else_their_own(platform):
    averages = platform.world.models.ratings.averages
    own = msgspec.structs.replace(item(1), item_id="newcomer", rating=4.25)
    await platform.upsert(own)
    served = await platform.ask("u1", count=100, exclude_seen=False, exploration=0.5)
    rated = {one.ordinal: one.rating for one in served.items}
    for ordinal, rating in rated.items():
        average = averages[ordinal] if ordinal < len(averages) else np.nan
        if np.isnan(average):
            assert rating == served_rating(served, ordinal)
        else:
            assert rating == pytest.approx(average, abs=0.006)
    everyone = np.arange(121, dtype=np.int32)
    passing = platform.world.ratings_of(everyone) >= 4
    np.testing.assert_array_equal(platform.world.rated(4).bits.mask(), passing)
    assert 0 < passing.sum() < len(passing)


def served_rating(served, ordinal) -> float | None:
    return next(one.catalog_item.item.rating for one in served.items if one.ordinal == ordinal)


# --- following


async def test_a_new_item_is_recommended_without_training(tmp_path):
    platform = await build(tmp_path, config=changed(CONFIG, exploration=0.5))
    # It does not even say when it was created.
    twin = msgspec.structs.replace(item(1), item_id="newcomer", created=None)
    assert "newcomer" not in ids(await platform.ask("u1", count=100))
    await platform.upsert(twin)
    served = await platform.ask("u1", count=40)
    place = ids(served).index("newcomer")
    assert {"new", "content"} <= set(served.items[place].sources)
    assert 0 < served.propensities[place] <= 1
    await platform.stores.catalog.delete(["newcomer"], NOW)
    await platform.follower.step()
    assert "newcomer" not in ids(await platform.ask("u1", count=100))


async def test_an_edited_item_is_found_by_its_new_text_alone(platform):
    index = platform.world.models.indexes["content"]
    old = platform.world.content_vectors(np.array([1], np.int32))[0].copy()
    assert 1 in index.search(old, 3)[0]
    await platform.upsert(msgspec.structs.replace(item(13), item_id="i1"))
    new = platform.world.content_vectors(np.array([1, 13], np.int32))
    # What training stored is rounded to half precision; what is made live is not.
    np.testing.assert_allclose(new[0], new[1], atol=1e-3)
    found, scores = index.search(old, 200)
    assert dict(zip(found.tolist(), scores.tolist(), strict=True)).get(1, -1.0) < 0.9
    assert 1 in index.search(new[0], 3)[0]


async def test_what_changed_after_training_survives_a_swap(platform):
    await publish(platform.stores, platform.columns, platform.user_ids, "b2")
    await platform.upsert(msgspec.structs.replace(item(1), item_id="newcomer"))
    assert platform.world.models.version == "b2"
    assert platform.world.content_vectors(np.array([120], np.int32)).any()
    vector = platform.world.content_vectors(np.array([1], np.int32))[0]
    assert 120 in platform.world.models.indexes["content"].search(vector, 3)[0]


async def test_a_request_keeps_the_world_it_started_in(platform):
    reading = platform.stores.state.read
    swapped = asyncio.Event()

    async def slow(keys, partition=0):
        if any(key.group == USER for key in keys) and not swapped.is_set():
            swapped.set()
            await publish(platform.stores, platform.columns, platform.user_ids, "b2")
            await platform.upsert(*(msgspec.structs.replace(item(n), item_id=f"x{n}", created=NOW) for n in range(50)))
        return await reading(keys, partition)

    platform.stores.state.read = slow
    platform.serving._deadlines = Deadlines(facts=5_000)
    served = await platform.ask("u1")
    assert (served.model_version, served.degraded) == ("b1", [])
    assert (await platform.ask("u1")).model_version == "b2"


async def test_a_corrupt_bundle_is_refused_and_the_old_one_serves(platform):
    before = ids(await platform.ask("u1"))
    await publish(platform.stores, platform.columns, platform.user_ids, "bad")
    _, folder = await platform.stores.models.open("bad")
    path = folder / "als" / "item_factors.npy"
    path.write_bytes(path.read_bytes()[:-7])
    await platform.follower.step()
    served = await platform.ask("u1")
    assert (served.model_version, ids(served)) == ("b1", before)
    assert platform.serving.ready() == []
    assert "item_factors.npy" in platform.serving.warnings()[0]
    # Rolling back ends the complaint.
    await platform.stores.models.activate("b1")
    await platform.follower.step()
    assert platform.serving.warnings() == []


async def test_a_first_bundle_that_is_corrupt_is_said(tmp_path):
    platform = await build(tmp_path, trained=False, config=CONFIG)
    await platform.stores.catalog.upsert([item(n) for n in range(120)], NOW)
    await publish(platform.stores, platform.columns, platform.user_ids, "bad")
    _, folder = await platform.stores.models.open("bad")
    (folder / "content" / "vocabulary.json").write_text("[")
    await platform.follower.step()
    with pytest.raises(BundleCorrupt, match=r"vocabulary\.json"):
        await platform.ask("u1")
    assert "cannot be used" in platform.serving.ready()[0]


async def test_a_store_that_is_away_for_a_moment_refuses_no_bundle(platform):
    opening = platform.stores.models.open
    answers = [StoreUnavailable("away")]

    async def flaky(version):
        if answers:
            raise answers.pop()
        return await opening(version)

    platform.stores.models.open = flaky
    await publish(platform.stores, platform.columns, platform.user_ids, "b2")
    with pytest.raises(StoreUnavailable):
        await platform.follower.step()
    assert platform.follower.refused is None
    await platform.follower.step()
    assert platform.world.models.version == "b2"


async def test_the_follower_outlives_any_error(platform):
    calls = []

    async def broken(seq, limit):
        calls.append(seq)
        raise ValueError("unforeseen") if len(calls) < 2 else BundleCorrupt("also bad")

    platform.stores.catalog.changes_since = broken
    task = asyncio.create_task(platform.follower.run())
    while len(calls) < 3:
        await asyncio.sleep(0.01)
    assert platform.serving.ready() == ["also bad"]
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_more_new_items_than_the_side_holds_are_said_and_lose_nothing(platform):
    def crowded(ordinals, vectors):
        raise StoreFull("too many items are newer than the bundle: run `kindred train`")

    platform.world.models.indexes["content"].upsert = crowded
    await platform.upsert(msgspec.structs.replace(item(1), item_id="newcomer", created=NOW))
    assert "kindred train" in platform.serving.warnings()[0]
    assert "newcomer" in ids(await platform.ask("u1", count=100, exploration=0.5))
