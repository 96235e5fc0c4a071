"""Reserves: when they answer, what runs live all the same, and what is never answered from them."""

import asyncio
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.recommend.world import NOW, build, item, publish

from kindred.core.candidates import Candidates
from kindred.core.errors import InvalidInput, StoreUnavailable
from kindred.core.event import ProfileErased
from kindred.core.query import UserFacts
from kindred.features.groups import user_key
from kindred.features.users import UserRecord, decode_user, preference_version
from kindred.jobs.precompute import Precomputed, precompute
from kindred.models.ranker import RankerConfig, RankerModel, RankerReport, RankerSchema
from kindred.models.segments import SegmentsConfig, SegmentsModel
from kindred.ports.operations import reserves_key
from kindred.recommend.ask import Ask
from kindred.recommend.config import PlacementConfig, RecommendConfig
from kindred.recommend.reserves.config import ReservesConfig
from kindred.recommend.reserves.near import Held, NearReserves
from kindred.recommend.reserves.reserve import MOST_ROWS, Grade, Reserve, cut, pack, unpack

CONFIG = RecommendConfig(exploration=0.0, seed=7, trace_share=0.0, user_evidence=2.0)
ON = ReservesConfig(enabled=True)


class Grades:
    """A meter that keeps the grades."""

    def __init__(self):
        self.said = []

    def count(self, name, amount=1.0, **labels):
        if name == "reserve_answers":
            self.said.append((str(labels["grade"]), labels["level"]))

    def observe(self, name, value, **labels):
        pass

    gauge = observe


async def ready(tmp_path, config=CONFIG, reserves=ON, **more):
    platform = await build(tmp_path, config=config, reserves=reserves, **more)
    grades = platform.serving._reserves._meter = Grades()
    return platform, grades.said


def ids(served) -> list[str]:
    return [one.catalog_item.item.item_id for one in served.items]


def told(served):
    return [(one.catalog_item.item.item_id, one.score, one.source, one.sources, one.reason) for one in served.items]


async def test_a_fresh_answer_is_the_one_that_ranking_everything_gives(tmp_path):
    platform, said = await ready(tmp_path)
    first = await platform.ask("u1", count=12)
    second = await platform.ask("u1", count=12)
    assert said == [("miss", "none"), ("fresh", "process")]
    assert told(second) == told(first)
    assert (second.strategy, second.degraded) == (first.strategy, first.degraded)
    assert second.state_version == first.state_version
    assert second.request_id != first.request_id
    assert ids(await platform.ask("u1", count=30))[:3] == ids(first)[:3]
    assert said[-1][0] == "fresh"


async def test_later_answers_show_the_same_of_an_item_until_the_catalogue_changes(tmp_path):
    platform, said = await ready(tmp_path)
    first, *others = [await platform.ask("u1", count=12) for _ in range(3)]
    assert any(one.anchor_item_id for one in first.items)
    assert [served.items for served in others] == [first.items] * 2
    assert others[0].items[0] is others[1].items[0]
    assert first.written is None
    assert others[0].written is others[1].written
    others[0].written[first.items[0].ordinal] = b"as it was"
    best = first.items[0].catalog_item.item
    await platform.upsert(msgspec.structs.replace(best, title="Renamed"))
    later = await platform.ask("u1", count=12)
    (again,) = [one for one in later.items if one.ordinal == first.items[0].ordinal]
    assert later.written == {}
    assert again.catalog_item.item.title == "Renamed"
    assert [grade for grade, _ in said] == ["miss", "fresh", "fresh", "fresh"]


async def test_what_is_shown_to_one_request_alone_is_not_kept(tmp_path):
    platform, said = await ready(tmp_path)
    first = await platform.ask("u1", count=12)
    usual = await platform.ask("u1", count=12)
    left_out = (first.items[0].catalog_item.item.item_id,)
    alone = [await platform.ask("u1", count=12, exclude_items=left_out) for _ in range(2)]
    assert {grade for grade, _ in said[1:]} == {"fresh"}
    assert alone[0].items[0] is not alone[1].items[0]
    assert len({id(served.written) for served in (usual, *alone)}) == 3


async def test_a_replay_says_that_the_answer_came_from_a_reserve(tmp_path):
    platform, said = await ready(tmp_path)
    first = await platform.ask("u1")
    assert (await platform.serving.trace(first.request_id)).exact
    for number in range(5):
        await platform.upsert(msgspec.structs.replace(item(number), item_id=f"new{number}", created=NOW - 1))
    second = await platform.ask("u1", count=100)
    trace = await platform.serving.trace(second.request_id)
    assert said[-1][0] == "fresh"
    assert (trace.exact, trace.cause) == (False, "the answer was made fresh from a reserve")


async def test_another_process_finds_the_reserve_in_the_shared_cache(tmp_path):
    platform, said = await ready(tmp_path)
    first = await platform.ask("u1")
    await platform.serving.drain()
    platform.serving._reserves._near = NearReserves(1 << 20)
    assert told(await platform.ask("u1")) == told(first)
    assert said == [("miss", "none"), ("fresh", "shared")]


async def test_an_event_makes_the_reserve_a_candidate_set_and_no_more(tmp_path):
    platform, said = await ready(tmp_path)
    before = await platform.ask("u1")
    await platform.track("u1", ids(before)[0], "purchase")
    after = await platform.ask("u1")
    assert [grade for grade, _ in said] == ["miss", "warm"]
    assert ids(before)[0] not in ids(after)
    assert {one.ordinal: one.score for one in after.items} != {one.ordinal: one.score for one in before.items}
    assert (await platform.ask("u1")).items
    assert said[-1] == ("fresh", "process")


async def test_what_the_server_served_does_not_move_the_version(tmp_path):
    platform, said = await ready(tmp_path)
    await platform.ask("u1")
    await platform.serving.drain()
    (position,) = await platform.stores.log.ends()
    await platform.consumer.drain_to(position)
    record = (await platform.stores.state.read([user_key("u1")])).records[0]
    assert decode_user(record.value).exposures
    await platform.ask("u1")
    assert [grade for grade, _ in said] == ["miss", "fresh"]


async def test_live_masks_hold_on_every_grade(tmp_path):
    platform, said = await ready(tmp_path)
    gone = ids(await platform.ask("u1"))[:3]
    await platform.stores.catalog.delete([gone[0]], NOW)
    sold = item(int(gone[1][1:]))
    await platform.upsert(msgspec.structs.replace(sold, stock=0))
    fresh = await platform.ask("u1", exclude_items=(gone[2],))
    assert said[-1][0] == "fresh"
    assert not set(gone) & set(ids(fresh))
    assert len(fresh.items) == 20
    assert gone[2] in ids(await platform.ask("u1"))


@pytest.mark.parametrize("gone", [30, 90])
async def test_masks_under_which_a_reserve_was_too_little_are_not_kept_with_the_next(tmp_path, gone):
    platform, said = await ready(tmp_path)
    shown = ids(await platform.ask("u1", count=100))
    for item_id in shown[: len(shown) * gone // 100]:
        await platform.upsert(msgspec.structs.replace(item(int(item_id[1:])), stock=0))
    left = ids(await platform.ask("u1", count=100))
    assert [grade for grade, _ in said] == ["miss", "miss"]
    await platform.upsert(msgspec.structs.replace(item(int(left[0][1:])), stock=0))
    assert left[0] not in ids(await platform.ask("u1", count=100))


async def test_a_reserve_too_small_for_more_slots_leaves_no_masks_to_the_next(tmp_path):
    platform, said = await ready(tmp_path)
    await platform.ask("u1", count=5, categories=("drama",))
    shown = ids(await platform.ask("u1", count=60, categories=("drama",)))
    assert [grade for grade, _ in said] == ["miss", "miss"]
    await platform.upsert(msgspec.structs.replace(item(int(shown[0][1:])), stock=0))
    assert shown[0] not in ids(await platform.ask("u1", count=60, categories=("drama",)))


@pytest.mark.parametrize("grade", ["fresh", "warm"])
async def test_a_reserve_in_which_a_cap_leaves_too_little_is_not_all_there_is(tmp_path, monkeypatch, grade):
    """Of the categories that were cut off behind it, ranking everything finds enough."""
    monkeypatch.setattr("kindred.recommend.reserves.reserve.MOST_ROWS", 30)
    platform, said = await ready(tmp_path, config=msgspec.structs.replace(CONFIG, category_cap=0.25))
    first = await platform.ask("u1", count=5)
    if grade == "warm":
        await platform.track("u1", ids(first)[0], "view")
    full = await platform.ask("u1", count=18)
    assert (len(full.items), full.degraded) == (18, [])
    assert [each for each, _ in said] == ["miss", "miss"]
    assert len((await platform.ask("u1", count=5)).items) == 5
    assert said[-1][0] == "fresh"


async def test_a_slate_that_nothing_can_fill_is_answered_from_its_reserve(tmp_path, monkeypatch):
    """All that passes the filter is of two categories: ranking it again would find no more."""
    monkeypatch.setattr("kindred.recommend.reserves.reserve.MOST_ROWS", 31)
    config = msgspec.structs.replace(CONFIG, category_cap=0.25)
    platform, said = await ready(tmp_path, config=config)
    answers = [await platform.ask("u1", count=20, tags=("mood1", "mood2")) for _ in range(3)]
    await platform.track("u1", ids(answers[0])[0], "view")
    answers.append(await platform.ask("u1", count=20, tags=("mood1", "mood2"), exclude_seen=False))
    assert [grade for grade, _ in said] == ["miss", "fresh", "fresh", "miss"]
    assert {(len(one.items), *one.degraded) for one in answers} == {(10, "under_filled:category_cap")}
    await platform.ask("u1", count=4, tags=("mood1", "mood2"))
    assert len((await platform.ask("u1", count=19, tags=("mood1", "mood2"))).items) == 8


async def test_an_answer_from_what_was_arranged_before_says_what_left_it_short(tmp_path):
    config = msgspec.structs.replace(CONFIG, category_cap=0.1)
    surfaces = {"home": PlacementConfig(disabled=("exploration",))}
    platform, said = await ready(tmp_path, config=config, placements=surfaces)
    answers = [await platform.ask("u1", count=30) for _ in range(4)]
    assert [grade for grade, _ in said] == ["miss", "fresh", "fresh", "fresh"]
    assert {(len(one.items), *one.degraded) for one in answers} == {(15, "under_filled:category_cap")}
    assert all(one.next_page_token for one in answers)


async def test_who_is_unknown_is_not_answered_from_the_reserve_of_another_device(tmp_path):
    platform, said = await ready(tmp_path)
    liked = {"device=phone": [63, 68], "device=tv": [40, 45]}
    segments = SegmentsModel(
        {name: row for row, name in enumerate(liked)},
        np.array([0, 2, 4]),
        np.array([item for items in liked.values() for item in items], np.int32),
        np.full(4, 1e4, np.float32),
        120,
        SegmentsConfig(),
    )
    models = replace(platform.world.models, segments=segments)
    platform.follower._world = replace(platform.world, models=models)
    devices = ("phone", "tv", "Phone ", "?")
    shown = [ids(await platform.ask(f"new-{device}", count=10, device=device)) for device in devices]
    assert {"i63", "i68"} <= set(shown[0])
    assert not {"i63", "i68"} & set(shown[1])
    assert {"i40", "i45"} <= set(shown[1])
    assert shown[2] == shown[0]
    assert [grade for grade, _ in said] == ["miss", "miss", "fresh", "miss"]


async def test_one_computation_per_key_under_a_stampede(tmp_path):
    platform, said = await ready(tmp_path)
    answers = await asyncio.gather(*(platform.ask("u1") for _ in range(25)))
    assert [grade for grade, _ in said].count("miss") == 1
    assert [grade for grade, _ in said].count("fresh") == 24
    assert len({str(ids(answer)) for answer in answers}) == 1


async def test_those_who_wait_go_on_by_themselves_when_the_first_fails(tmp_path):
    platform, _said = await ready(tmp_path)
    runner = platform.serving._reserves._runner
    rank, calls = runner.rank, []

    async def once(*given):
        calls.append(1)
        if len(calls) == 1:
            await asyncio.sleep(0)
            raise StoreUnavailable("gone")
        return await rank(*given)

    runner.rank = once
    answers = await asyncio.gather(*(platform.ask("u1") for _ in range(5)), return_exceptions=True)
    assert [isinstance(answer, StoreUnavailable) for answer in answers].count(True) == 1
    assert all(len(answer.items) == 20 for answer in answers if not isinstance(answer, Exception))
    assert not platform.serving._reserves._flights


async def test_time_runs_out(tmp_path):
    platform, said = await ready(tmp_path)
    for user, seconds in (("u1", 300), ("nobody", 60)):
        await platform.ask(user)
        platform.clock.time_ms += seconds * 1000 - 1
        await platform.ask(user)
        platform.clock.time_ms += 1
        await platform.ask(user)
        assert [grade for grade, _ in said[-3:]] == ["miss", "fresh", "miss"]
    # Too little was found: that is not remembered for long.
    for user, wait in (("u2", 9_999), ("u2", 1)):
        await platform.ask(user, categories=("action",), exclude_seen=True, count=100)
        platform.clock.time_ms += wait
    await platform.ask("u2", categories=("action",), exclude_seen=True, count=100)
    assert [grade for grade, _ in said[-3:]] == ["miss", "fresh", "miss"]


async def test_all_of_whom_nothing_is_known_share_a_reserve(tmp_path):
    platform, said = await ready(tmp_path)
    assert ids(await platform.ask("nobody")) == ids(await platform.ask("no-one"))
    assert [grade for grade, _ in said] == ["miss", "fresh"]


@pytest.mark.parametrize(
    "fields",
    [
        {"location": "DE"},
        {"categories": ("drama",)},
        {"exclude_seen": False},
        {"diversity": 0.7},
        {"exploration": 0.5},
        {"placement": "category"},
    ],
)
async def test_whatever_ranking_depends_on_is_kept_apart(tmp_path, fields):
    platform, said = await ready(tmp_path)
    await platform.ask("u1")
    await platform.ask("u1", **fields)
    await platform.ask("u2")
    assert [grade for grade, _ in said] == ["miss"] * 3


@pytest.mark.parametrize(
    "fields", [{"session_id": "s1"}, {"page": "checkout"}, {"device": "tv"}, {"location": "de-BE-Berlin"}]
)
async def test_what_ranking_does_not_read_keeps_no_one_from_a_reserve(tmp_path, fields):
    platform, said = await ready(tmp_path)
    first = await platform.ask("u1", location="DE")
    assert told(await platform.ask("u1", **{"location": "DE", **fields})) == told(first)
    assert [grade for grade, _ in said] == ["miss", "fresh"]


async def test_a_device_that_the_ranker_tells_apart_is_kept_apart(tmp_path):
    platform, said = await ready(tmp_path)
    known = RankerSchema(("blend",), {"context.device": ("unknown", "tv")})
    ranker = RankerModel(known, (), {}, {}, {"blend": 1.0}, RankerConfig(), RankerReport())
    platform.follower._world = replace(platform.world, models=replace(platform.world.models, ranker=ranker))
    for device in (None, "tv", None, "fridge", "toaster"):
        await platform.ask("u1", device=device)
    assert [grade for grade, _ in said] == ["miss", "miss", "fresh", "miss", "fresh"]


@pytest.mark.parametrize("fields", [{"trace": True}, {"time": NOW - 5}, {"item_id": "i3"}])
async def test_what_is_one_requests_own_goes_past_the_reserves(tmp_path, fields):
    platform, said = await ready(tmp_path)
    await platform.ask("u1")
    await platform.ask("u1", **fields)
    assert said == [("miss", "none")]


async def test_items_left_out_by_one_request_are_there_for_the_next(tmp_path):
    platform, said = await ready(tmp_path)
    whole = ids(await build_and_ask(tmp_path / "plain"))
    await platform.ask("u1", exclude_items=tuple(whole[:5]))
    assert ids(await platform.ask("u1")) == whole
    assert [grade for grade, _ in said] == ["miss", "miss"]


async def build_and_ask(folder):
    folder.mkdir()
    return await (await build(folder, config=CONFIG)).ask("u1")


async def test_another_base_begins_anew(tmp_path):
    platform, said = await ready(tmp_path)
    await platform.ask("u1")
    await publish(platform.stores, platform.columns, platform.user_ids, "b2")
    await platform.follower.step()
    assert (await platform.ask("u1")).model_version == "b2"
    assert [grade for grade, _ in said] == ["miss", "miss"]


async def test_an_answer_of_which_a_stage_failed_is_kept_for_seconds_and_says_so_again(tmp_path):
    platform, said = await ready(tmp_path)
    index = platform.world.models.indexes["content"]
    search, index.search = index.search, lambda *_: (_ for _ in ()).throw(StoreUnavailable("gone"))
    assert (await platform.ask("u1")).degraded == ["content"]
    index.search = search
    assert (await platform.ask("u1")).degraded == ["content"]
    platform.clock.time_ms += 10_000
    assert (await platform.ask("u1")).degraded == []
    assert [grade for grade, _ in said] == ["miss", "fresh", "miss"]


async def test_a_cache_that_fails_costs_time_and_nothing_else(tmp_path):
    platform, said = await ready(tmp_path, reserves=msgspec.structs.replace(ON, memory=0))

    async def broken(*given):
        raise StoreUnavailable("gone")

    platform.stores.cache.get = platform.stores.cache.put = broken
    assert told(await platform.ask("u1")) == told(await platform.ask("u1"))
    assert [grade for grade, _ in said] == ["miss", "miss"]


async def test_slots_are_drawn_anew_from_a_fresh_reserve(tmp_path):
    platform, said = await ready(tmp_path, config=RecommendConfig(exploration=0.5, trace_share=0.0))
    for number in range(30):
        await platform.upsert(msgspec.structs.replace(item(number), item_id=f"new{number}", created=NOW - 1))
    slates = {tuple(ids(await platform.ask("u1"))) for _ in range(12)}
    assert [grade for grade, _ in said] == ["miss", *["fresh"] * 11]
    assert len(slates) > 3


async def test_what_is_ranked_ahead_is_found_and_scored_again_when_it_is_old(tmp_path):
    platform, said = await ready(tmp_path)
    assert await platform.serving.precompute(Ask("u1")) is Grade.MISS
    assert await platform.serving.precompute(Ask("u1")) is Grade.FRESH
    platform.clock.time_ms += 100_000
    await platform.ask("u1")
    platform.clock.time_ms += 3_600_000
    await platform.ask("u1")
    await platform.ask("u1")
    platform.clock.time_ms += 86_400_000
    await platform.ask("u1")
    assert said == [("fresh", "shared"), ("warm", "shared"), ("fresh", "process"), ("miss", "none")]


async def test_ranking_ahead_is_for_active_users_and_bounded(tmp_path):
    platform, _ = await ready(tmp_path)
    asked = []

    async def rank(user_id):
        asked.append(user_id)
        return Grade.MISS if len(asked) % 2 else Grade.FRESH

    newest = {}
    for user, moment in zip(platform.columns.users.tolist(), platform.columns.timestamps.tolist(), strict=True):
        newest[f"u{user}"] = max(newest.get(f"u{user}", 0), moment)
    since = sorted(newest.values())[-10]
    done = await precompute(platform.stores.state, rank, since, 100)
    assert set(asked) == {user for user, moment in newest.items() if moment > since}
    assert done == Precomputed(5, 4, False)
    assert await precompute(platform.stores.state, rank, since, 3) == Precomputed(1, 2, True)


async def erase(platform, user_id):
    event = ProfileErased(event_id=f"x{user_id}", timestamp=NOW, ingested_at=NOW, user_id=user_id)
    (position,) = await platform.journal.record([event])
    await platform.consumer.drain_to(position)


async def test_who_is_forgotten_or_another_by_now_is_not_answered_from_before(tmp_path):
    platform, said = await ready(tmp_path)
    before = await platform.ask("u1")
    await platform.serving.drain()
    assert (await platform.stores.cache.get([reserves_key("u1")]))[0]
    await erase(platform, "u1")
    assert await platform.stores.cache.get([reserves_key("u1")]) == [None]
    after = await platform.ask("u1")
    assert after.strategy == "cold_start_user"
    assert ids(after) != ids(before)
    assert said[-1][0] == "miss"
    platform.clock.time_ms += 1
    await platform.track("u1", "i100")
    await platform.ask("u1")
    await platform.ask("u1")
    assert said[-2:] == [("miss", "none"), ("fresh", "process")]
    await platform.serving.drain()
    assert (await platform.stores.cache.get([reserves_key("u1")]))[0]


async def test_what_was_ranked_for_a_forgotten_user_leaves_memory_in_minutes(tmp_path):
    platform, _ = await ready(tmp_path)
    await platform.serving.precompute(Ask("u1"))
    await platform.ask("u1")
    await erase(platform, "u1")
    reserves = platform.serving._reserves
    reserves.sweep(platform.clock.now() + 299_999)
    assert len(reserves._near) == 1
    reserves.sweep(platform.clock.now() + 300_000)
    assert len(reserves._near) == 0


async def test_a_reserve_on_its_way_into_the_cache_is_dropped_with_its_user(tmp_path):
    platform, _ = await ready(tmp_path)
    cache, go = platform.stores.cache, asyncio.Event()
    put = cache.put

    async def slow(*given):
        await go.wait()
        await put(*given)

    cache.put = slow
    await platform.ask("u1")
    await erase(platform, "u1")
    go.set()
    await platform.serving.drain()
    assert await cache.get([reserves_key("u1")]) == [None]


@given(rows=st.integers(0, 400), new=st.integers(0, 40))
def test_a_reserve_survives_its_packed_form(rows, new):
    rng = np.random.default_rng(rows)
    raw = np.full(rows, np.nan, np.float32)
    raw[rng.permutation(rows)[:new]] = 1
    columns = {"score": np.sort(rng.random(rows, np.float32))[::-1], "pool.new": np.nan_to_num(raw), "item.age": raw}
    items = rng.permutation(1000)[:rows].astype(np.int32)
    last = np.arange(rows)[-2:]
    candidates, whole = cut(Candidates(items, columns, np.arange(rows, dtype=np.uint32)), last)
    assert whole == (rows <= MOST_ROWS or bool((~np.isnan(raw[MOST_ROWS : rows - 2])).all()))
    assert {*items[~np.isnan(raw)], *items[last]} <= set(candidates.items)
    one = Reserve(2**64 - 1, "b", 1, 2, 3, 20, whole, rows > 9, "standard", ("content",), candidates)
    ((variant, back),) = unpack(pack([(2**63, one)]))
    assert variant == 2**63
    assert (back.version, back.bundle, back.fresh_until, back.until, back.wanted) == (2**64 - 1, "b", 2, 3, 20)
    assert (back.whole, back.filled, back.strategy, back.degraded) == (whole, rows > 9, "standard", ("content",))
    assert back.candidates.items.tolist() == candidates.items.tolist()
    assert back.candidates.provenance.tolist() == candidates.provenance.tolist()
    assert set(back.candidates.columns) == {"score", "pool.new"}
    for name, column in candidates.columns.items():
        np.testing.assert_array_equal(back.candidates.columns[name], column)


@pytest.mark.parametrize("data", [b"", b"\x91\x01", b"no reserve"])
def test_bytes_that_are_no_reserve_are_refused(data):
    with pytest.raises(InvalidInput):
        unpack(data)


def test_the_longest_unused_reserves_go_first():
    platform = Candidates(np.arange(10, dtype=np.int32), {}, np.zeros(10, np.uint32))
    one = Reserve(1, "b", 0, 10, 10, 5, True, True, "", (), platform)
    held = Held(one, UserFacts(), {}, 10)
    near = NearReserves(3 * held.size)
    for user in "abc":
        near.keep((user, 1), held)
    near.find(("a", 1), 5)
    near.keep(("d", 1), held)
    assert [near.find((user, 1), 5) is not None for user in "abcd"] == [True, False, True, True]
    near.sweep(10)
    assert (len(near), near.size) == (0, 0)


async def test_what_comes_of_a_reserve_counts_as_its_memory(tmp_path):
    platform, said = await ready(tmp_path)
    near = platform.serving._reserves._near
    await platform.ask("u1", count=20)
    before = near.size
    for count in range(1, 41):
        await platform.ask("u1", count=count)
    assert {grade for grade, _ in said[1:]} == {"fresh"}
    (held,) = near._held.values()
    arranged = sum(column.nbytes for one in held.arranged.values() for column in one.candidates.columns.values())
    assert 0 < arranged < near.size - before < 200_000
    assert near.size == held.size
    near._most = before
    await platform.ask("u1", count=41)
    assert (len(near), near.size) == (0, 0)


def test_the_preference_version_moves_with_all_but_what_was_served():
    record = UserRecord(items=b"1234", interactions=1)
    same = msgspec.structs.replace(record, exposures=b"x", outcomes=b"y", places=["home"], recent_offsets=b"12345678")
    assert preference_version(record) == preference_version(same)
    assert preference_version(UserRecord(exposures=b"x", places=["home"])) == preference_version(None) == 0
    others = [
        UserRecord(forgotten=1),
        msgspec.structs.replace(record, items=b"1235"),
        msgspec.structs.replace(record, interactions=2),
        msgspec.structs.replace(record, seen=b"1234", items=b""),
        msgspec.structs.replace(record, alias="other"),
        msgspec.structs.replace(record, sessions=b"12"),
    ]
    assert len({preference_version(one) for one in [None, record, *others]}) == len(others) + 2
    assert preference_version(None) == 0


async def test_under_pressure_what_is_kept_answers_whole_and_the_rest_is_eased_until_it_is_over(tmp_path):
    platform, said = await ready(tmp_path)
    whole = await platform.ask("u1")
    platform.serving.pressure.rise()
    assert told(await platform.ask("u1")) == told(whole)
    assert said[-1][0] == "fresh"
    less = await platform.ask("u2")
    assert less.degraded == ["pressure"]
    assert said[-1][0] == "miss"
    again = await platform.ask("u2")
    assert (said[-1][0], again.degraded) == ("fresh", ["pressure"])
    platform.serving.pressure._until = 0.0
    assert (await platform.ask("u2")).degraded == []
    assert said[-1][0] == "miss"


async def test_without_reserves_answers_are_eased_too(tmp_path):
    platform = await build(tmp_path, config=CONFIG)
    platform.serving.pressure.rise()
    assert (await platform.ask("u1")).degraded == ["pressure"]


async def test_no_answer_is_stale_while_events_swaps_and_catalogue_changes_go_on(tmp_path):
    """Nothing is shown that the state or the catalogue, as they could be read when the question came, forbid."""
    platform, said = await ready(tmp_path, config=RecommendConfig(exploration=0.3, trace_share=0.0))
    rng, users, gone = np.random.default_rng(3), ["u1", "u2", "u3"], set()
    versions = {"b1"}

    async def acts():
        for number in range(36):
            user = users[number % 3]
            shown = ids(await platform.ask(user))
            await platform.track(user, shown[int(rng.integers(len(shown)))], "purchase")
            await asyncio.sleep(0)

    async def changes():
        for number in range(12):
            item_id = f"i{int(rng.integers(120))}"
            await platform.stores.catalog.delete([item_id], NOW)
            await platform.follower.step()
            gone.add(item_id)
            if number == 6:
                await publish(platform.stores, platform.columns, platform.user_ids, "b2")
                await platform.follower.step()
                versions.discard("b1")
                versions.add("b2")
            await asyncio.sleep(0)

    async def asks(user):
        for _ in range(60):
            record = decode_user((await platform.stores.state.read([user_key(user)])).records[0].value)
            seen, deleted, known = set(record.seen_items().tolist()), set(gone), set(versions)
            served = await platform.ask(user)
            assert not seen & {one.ordinal for one in served.items}
            assert not deleted & set(ids(served))
            assert served.model_version in known | versions
            await asyncio.sleep(0)

    await asyncio.gather(acts(), changes(), *(asks(user) for user in users))
    assert {grade for grade, _ in said} == {"fresh", "warm", "miss"}
